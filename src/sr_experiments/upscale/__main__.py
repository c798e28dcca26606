"""Enlarge pictures and videos with a network.

``python -m sr_experiments.upscale IN... OUT`` takes pictures, videos and folders. What is written
is what the suite would score: the same network, the same colours, the same rounding.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sr_experiments.core.cli import Parser, fraction, number, whole
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.formats import IMAGE_SUFFIXES
from sr_experiments.upscale.convert_image import enlarge_file
from sr_experiments.upscale.image_file import FORMATS, measure
from sr_experiments.upscale.load_network import find
from sr_experiments.upscale.onnx_network import ENGINES
from sr_experiments.upscale.options import device_of, scale_of
from sr_experiments.upscale.shipped import shipped
from sr_experiments.upscale.upscaler import MAX_SCALE, OUT_OF_MEMORY, Upscaler
from sr_experiments.upscale.video.convert import FORMATS as VIDEO_FORMATS
from sr_experiments.upscale.video.convert import (
    VideoOptions,
    check_target,
    enlarge_video,
    is_video,
    measure_video,
    require_av,
    written_suffix,
)

#: What becomes of an animation where a folder is written.
_KEPT = {".gif": ".gif", ".webp": ".webp"}


@dataclass(frozen=True)
class Job:
    """A file to be read, one to be written, and its size in pixels for the progress bar."""

    source: Path
    target: Path
    pixels: int


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when every file was written, 1 when some were not, 2 for a user's mistake, 130 when
        interrupted.
    """
    try:
        options = _parser().parse_args(argv)
        videos = _video_options(options)
        jobs = plan(options.sources, options.target, options.format, videos)
        jobs = _without_existing(jobs, options.existing)
        found = find(
            options.model,
            options.scale,
            weights=options.weights,
            architecture=options.architecture,
        )
        upscaler = Upscaler(
            found.network,
            options.scale,
            device_of(options.device, options.engine),
            tile=options.tile,
            self_ensemble=options.self_ensemble,
            approximate=options.approximate,
            denoise=options.denoise,
            sharpen=options.sharpen,
            engine=options.engine,
        )
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(_announcement(found.words, upscaler))
    try:
        failures = _work(jobs, upscaler, options, videos, console)
    except KeyboardInterrupt:
        again = "; the same command goes on in a long video where it stopped" * any(
            is_video(job.source) for job in jobs
        )
        sys.stderr.write(
            f"error: interrupted; what was written is whole, --skip-existing leaves it{again}\n"
        )
        return 130
    for failure in failures:
        sys.stderr.write(f"error: {failure}\n")
    console.print(f"{len(jobs) - len(failures)} of {len(jobs)} {_noun(jobs)} written")
    return 1 if failures else 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sr_experiments.upscale",
        description="Enlarge pictures and videos, or all of those in folders, with a network.",
    )
    add = parser.add_argument
    add("sources", metavar="IN", type=Path, nargs="+", help="pictures, videos, folders")
    add(
        "target",
        metavar="OUT",
        type=Path,
        help="a folder, where NAME.png is written for NAME as in the folder IN, animations keep "
        "their format, and videos become .mp4, .mkv or .webm; or, for one picture or video, a "
        "file whose suffix says the format: " + ", ".join([*FORMATS, *VIDEO_FORMATS]),
    )
    names = ", ".join([*shipped(), "bicubic"])
    add(
        "--model",
        help=f"a name ({names}), a run's directory, a .ckpt or .safetensors of this suite, or with "
        "--architecture any file of weights",
    )
    add("--weights", choices=("raw", "averaged"), default="raw", help="which, of a run's directory")
    add(
        "--architecture",
        metavar="NAME[:KEY=VALUE,...]",
        help="the network of a foreign file of weights, such as vdsr:bias=false",
    )
    add(
        "--scale",
        type=scale_of,
        default=Fraction(2),
        help=f"factor, 2 by default, above 1 and at most {MAX_SCALE}, 1.5 too",
    )
    add("--denoise", type=number(0, 1), default=0.0, help="strength, 0 (default) to 1, beforehand")
    add("--sharpen", type=number(0, 1), default=0.0, help="strength, 0 (default) to 1, beforehand")
    add(
        "--self-ensemble",
        action="store_true",
        help="average the answers to eight flips and transposes: a little better, eight times "
        "slower",
    )
    add("--format", choices=[s[1:] for s in FORMATS], default="png", help="in a folder OUT")
    add("--tile", type=whole(1), help="side of a tile; by default as the memory allows")
    add(
        "--approximate",
        action="store_true",
        help="allow tiles to a network that looks at the whole picture (RCAN)",
    )
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the network works")
    add(
        "--engine",
        choices=ENGINES,
        default="torch",
        help="what computes the network: PyTorch (default), whose values are those of scoring bit "
        "by bit, ONNX Runtime, or the latter where it is clearly faster (auto)",
    )
    add("--max-pixels", type=whole(1), help="the largest picture that is read; Pillow's by default")
    add(
        "--start",
        type=fraction(0, 10**7),
        default=Fraction(0),
        help="seconds of a video to leave out",
    )
    add("--duration", type=fraction(0, 10**7), help="seconds of a video to take; all by default")
    add(
        "--crf",
        type=whole(0, 63),
        help="quality of a video, 0 is best; 18 by default for H.264 (.mp4, .mkv), 28 for VP9 "
        "(.webm)",
    )
    add("--lossless", action="store_true", help="videos as FFV1 in RGB (.mkv), nothing lost")
    add(
        "--keep-readable",
        action="store_true",
        help="of a video that is cut short, write what can be read",
    )
    existing = parser.add_mutually_exclusive_group()
    for name, text in (("overwrite", "replace"), ("skip", "leave out")):
        flag = "--overwrite" if name == "overwrite" else "--skip-existing"
        existing.add_argument(
            flag, dest="existing", action="store_const", const=name, help=f"{text} what exists"
        )
    return parser


def plan(
    sources: Sequence[Path],
    target: Path,
    suffix: str = "png",
    videos: VideoOptions | None = None,
) -> list[Job]:
    """Which picture or video is written where.

    Folders are searched to the bottom, and their tree is mirrored. Files that are neither by
    their suffix are passed over there, but not where they are named.

    Raises:
        UserError: there is nothing to read, two files would be one, or a source would be replaced.
    """
    videos = videos or VideoOptions()
    found: list[tuple[Path, Path]] = []
    for source in sources:
        if source.is_dir():
            inner = [p for p in sorted(source.rglob("*")) if _is_ours(p, source)]
            # An OUT inside of IN is not read again.
            within = [p for p in inner if target.resolve() not in p.resolve().parents]
            if not within:
                raise UserError(f"{source}: no picture in this folder, and no video")
            found += [(p, p.relative_to(source)) for p in within]
        elif source.is_file():
            found.append((source, Path(source.name)))
        else:
            raise UserError(f"{source}: no such file or folder")
    single = len(sources) == 1 and sources[0].is_file() and not target.is_dir()
    known = target.suffix.lower()
    jobs = []
    if any(is_video(source) for source, _ in found):
        require_av()
    if single and is_video(found[0][0]) and known:
        check_target(target, videos)
        jobs = [Job(found[0][0], target, measure_video(found[0][0], videos))]
    elif single and (known in FORMATS or known in IMAGE_SUFFIXES or is_video(target)):
        if known not in FORMATS:
            raise UserError(f"{target}: can be written as {', '.join(FORMATS)}")
        jobs = [Job(found[0][0], target, measure(found[0][0])[0])]
    else:
        if target.is_file() or known in FORMATS or is_video(target):
            raise UserError(f"{target}: a folder is needed for several pictures; name a folder")
        for source, name in found:
            if is_video(source):
                into = target / name.with_suffix(written_suffix(name.suffix, videos.lossless))
                check_target(into, videos)
                jobs.append(Job(source, into, measure_video(source, videos)))
                continue
            pixels, animated = measure(source)
            kept = _KEPT.get(source.suffix.lower()) if animated else None
            jobs.append(Job(source, target / name.with_suffix(kept or f".{suffix}"), pixels))
    writers: dict[Path, Path] = {}
    originals = {source.resolve() for source, _ in found}
    for job in jobs:
        if job.target in writers:
            raise UserError(
                f"{writers[job.target]} and {job.source} would both be written to {job.target}; "
                "rename one"
            )
        writers[job.target] = job.source
        if job.target.resolve() in originals:
            raise UserError(f"{job.target}: would replace a picture of IN; name another OUT")
    return jobs


def _is_ours(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    ours = path.suffix.lower() in IMAGE_SUFFIXES or is_video(path)
    return ours and not hidden and path.is_file()


def _noun(jobs: Sequence[Job]) -> str:
    kinds = {is_video(job.source) for job in jobs}
    return "files" if len(kinds) > 1 else "videos" if kinds == {True} else "pictures"


def _video_options(options: Namespace) -> VideoOptions:
    return VideoOptions(
        start=options.start,
        duration=options.duration,
        crf=options.crf,
        lossless=options.lossless,
        keep_readable=options.keep_readable,
    )


def _without_existing(jobs: list[Job], existing: str | None) -> list[Job]:
    there = [job.target for job in jobs if job.target.exists()]
    if existing == "skip":
        return [job for job in jobs if job.target not in set(there)]
    if there and existing is None:
        others = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise UserError(
            f"{there[0]}{others}: already there; --overwrite replaces, --skip-existing leaves"
        )
    return jobs


def _work(
    jobs: Sequence[Job],
    upscaler: Upscaler,
    options: Namespace,
    videos: VideoOptions,
    console: Console,
) -> list[str]:
    """Do the jobs; one that fails does not stop the others.

    Returns:
        One line for each that failed.
    """
    failures = []
    errors = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
        # Time is spent on pixels, so they are what is counted.
        task = progress.add_task("pixels", total=sum(job.pixels for job in jobs))
        advance: Callable[[int], None] = lambda pixels: progress.advance(task, pixels)  # noqa: E731
        end = 0
        for job in jobs:
            end += job.pixels
            progress.update(task, description=job.source.name)
            try:
                limit = options.max_pixels
                if is_video(job.source):
                    notes = enlarge_video(
                        job.source,
                        job.target,
                        upscaler,
                        videos,
                        max_pixels=limit,
                        progress=advance,
                        resumable=True,
                    )
                else:
                    notes = enlarge_file(
                        job.source, job.target, upscaler, max_pixels=limit, progress=advance
                    )
            except UserError as error:
                failures.append(str(error))
            except OUT_OF_MEMORY:
                failures.append(f"{job.source}: out of memory; a smaller --tile takes less")
            except Exception as error:  # the other files are still wanted
                reason = " ".join(str(error).split())
                failures.append(f"{job.source}: {type(error).__name__}: {reason}")
            else:
                for note in notes:
                    console.print(f"{job.target}: {note}")
            progress.update(task, completed=end)
    return failures


def _announcement(words: str, upscaler: Upscaler) -> str:
    asked = f"x{float(upscaler.scale):g}"
    line = f"{words}, {asked}"
    if upscaler.scale != upscaler.factor:
        line = f"{words}, x{upscaler.factor}, then bicubic down to {asked}"
    if not upscaler.exact and upscaler.approximate:
        line += ", in tiles that approximate the whole picture if it is large"
    line = f"{line}, on {upscaler.device.type}"
    return f"{line}, {upscaler.engine_words}" if upscaler.engine_words else line


if __name__ == "__main__":
    raise SystemExit(main())
