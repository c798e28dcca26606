"""Enlarging the frames of a video.

A thread reads and decodes, the caller's thread runs the network, and a third encodes and writes.
Few frames wait between them, so memory does not depend on the length.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from numpy import uint8
from numpy.typing import NDArray
from PIL import Image

from sr_experiments.core.errors import Message, UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.upscale.threads import BackgroundCalls, prefetch
from sr_experiments.upscale.upscaler import Progress, Upscaler
from sr_experiments.upscale.video.options import VideoOptions, check_target, require_av

if TYPE_CHECKING:
    from sr_experiments.upscale.video.encoder import FrameEncoder
    from sr_experiments.upscale.video.source import MediaChunk, VideoSource

#: Frames that wait between two threads.
WAITING = 3


def measure_video(path: Path, options: VideoOptions | None = None) -> int:
    """Pixels of all frames that would be read, from the header; 0 if it is not known."""
    options = options or VideoOptions()
    try:
        from sr_experiments.upscale.video.source import VideoSource

        with VideoSource(path, options.start, options.duration) as source:
            return source.stream.width * source.stream.height * source.expected
    except Exception:  # FFmpeg's readers raise many types; converting the video will tell why
        return 0


def enlarge_video(
    path: Path,
    target: Path,
    upscaler: Upscaler,
    options: VideoOptions | None = None,
    *,
    max_pixels: int | None = None,
    progress: Progress = lambda pixels: None,
    resumable: bool = False,
) -> list[Message]:
    """Read a video, enlarge its frames and write it, whole or not at all.

    Frames keep their times, colours, rotation and pixel shape. Audio and subtitles are copied;
    audio that the container does not support is re-encoded.

    Args:
        path: the video.
        target: .mp4 (H.264), .mkv (H.264 or FFV1) or .webm (VP9).
        upscaler: enlarges the frames.
        options: the part to convert, and the encoder's settings.
        max_pixels: refuse larger frames; by default Pillow's limit for images.
        progress: called with the number of input pixels that were processed.
        resumable: store finished parts of a long video in a hidden folder beside the target, from
            which the same call resumes after an interruption.

    Returns:
        Notes on what is missing or changed in the result.

    Raises:
        UserError: the video cannot be read, is cut short, or cannot be written.
    """
    options = options or VideoOptions()
    require_av()
    check_target(target, options)
    from sr_experiments.upscale.video.parts import PART
    from sr_experiments.upscale.video.source import VideoSource

    limit = max_pixels if max_pixels is not None else Image.MAX_IMAGE_PIXELS
    with VideoSource(path, options.start, options.duration, limit) as source:
        if resumable and source.expected > PART:
            return _convert_in_parts(source, target, upscaler, options, progress)
        with atomic_write(target) as temporary, _name_target(target):
            notes = _convert(source, temporary, target, upscaler, options, progress)
            # Before the temporary file takes its name.
            return notes + _final_notes(source, options)


@contextmanager
def _name_target(target: Path) -> Iterator[None]:
    """Turn an error of FFmpeg into one that names the target."""
    from av.error import FFmpegError

    try:
        yield
    except FFmpegError as error:
        if isinstance(error, OSError) and error.errno and error.errno > 0:
            raise  # an error of the system, which `atomic_write` names
        raise UserError(
            "cannot-write",
            "{path}: cannot be written ({reason})",
            path=target,
            reason=error.strerror,
        ) from error


def _final_notes(source: "VideoSource", options: VideoOptions) -> list[Message]:
    """Notes on a source that was read to its end.

    Raises:
        UserError: it is cut short, and that is not accepted.
    """
    notes: list[Message] = []
    seconds = float(source.readable)
    if source.truncated and not options.keep_readable:
        raise UserError(
            "video-truncated",
            "{path}: cut short, only {seconds:.2f} of {total} seconds can be read; nothing was "
            "written, --keep-readable writes what can be read",
            path=source.path,
            seconds=seconds,
            total="?" if source.total is None else f"{float(source.total):.2f}",
        )
    if source.truncated:
        notes.append(
            Message(
                "note-video-truncated",
                "the video is cut short, and ends after {seconds:.2f} seconds",
                {"seconds": seconds},
            )
        )
    if source.damaged_packets:
        notes.append(
            Message(
                "note-damage-skipped",
                "{count} damaged packets of the video were skipped",
                {"count": source.damaged_packets},
            )
        )
    if source.damaged_frames:
        notes.append(
            Message(
                "note-frames-damaged",
                "{count} frames are damaged, and were enlarged as they could be read",
                {"count": source.damaged_frames},
            )
        )
    if source.gaps.found:
        notes.append(
            Message(
                "note-frames-missing",
                "frames for {seconds:.2f} seconds are missing in the video, the first at "
                "{first:.2f} seconds",
                {"seconds": float(source.gaps.seconds), "first": float(source.gaps.first)},
            )
        )
    if source.lost:
        notes.append(
            Message(
                "note-side-data-dropped",
                "not carried over: {names}",
                {"names": ", ".join(sorted(source.lost))},
            )
        )
    if source.interlaced:
        notes.append(
            Message(
                "note-interlaced",
                "the video is interlaced, and its two fields were enlarged as one frame",
            )
        )
    return notes


def _convert(
    source: "VideoSource",
    temporary: Path,
    target: Path,
    upscaler: Upscaler,
    options: VideoOptions,
    progress: Progress,
) -> list[Message]:
    """Convert the source in one pass."""
    from sr_experiments.upscale.video.sink import VideoSink

    sink = VideoSink(
        temporary, target.suffix.lower(), source, _encoder(source, target, upscaler, options)
    )
    try:
        _pump(source, source.chunks(sink.streams), upscaler, sink, progress)
        if not sink.begun:
            raise _no_frames(source)
        sink.finish()
        return sink.notes
    finally:
        sink.abandon()


def _convert_in_parts(
    source: "VideoSource",
    target: Path,
    upscaler: Upscaler,
    options: VideoOptions,
    progress: Progress,
) -> list[Message]:
    """Convert the source by way of parts, some of which an earlier run may have stored."""
    from sr_experiments.upscale.video.parts import PartWriter, parts_of
    from sr_experiments.upscale.video.sink import VideoSink
    from sr_experiments.upscale.video.source import VideoSource

    key = (options.start, options.duration, options.crf, options.lossless)
    with parts_of(source.path, target, f"{key} {upscaler.identity()}") as parts:
        before = parts.frames
        progress(before * source.stream.width * source.stream.height)
        encoder = _encoder(source, target, upscaler, options)
        _rehearse(source, parts.folder / "rehearsal", target, upscaler, options)
        try:
            with _name_target(target):
                writer = PartWriter(parts, encoder)
                try:
                    chunks = source.chunks(frozenset(), skip=before)
                    _pump(source, chunks, upscaler, writer, progress)
                    writer.finish()
                finally:
                    writer.abandon()
        except OSError as error:
            raise UserError(
                "cannot-write-part",
                "{path}: cannot be written ({reason}); the same command resumes after the finished "
                "parts",
                path=target,
                reason=error.strerror or error,
            ) from error
        if not parts.frames:
            raise _no_frames(source)
        notes = _final_notes(source, options)
        with (
            VideoSource(source.path, options.start, options.duration) as again,
            atomic_write(target) as temporary,
            _name_target(target),
        ):
            again.colour, again.matrix = source.colour, source.matrix
            encoder.source = again
            sink = VideoSink(temporary, target.suffix.lower(), again, encoder)
            try:
                others = again.others(sink.streams)
                sink.join(parts.packets(again.time_base), others, parts.headers)
                sink.finish()
            finally:
                sink.abandon()
        if before:
            notes.append(
                Message(
                    "note-resumed",
                    "resumed after {frames} frames of an earlier run",
                    {"frames": before},
                )
            )
        return sink.notes + notes


def _rehearse(
    source: "VideoSource", path: Path, target: Path, upscaler: Upscaler, options: VideoOptions
) -> None:
    """Write the beginning of the result, to meet before hours of work what would fail after it."""
    from sr_experiments.upscale.video.sink import VideoSink
    from sr_experiments.upscale.video.source import VideoSource

    with VideoSource(source.path, options.start, options.duration) as again, _name_target(target):
        if not any(chunk.rgb is not None for chunk in again.chunks(frozenset())):
            return
        encoder = _encoder(again, target, upscaler, options)
        sink = VideoSink(path, target.suffix.lower(), again, encoder)
        try:
            sink.rehearse(again.others(sink.streams))
        finally:
            sink.abandon()
            path.unlink(missing_ok=True)


def _encoder(
    source: "VideoSource", target: Path, upscaler: Upscaler, options: VideoOptions
) -> "FrameEncoder":
    from sr_experiments.upscale.video.encoder import FrameEncoder

    size = upscaler.size(source.stream.height, source.stream.width)
    kind = target.suffix.lower()
    return FrameEncoder(kind, source, size, crf=options.crf, lossless=options.lossless)


class _FrameWriter(Protocol):
    def put(self, chunk: "MediaChunk", large: NDArray[uint8] | None) -> None: ...


def _pump(
    source: "VideoSource",
    chunks: Iterable["MediaChunk"],
    upscaler: Upscaler,
    writer: _FrameWriter,
    progress: Progress,
) -> None:
    """Read in one thread, enlarge in this one, and write in a third."""
    count = upscaler.together(source.stream.height, source.stream.width)
    with (
        closing(prefetch(chunks, WAITING + count)) as ready,
        BackgroundCalls(writer.put, WAITING + count) as writing,
    ):
        for group in _groups(ready, count):
            frames = [torch.from_numpy(c.rgb) for c in group if c.rgb is not None]
            large = iter(upscaler.frames(torch.stack(frames), progress) if frames else ())
            for chunk in group:
                writing.put(chunk, None if chunk.rgb is None else next(large).numpy())


def _groups(chunks: Iterable["MediaChunk"], count: int) -> Iterator[list["MediaChunk"]]:
    """Chunks in order, with ``count`` frames at a time."""
    group: list[MediaChunk] = []
    frames = 0
    for chunk in chunks:
        group.append(chunk)
        frames += chunk.rgb is not None
        if frames == count:
            yield group
            group, frames = [], 0
    if group:
        yield group


def _no_frames(source: "VideoSource") -> UserError:
    if source.truncated:
        return UserError(
            "video-truncated-at-start",
            "{path}: cut short, no frame can be read; copy it again",
            path=source.path,
        )
    if source.start:
        return UserError(
            "start-after-end",
            "{path}: --start {start:g} is after its end at {seconds:.2f} seconds; choose an "
            "earlier one",
            path=source.path,
            start=float(source.start),
            seconds=float(source.readable),
        )
    return UserError(
        "video-frames-unreadable",
        "{path}: none of its frames can be read; replace or remove it",
        path=source.path,
    )
