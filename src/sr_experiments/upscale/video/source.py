"""Reading a video: frames in RGB with their times, and the packets of all other streams."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Disposition
from numpy.typing import NDArray

from sr_experiments.core.errors import UserError
from sr_experiments.upscale.video.completeness import FrameGaps, asf_duration, is_truncated
from sr_experiments.upscale.video.frame_colour import Colour, colour_of, to_rgb

#: FFmpeg's demuxers that may open a file. Playlists are excluded: they name other files and
#: addresses, which must not be opened.
_FORMATS = "mov,matroska,asf,avi,mpegts,mpeg,flv"
#: Those whose header has the true duration.
_SURE = ("mov", "matroska", "asf", "avi")
#: Side data of frames that no encoder here writes, by what a user calls it.
_LOST_SIDE_DATA = {
    "MASTERING_DISPLAY_METADATA": "HDR",
    "CONTENT_LIGHT_LEVEL": "HDR",
    "DYNAMIC_HDR_PLUS": "HDR",
    "DYNAMIC_HDR_VIVID": "HDR",
    "DOVI_METADATA": "HDR",
    "DOVI_RPU_BUFFER": "HDR",
    "A53_CC": "closed captions",
}
#: Packets of audio and subtitles in a chunk where no frame comes between.
_PACKETS = 256


@dataclass
class MediaChunk:
    """Packets to be copied, and the frame that follows them.

    Attributes:
        packets: of other streams, their times already shifted.
        rgb: uint8 ``(3, H, W)``, or None where packets come alone.
        pts: in units of the video stream's time base, from the start of the result.
        duration: in the same units; 0 if not known.
    """

    packets: list[av.Packet] = field(default_factory=list)
    rgb: NDArray[np.uint8] | None = None
    pts: int = 0
    duration: int = 0


class VideoSource:
    """An open video.

    Args:
        path: the file.
        start: seconds to skip.
        duration: seconds to read; all if None.
        max_pixels: refuse larger frames.

    Attributes:
        container: PyAV's.
        stream: the video stream that is read.
        colour: of the first frame; set once it is read, as is ``matrix``.
        matrix: the display matrix, 9 integers, or None.
        readable: seconds up to the end of the last frame that could be read.
        truncated: the file ends before it should; known once all is read.
        damaged_packets: number of packets that could not be decoded.
        damaged_frames: number of frames that were decoded in part.
        gaps: where frames are missing.
        lost: names of what frames have besides their pixels and is not written, such as HDR.
        interlaced: some frame consists of two fields.

    Raises:
        UserError: missing, no video, cut short before its index, or too large.
    """

    def __init__(
        self,
        path: Path,
        start: Fraction = Fraction(0),
        duration: Fraction | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self.path, self.start = path, start
        self.end = None if duration is None else start + duration
        self.colour: Colour | None = None
        self.matrix: list[int] | None = None
        self.readable = Fraction(0)
        self.truncated = self.interlaced = False
        self.damaged_packets = self.damaged_frames = 0
        self.lost: set[str] = set()
        self.container = _opened(path)
        try:
            videos = [
                s
                for s in self.container.streams.video
                if not s.disposition & Disposition.attached_pic and s.codec_context is not None
            ]
            if not videos:
                raise UserError(
                    "video-stream-missing",
                    "{path}: there is no video in it; name another file",
                    path=path,
                )
            self.stream = videos[0]
            self._check_size(max_pixels)
        except BaseException:
            self.container.close()
            raise
        self.stream.thread_type = "AUTO"
        base = self.stream.time_base
        self.time_base: Fraction = base if base else Fraction(1, 90000)
        #: Where the file's clock begins; audio may begin before zero, and players drop that part.
        self.origin = Fraction(max(0, self.container.start_time or 0), av.time_base)
        total = self.container.duration
        self.total = Fraction(total, av.time_base) if total and total > 0 else None
        name = self.container.format.name
        #: Whether the file is smaller than its header says; None where that is not known.
        self._small = is_truncated(path, name)
        if name == "asf":
            self.total = self.total or asf_duration(path)
        if name == "avi" and self.stream.frames:
            # FFmpeg guesses its duration from what is there; the count is that of the header.
            self.total = self.stream.frames / self.rate
        if name.startswith("matroska") and self.total is not None and self.total > self.origin:
            self.total -= self.origin  # its header counts from zero
        self.gaps = FrameGaps(1 / self.rate)

    def _check_size(self, max_pixels: int | None) -> None:
        width, height = self.stream.width, self.stream.height
        if width < 1 or height < 1:
            raise UserError(
                "video-size-missing",
                "{path}: its frames have no size; the file is damaged",
                path=self.path,
            )
        if max_pixels is not None and width * height > max_pixels:
            raise UserError(
                "video-too-large",
                "{path}: frames of {width}x{height}, at most {limit:,} pixels are read; "
                "--max-pixels raises that if you trust the file",
                path=self.path,
                width=width,
                height=height,
                limit=max_pixels,
            )

    def __enter__(self) -> "VideoSource":
        return self

    def __exit__(self, *failure: object) -> None:
        self.container.close()

    @property
    def whole(self) -> bool:
        """Whether all of it is read."""
        return not self.start and self.end is None

    @property
    def rate(self) -> Fraction:
        """Average frames per second; guessed where the file does not have it."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return rate if rate and 0 < rate <= 1000 else Fraction(25)

    @property
    def expected(self) -> int:
        """Estimated number of frames to be read."""
        if self.total is None:
            return 0
        last = self.total if self.end is None else min(self.end, self.total)
        known = self.stream.frames if self.whole else 0
        return known or max(0, round((last - self.start) * self.rate))

    def chunks(self, copied: frozenset[int], skip: int = 0) -> Iterator[MediaChunk]:
        """Frames in the order of presentation, with the packets between them.

        Args:
            copied: indices of the streams whose packets are returned.
            skip: frames at the beginning that are decoded and dropped.

        Raises:
            UserError: the size of the frames changes, or their colours cannot be read.
        """
        if self.start:
            with suppress(FFmpegError):  # without an index it is read from its beginning
                self.container.seek(int((self.start + self.origin) * av.time_base), backward=True)
        waiting: list[av.Packet] = []
        last = None
        for packet in self._packets():
            stream = packet.stream
            if stream.index != self.stream.index:
                if stream.index in copied and self._shifted(packet):
                    waiting.append(packet)
                    if len(waiting) >= _PACKETS:
                        yield MediaChunk(waiting)
                        waiting = []
                continue
            for frame in self._decoded(packet):
                pts = self._pts(frame, last)
                last = pts
                time = pts * self.time_base - self.origin
                length = frame.duration or 0
                step = length * self.time_base if length else 1 / self.rate
                if self.end is not None and time >= self.end:
                    yield MediaChunk(waiting)
                    return
                self.readable = max(self.readable, time + step)
                if time < self.start:
                    continue
                self.gaps.add(time, step)
                colour = self._seen(frame)
                if skip:
                    skip -= 1
                    continue
                offset = round((self.origin + self.start) / self.time_base)
                yield MediaChunk(waiting, to_rgb(frame, colour), pts - offset, length)
                waiting = []
        self.truncated = self.truncated or self._ends_early()
        yield MediaChunk(waiting)

    def others(self, copied: frozenset[int]) -> Iterator[av.Packet]:
        """The packets of other streams, as in :meth:`chunks`."""
        if not copied:
            return
        if self.start:
            with suppress(FFmpegError):
                self.container.seek(int((self.start + self.origin) * av.time_base), backward=True)
        streams = [s for s in self.container.streams if s.index in copied]
        with suppress(FFmpegError):  # a truncated file ends here
            for packet in self.container.demux(streams):
                if not packet.is_corrupt and self._shifted(packet):
                    yield packet

    def _packets(self) -> Iterator[av.Packet]:
        """All packets, with an empty one of the video at the end, which flushes its decoder."""
        self._reached = self._filmed = Fraction(0)
        streams = [s for s in self.container.streams if s.type in ("video", "audio", "subtitle")]
        packets = self.container.demux(streams)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:
                self.truncated = True
                # The decoder still holds complete frames.
                flush: Any = av.Packet()
                flush.stream = self.stream
                yield flush
                return
            if packet is None:
                return
            if packet.size and packet.pts is not None and not packet.is_corrupt:
                after = (packet.pts + (packet.duration or 0)) * packet.time_base
                self._reached = max(self._reached, after - self.origin)
                if packet.stream.index == self.stream.index:
                    self._filmed = max(self._filmed, after - self.origin)
            if packet.is_corrupt and self.container.format.name.startswith(_SURE):
                self.truncated = True  # fewer bytes than its header says
                continue
            yield packet

    def _ends_early(self) -> bool:
        """Whether less was read than the header says, of the stream or else of the file."""
        if self._small is not None:
            return self._small
        if not self.container.format.name.startswith(_SURE):
            return False
        # ASF counts whole blocks of audio, of which the last may be nearly empty.
        least = Fraction(1) if self.container.format.name == "asf" else Fraction(1, 4)
        slack = max(least, 2 / self.rate)
        if self.stream.duration:
            begin = (self.stream.start_time or 0) * self.time_base - self.origin
            return self._filmed + slack < begin + self.stream.duration * self.time_base
        return self.total is not None and self._reached + slack < self.total

    def _decoded(self, packet: av.Packet) -> list[av.VideoFrame]:
        try:
            return self.stream.decode(packet if packet.size else None)
        except av.EOFError:
            return []
        except FFmpegError:
            self.damaged_packets += 1
            return []

    def _pts(self, frame: av.VideoFrame, last: int | None) -> int:
        """The frame's time, made later than the one before where the file is wrong."""
        step = max(1, round(1 / (self.rate * self.time_base)))
        # AVI stores no times of presentation; those of decoding come in the order of frames.
        pts = frame.pts if self.container.format.name != "avi" else frame.dts or frame.pts
        if pts is None:
            return (
                round((self.origin + self.start) / self.time_base) if last is None else last + step
            )
        if frame.time_base and frame.time_base != self.time_base:
            pts = round(pts * frame.time_base / self.time_base)
        return pts if last is None or pts > last else last + 1

    def _seen(self, frame: av.VideoFrame) -> Colour:
        """Check a frame and record what it tells about the video."""
        if (frame.width, frame.height) != (self.stream.width, self.stream.height):
            at = float(self.readable)
            raise UserError(
                "video-size-changes",
                "{path}: the size of its frames changes to {width}x{height} at {seconds:.2f} s; "
                "--duration takes what comes before",
                path=self.path,
                width=frame.width,
                height=frame.height,
                seconds=at,
            )
        try:
            if self.colour is None:
                self.colour = colour_of(frame, self.stream.codec_context.name)
                self.matrix = _display_matrix(frame)
        except UserError as error:
            raise UserError(
                "video-colours-unsupported", "{path}: {reason}", path=self.path, reason=error
            ) from None
        self.interlaced = self.interlaced or frame.interlaced_frame
        self.damaged_frames += frame.is_corrupt
        data: Any = frame.side_data
        self.lost.update(
            _LOST_SIDE_DATA[item.type.name] for item in data if item.type.name in _LOST_SIDE_DATA
        )
        return self.colour

    def _shifted(self, packet: av.Packet) -> bool:
        """Shift a packet's times to those of the result; False if it is not to be copied."""
        if not packet.size or packet.pts is None:
            return False
        base = packet.time_base
        begin = packet.pts * base - self.origin
        if self.start or self.end is not None:
            last = begin + (packet.duration or 0) * base
            caption = packet.stream.type == "subtitle" and last > self.start
            if begin < self.start and not caption:
                return False
            if self.end is not None and begin >= self.end:
                return False
        offset = round((self.origin + self.start) / base)
        dts = packet.pts if packet.dts is None else packet.dts
        packet.pts, packet.dts = packet.pts - offset, dts - offset
        if self.start and packet.pts < 0:  # a caption that is shown already at the start
            packet.duration = max(1, (packet.duration or 0) + packet.pts)
            packet.pts = packet.dts = 0
        return True


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise UserError("video-missing", "{path}: there is no such file", path=path)
    if path.stat().st_size == 0:
        raise UserError("video-empty", "{path}: the file is empty; replace or remove it", path=path)
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        # "file:" lest a name with a colon be taken for an address.
        return av.open(f"file:{path}", "r", options=options, metadata_errors="replace")
    except (FFmpegError, OSError, ValueError) as error:
        with path.open("rb") as file:
            head = file.read(8)
        if head[4:] in (b"ftyp", b"moov", b"mdat"):
            raise UserError(
                "video-index-missing",
                "{path}: cut short, 0 seconds can be read: the index at its end is missing; copy "
                "it again from its source",
                path=path,
            ) from None
        if isinstance(error, PermissionError):
            raise UserError(
                "video-not-permitted",
                "{path}: no permission to read it; change its permissions",
                path=path,
            ) from None
        raise UserError(
            "video-unreadable",
            "{path}: not a video that FFmpeg can read; replace or remove it",
            path=path,
        ) from None


def _display_matrix(frame: av.VideoFrame) -> list[int] | None:
    data: Any = frame.side_data
    try:
        matrix = data["DISPLAYMATRIX"]
    except KeyError:
        return None
    return np.frombuffer(bytes(matrix), np.int32)[:9].tolist()
