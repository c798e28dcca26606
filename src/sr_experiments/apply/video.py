"""From one video to another, its frames enlarged.

A thread reads and decodes, the caller's thread runs the network, and a third encodes and writes.
Few frames wait between them, so memory does not grow with the length.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from PIL import Image

from sr_experiments.apply.upscaler import Progress, Upscaler
from sr_experiments.errors import UserError
from sr_experiments.imaging.io import replacing

if TYPE_CHECKING:
    from sr_experiments.apply.video_read import VideoSource

#: File name suffixes that are taken for videos. GIF is a picture here, and keeps its palette.
SUFFIXES = frozenset({".mp4", ".m4v", ".mkv", ".wmv", ".webm", ".mov", ".avi"})
#: Suffixes that can be written.
FORMATS = (".mp4", ".mkv", ".webm")
#: Frames that wait between two threads.
WAITING = 3
_TICK = 0.1

T = TypeVar("T")


@dataclass(frozen=True)
class VideoOptions:
    """What is asked of videos only.

    Attributes:
        start: seconds that are left out.
        duration: seconds that are taken, or None for all.
        crf: the encoder's constant quality, 0 (best) to 51 (H.264) or 63 (VP9), or None.
        lossless: FFV1 with the network's own RGB values, in .mkv.
        keep_readable: of a video that is cut short, write what can be read.
    """

    start: Fraction = Fraction(0)
    duration: Fraction | None = None
    crf: int | None = None
    lossless: bool = False
    keep_readable: bool = False


def is_video(path: Path) -> bool:
    """By the suffix."""
    return path.suffix.lower() in SUFFIXES


def written_suffix(suffix: str, lossless: bool = False) -> str:
    """The suffix of a result where only the source's is known.

    WMV's and AVI's sound has no place in MP4, and Matroska holds it.
    """
    if lossless:
        return ".mkv"
    known = {".webm": ".webm", ".mkv": ".mkv", ".wmv": ".mkv", ".avi": ".mkv"}
    return known.get(suffix.lower(), ".mp4")


def check_target(target: Path, options: VideoOptions) -> None:
    """Refuse what the container or its encoder cannot do.

    Raises:
        UserError: which names the suffix or the option.
    """
    suffix = target.suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"{target}: a video can be written as {', '.join(FORMATS)}")
    if options.lossless and suffix != ".mkv":
        raise UserError(f"{target}: --lossless is written as .mkv only; name a .mkv file")
    if options.lossless and options.crf is not None:
        raise UserError("--crf and --lossless exclude each other; leave one out")
    most = 63 if suffix == ".webm" else 51
    if options.crf is not None and options.crf > most:
        raise UserError(f"--crf {options.crf}: at most {most} for {suffix}")


def require_av() -> None:
    """Raise a :class:`UserError` if PyAV is not installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        raise UserError(
            "videos need PyAV, which is not installed: pip install 'sr_experiments[video]'"
        ) from None


def measure_video(path: Path, options: VideoOptions | None = None) -> int:
    """Pixels of all frames that would be read, from the header; 0 if it cannot be told."""
    options = options or VideoOptions()
    try:
        from sr_experiments.apply.video_read import VideoSource

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
) -> list[str]:
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

    Returns:
        What was not taken over, in words.

    Raises:
        UserError: the video cannot be read, is cut short, or cannot be written.
    """
    options = options or VideoOptions()
    require_av()
    check_target(target, options)
    from av.error import FFmpegError

    from sr_experiments.apply.video_read import VideoSource

    limit = max_pixels if max_pixels is not None else Image.MAX_IMAGE_PIXELS
    with (
        VideoSource(path, options.start, options.duration, limit) as source,
        replacing(target) as temporary,
    ):
        try:
            notes = _convert(source, temporary, target, upscaler, options, progress)
        except FFmpegError as error:
            if isinstance(error, OSError) and error.errno and error.errno > 0:
                raise  # a full disk, which `replacing` names
            raise UserError(f"{target}: cannot be written ({error.strerror})") from error
        # Before the temporary file takes its name.
        seconds = float(source.readable)
        if source.cut and not options.keep_readable:
            raise UserError(
                f"{path}: cut short, only {seconds:.2f}{_of_all(source)} seconds can be read; "
                "nothing was written, --keep-readable writes as much"
            )
        if source.cut:
            notes.append(f"the video is cut short, and ends after {seconds:.2f} seconds")
        if source.damaged:
            notes.append(f"{source.damaged} damaged pieces of the video were passed over")
        if source.interlaced:
            notes.append("the video is interlaced, and its fields were enlarged as one picture")
    return notes


def _convert(
    source: "VideoSource",
    temporary: Path,
    target: Path,
    upscaler: Upscaler,
    options: VideoOptions,
    progress: Progress,
) -> list[str]:
    from sr_experiments.apply.video_write import VideoSink

    size = upscaler.size(source.stream.height, source.stream.width)
    kind = target.suffix.lower()
    sink = VideoSink(temporary, kind, source, size, crf=options.crf, lossless=options.lossless)
    pieces = ahead(source.pieces(sink.streams), WAITING)
    writer: Behind[Any] = Behind(lambda pair: sink.put(*pair), WAITING)
    try:
        for piece in pieces:
            large = None
            if piece.rgb is not None:
                large = upscaler.frames(torch.from_numpy(piece.rgb)[None], progress)[0].numpy()
            writer.put((piece, large))
        writer.finish()
        if not sink.begun:
            raise _nothing(source)
        sink.finish()
        return sink.notes
    finally:
        pieces.close()
        writer.stop()
        sink.abandon()


def _nothing(source: "VideoSource") -> UserError:
    if source.cut:
        return UserError(f"{source.path}: cut short, no frame can be read; copy it again")
    if source.start:
        return UserError(
            f"{source.path}: --start {float(source.start):g} is behind its end, "
            f"{float(source.readable):.2f} seconds; name an earlier one"
        )
    return UserError(f"{source.path}: none of its frames can be read; replace or remove it")


def _of_all(source: "VideoSource") -> str:
    return "" if source.total is None else f" of {float(source.total):.2f}"


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def ahead(items: Iterable[T], most: int) -> Generator[T, None, None]:
    """Iterate in another thread, at most ``most`` items ahead.

    Closing the generator ends the thread; its exception is raised here.
    """
    waiting: queue.Queue[Any] = queue.Queue(most)
    stopped = threading.Event()

    def give(item: Any) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(item, timeout=_TICK)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                give(item)
                if stopped.is_set():
                    return
            give(_END)
        except BaseException as error:  # whatever it is, it is raised in the caller's thread
            give(_Failure(error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stopped.set()
        thread.join()


class Behind(Generic[T]):
    """A thread that does something with each item, at most ``most`` items behind.

    Args:
        work: called with each item, in order.
        most: items that may wait.
    """

    def __init__(self, work: Callable[[T], None], most: int) -> None:
        self._waiting: queue.Queue[Any] = queue.Queue(most)
        self._work = work
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand an item over; raises what went wrong with an earlier one."""
        self._give(item)

    def finish(self) -> None:
        """Wait until all is done; raises what went wrong."""
        self._give(_END)
        self._thread.join()
        self._raise()

    def stop(self) -> None:
        """End the thread after the item that it is at, whatever waits."""
        self._stopped.set()
        self._thread.join()

    def _give(self, item: Any) -> None:
        while True:
            self._raise()
            try:
                return self._waiting.put(item, timeout=_TICK)
            except queue.Full:
                continue

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    item = self._waiting.get(timeout=_TICK)
                except queue.Empty:
                    continue
                if item is _END:
                    return
                self._work(item)
        except BaseException as error:  # whatever it is, it is raised in the caller's thread
            self._error = error
