"""Enlarging many files: one that fails, or crashes a library, does not stop the others."""

import multiprocessing
import os
import signal
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from sr_experiments.core.console import errors, output
from sr_experiments.core.device import choose_device
from sr_experiments.core.errors import Message, UserError
from sr_experiments.core.interruption import end_with_parent
from sr_experiments.upscale.arguments import device_name
from sr_experiments.upscale.file_plan import PlannedFile
from sr_experiments.upscale.video.options import VideoOptions, is_video

if TYPE_CHECKING:
    from sr_experiments.upscale.upscaler import Progress, Upscaler


def enlarge_all(
    files: Sequence[PlannedFile], options: Namespace, videos: VideoOptions
) -> list[UserError]:
    """Enlarge files with the network that the options of the command name.

    Where videos are among several files, that happens in another process: a damaged one may crash
    FFmpeg or PyAV, and with them the process.

    Returns:
        The errors of those that failed.

    Raises:
        UserError: the network cannot be loaded, or does not support the options.
    """
    if len(files) == 1 or not any(is_video(file.source) for file in files):
        failures: list[UserError] = []
        _enlarge_here(files, options, videos, failed=failures.append)
        return failures
    return _enlarge_apart(files, options, videos)


def _enlarge_apart(
    files: Sequence[PlannedFile], options: Namespace, videos: VideoOptions
) -> list[UserError]:
    """Enlarge in another process, and in a new one what is left when it crashes."""
    failures: list[UserError] = []
    context, done = multiprocessing.get_context("spawn"), 0
    while done < len(files):
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(theirs, files[done:], options, videos))
        worker.start()
        theirs.close()
        begun = ended = 0
        try:
            while not ended:
                kind, content = ours.recv()
                begun += kind == "began"
                ended += kind == "ended"
                if kind == "failed":
                    failures.append(content)
                if kind == "refused":
                    raise content
        except EOFError:
            pass  # it is gone
        except KeyboardInterrupt:
            worker.join(5)  # a terminal interrupts both
            if worker.is_alive() and worker.pid is not None:
                os.kill(worker.pid, signal.SIGINT)
            raise
        finally:
            worker.join()
            ours.close()
        if ended:
            break
        if not begun:
            raise UserError(
                "upscale-worker-crashed",
                "the process that enlarges ended with exit code {code} before the first file",
                code=worker.exitcode,
            )
        done += begun
        failures.append(
            UserError(
                "upscale-crashed",
                "{path}: a library crashed on it (exit code {code}); it is left out, replace or "
                "remove it",
                path=files[done - 1].source,
                code=worker.exitcode,
            )
        )
    return failures


def _work(
    pipe: Connection, files: Sequence[PlannedFile], options: Namespace, videos: VideoOptions
) -> None:
    end_with_parent()
    try:
        _enlarge_here(
            files,
            options,
            videos,
            began=lambda file: pipe.send(("began", file.source)),
            failed=lambda error: pipe.send(("failed", error)),
        )
        pipe.send(("ended", None))
    except UserError as error:
        pipe.send(("refused", error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # the parent was interrupted, too, and says so


def _enlarge_here(
    files: Sequence[PlannedFile],
    options: Namespace,
    videos: VideoOptions,
    *,
    failed: Callable[[UserError], object],
    began: Callable[[PlannedFile], object] = lambda file: None,
) -> None:
    """Load the network and enlarge the files, with a progress bar."""
    from sr_experiments.upscale.load_network import load_network
    from sr_experiments.upscale.upscaler import Upscaler

    loaded = load_network(
        options.model, options.scale, weights=options.weights, architecture=options.architecture
    )
    upscaler = Upscaler(
        loaded.network,
        options.scale,
        choose_device(device_name(options.device, options.engine)),
        tile=options.tile,
        self_ensemble=options.self_ensemble,
        approximate=options.approximate,
        denoise=options.denoise,
        sharpen=options.sharpen,
        engine=options.engine,
    )
    output().print(_announcement(loaded.description, upscaler))
    _enlarge_files(files, upscaler, options.max_pixels, videos, failed, began)


def _enlarge_files(
    files: Sequence[PlannedFile],
    upscaler: "Upscaler",
    max_pixels: int | None,
    videos: VideoOptions,
    failed: Callable[[UserError], object],
    began: Callable[[PlannedFile], object],
) -> None:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from sr_experiments.upscale.upscaler import OUT_OF_MEMORY

    console, bar = output(), errors()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=bar, disable=not bar.is_terminal) as progress:
        # The time depends on pixels, not on files.
        task = progress.add_task("pixels", total=sum(file.pixels for file in files))
        done = 0
        for file in files:
            progress.update(task, completed=done, description=file.source.name)
            done += file.pixels
            began(file)
            try:
                notes = _enlarge(
                    file, upscaler, max_pixels, videos, partial(progress.advance, task)
                )
            except UserError as error:
                failed(error)
            except OUT_OF_MEMORY:
                failed(
                    UserError(
                        "upscale-out-of-memory",
                        "{path}: out of memory; a smaller --tile takes less",
                        path=file.source,
                    )
                )
            except Exception as error:  # the other files are still wanted
                failed(
                    UserError(
                        "upscale-failed",
                        "{path}: {kind}: {reason}",
                        path=file.source,
                        kind=type(error).__name__,
                        reason=" ".join(str(error).split()),
                    )
                )
            else:
                for note in notes:
                    console.print(f"{file.target}: {note}")
        progress.update(task, completed=done)


def _enlarge(
    file: PlannedFile,
    upscaler: "Upscaler",
    max_pixels: int | None,
    videos: VideoOptions,
    progress: "Progress",
) -> list[Message]:
    if not is_video(file.source):
        from sr_experiments.upscale.convert_image import enlarge_file

        return enlarge_file(
            file.source, file.target, upscaler, max_pixels=max_pixels, progress=progress
        )

    from sr_experiments.upscale.video.convert import enlarge_video

    return enlarge_video(
        file.source,
        file.target,
        upscaler,
        videos,
        max_pixels=max_pixels,
        progress=progress,
        resumable=True,
    )


def _announcement(description: str, upscaler: "Upscaler") -> str:
    scale = f"x{float(upscaler.scale):g}"
    if upscaler.scale != upscaler.network_scale:
        scale = f"x{upscaler.network_scale}, then bicubic down to {scale}"
    parts = [description, scale]
    if not upscaler.exact and upscaler.approximate:
        parts.append("in tiles that approximate the whole image if it is large")
    parts.append(f"on {upscaler.device.type}")
    if upscaler.engine_note is not None:
        parts.append(str(upscaler.engine_note))
    return ", ".join(parts)
