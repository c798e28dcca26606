"""From one video to another, its frames enlarged.

A thread reads and decodes, the caller's thread runs the network, and a third encodes and writes.
Few frames wait between them, so memory does not grow with the length.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from numpy import uint8
from numpy.typing import NDArray
from PIL import Image

from sr_experiments.core.errors import Message, UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.upscale.threads import Behind, ahead
from sr_experiments.upscale.upscaler import Progress, Upscaler
from sr_experiments.upscale.video.options import VideoOptions, check_target, require_av

if TYPE_CHECKING:
    from sr_experiments.upscale.video.encoder import FrameEncoder
    from sr_experiments.upscale.video.source import Piece, VideoSource

#: Frames that wait between two threads.
WAITING = 3


def measure_video(path: Path, options: VideoOptions | None = None) -> int:
    """Pixels of all frames that would be read, from the header; 0 if it cannot be told."""
    options = options or VideoOptions()
    try:
        from sr_experiments.upscale.video.source import VideoSource

        with VideoSource(path, options.start, options.duration) as source:
            return source.stream.width * source.stream.height * source.expected
    except Exception:  # whatever is wrong with it is said when the video's turn comes
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

    Frames keep their times, colours, rotation and pixel shape. Sound and subtitles are copied;
    sound that the container cannot hold is encoded anew.

    Args:
        path: the video.
        target: .mp4 (H.264), .mkv (H.264 or FFV1) or .webm (VP9).
        upscaler: what enlarges.
        options: the part that is wanted, and the encoder's.
        max_pixels: refuse larger frames; by default Pillow's limit for pictures.
        progress: called with the number of input pixels that are done.
        resumable: store what is done of a long video in a hidden folder beside the target, from
            which the same call goes on after an interruption.

    Returns:
        What was not taken over, in words.

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
            return _in_parts(source, target, upscaler, options, progress)
        with atomic_write(target) as temporary, _named(target):
            notes = _convert(source, temporary, target, upscaler, options, progress)
            # Before the temporary file takes its name.
            return notes + _remarks(source, options)


@contextmanager
def _named(target: Path) -> Iterator[None]:
    """What FFmpeg cannot write is said of the target."""
    from av.error import FFmpegError

    try:
        yield
    except FFmpegError as error:
        if isinstance(error, OSError) and error.errno and error.errno > 0:
            raise  # a full disk, which `replacing` names
        raise UserError(
            "cannot-write",
            "{path}: cannot be written ({reason})",
            path=target,
            reason=error.strerror,
        ) from error


def _remarks(source: "VideoSource", options: VideoOptions) -> list[Message]:
    """What is to be said of a source that is read to its end, if it may be used at all."""
    notes: list[Message] = []
    seconds = float(source.readable)
    if source.cut and not options.keep_readable:
        raise UserError(
            "video-truncated",
            "{path}: cut short, only {seconds:.2f}{of_total} seconds can be read; nothing was "
            "written, --keep-readable writes as much",
            path=source.path,
            seconds=seconds,
            of_total=_of_all(source),
        )
    if source.cut:
        notes.append(
            Message(
                "note-video-truncated",
                "the video is cut short, and ends after {seconds:.2f} seconds",
                {"seconds": seconds},
            )
        )
    if source.damaged:
        notes.append(
            Message(
                "note-damage-skipped",
                "{count} damaged pieces of the video were passed over",
                {"count": source.damaged},
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
    """From the source to a file, in one go."""
    from sr_experiments.upscale.video.sink import VideoSink

    sink = VideoSink(
        temporary, target.suffix.lower(), source, _encoder(source, target, upscaler, options)
    )
    try:
        _pump(source, source.pieces(sink.streams), upscaler, sink, progress)
        if not sink.begun:
            raise _nothing(source)
        sink.finish()
        return sink.notes
    finally:
        sink.abandon()


def _in_parts(
    source: "VideoSource",
    target: Path,
    upscaler: Upscaler,
    options: VideoOptions,
    progress: Progress,
) -> list[Message]:
    """From the source to a file by way of parts, some of which may be there already."""
    from sr_experiments.upscale.video.parts import PartWriter, parts_of
    from sr_experiments.upscale.video.sink import VideoSink
    from sr_experiments.upscale.video.source import VideoSource

    wanted = (options.start, options.duration, options.crf, options.lossless)
    with parts_of(source.path, target, f"{wanted} {upscaler.identity()}") as parts:
        before = parts.frames
        progress(before * source.stream.width * source.stream.height)
        encoder = _encoder(source, target, upscaler, options)
        try:
            with _named(target):
                writer = PartWriter(parts, encoder)
                try:
                    pieces = source.pieces(frozenset(), skip=before)
                    _pump(source, pieces, upscaler, writer, progress)
                    writer.finish()
                finally:
                    writer.abandon()
        except OSError as error:
            raise UserError(
                f"{target}: cannot be written ({error.strerror or error}); the same command goes "
                "on after what is done"
            ) from error
        if not parts.frames:
            raise _nothing(source)
        remarks = _remarks(source, options)
        with (
            VideoSource(source.path, options.start, options.duration) as again,
            atomic_write(target) as temporary,
            _named(target),
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
            remarks.append(
                Message(
                    "note-resumed",
                    "went on after {frames} frames of an earlier run",
                    {"frames": before},
                )
            )
        return sink.notes + remarks


def _encoder(
    source: "VideoSource", target: Path, upscaler: Upscaler, options: VideoOptions
) -> "FrameEncoder":
    from sr_experiments.upscale.video.encoder import FrameEncoder

    size = upscaler.size(source.stream.height, source.stream.width)
    kind = target.suffix.lower()
    return FrameEncoder(kind, source, size, crf=options.crf, lossless=options.lossless)


class _Taker(Protocol):
    def put(self, piece: "Piece", large: NDArray[uint8] | None) -> None: ...


def _pump(
    source: "VideoSource",
    given: Iterable["Piece"],
    upscaler: Upscaler,
    taker: _Taker,
    progress: Progress,
) -> None:
    """Read in one thread, enlarge in this one, and hand over in a third."""
    most = upscaler.together(source.stream.height, source.stream.width)
    pieces = ahead(given, WAITING + most)
    writer: Behind[Any] = Behind(lambda pair: taker.put(*pair), WAITING + most)
    try:
        for group in _groups(pieces, most):
            frames = [torch.from_numpy(p.rgb) for p in group if p.rgb is not None]
            large = iter(upscaler.frames(torch.stack(frames), progress) if frames else ())
            for piece in group:
                writer.put((piece, None if piece.rgb is None else next(large).numpy()))
        writer.finish()
    finally:
        pieces.close()
        writer.stop()


def _groups(pieces: Iterable["Piece"], most: int) -> Iterator[list["Piece"]]:
    """Pieces in order, with ``most`` frames at a time."""
    group: list[Piece] = []
    frames = 0
    for piece in pieces:
        group.append(piece)
        frames += piece.rgb is not None
        if frames == most:
            yield group
            group, frames = [], 0
    if group:
        yield group


def _nothing(source: "VideoSource") -> UserError:
    if source.cut:
        return UserError(
            "video-truncated-at-start",
            "{path}: cut short, no frame can be read; copy it again",
            path=source.path,
        )
    if source.start:
        return UserError(
            f"{source.path}: --start {float(source.start):g} is behind its end, "
            f"{float(source.readable):.2f} seconds; name an earlier one"
        )
    return UserError(
        "video-frames-unreadable",
        "{path}: none of its frames can be read; replace or remove it",
        path=source.path,
    )


def _of_all(source: "VideoSource") -> str:
    return "" if source.total is None else f" of {float(source.total):.2f}"
