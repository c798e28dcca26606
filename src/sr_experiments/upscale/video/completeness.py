"""Whether a video file is whole: by the sizes in its header, and by the times of its frames.

FFmpeg reads what is there and does not tell what is missing. Imports neither torch nor PyAV.
"""

import struct
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

#: ASF's File Properties Object.
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
#: Matroska's Segment, which holds all but the file's first few bytes.
_SEGMENT = bytes.fromhex("18538067")
_HEAD = 1 << 16
#: A step between frames is the usual one within this share of it, and a gap beyond the next.
_SAME, _GAP = Fraction(1, 10), Fraction(3, 2)
#: The share of usual steps of a video with a constant rate, and the fewest steps to tell.
_STEADY, _FEWEST = Fraction(9, 10), 10


def is_truncated(path: Path, container: str) -> bool | None:
    """Whether a file is smaller than its header says.

    Args:
        path: the file.
        container: FFmpeg's name of it.

    Returns:
        None where the header does not tell, as of a recording that was interrupted.
    """
    with path.open("rb") as file:
        if container == "asf":
            return _asf_is_truncated(file.read(_HEAD), path.stat().st_size)
        if container == "avi":
            return _avi_is_truncated(file, path.stat().st_size)
        if container.startswith("matroska"):
            return _matroska_is_truncated(file.read(_HEAD), path.stat().st_size)
    return None


def _asf_is_truncated(head: bytes, size: int) -> bool | None:
    """Source: Advanced Systems Format, section 3.2."""
    properties = _asf_properties(head)
    # Whole by its size, it may still lack blocks that its duration counts.
    return True if properties is not None and size < properties[0] else None


def asf_duration(path: Path) -> Fraction | None:
    """Seconds, which FFmpeg does not give for a file that is cut short."""
    with path.open("rb") as file:
        properties = _asf_properties(file.read(_HEAD))
    if properties is None:
        return None
    _, _, _, play, _, preroll, _ = properties
    seconds = Fraction(play, 10**7) - Fraction(preroll, 1000)
    return seconds if seconds > 0 else None


def _asf_properties(head: bytes) -> tuple[int, ...] | None:
    at = head.find(_ASF_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return None
    properties = struct.unpack_from("<6QI", head, at + 40)
    # The last bit of the flags: a live stream, whose size was not known.
    return None if properties[-1] & 1 else properties


def _avi_is_truncated(file: BinaryIO, size: int) -> bool | None:
    """Source: OpenDML AVI file format extensions; a file is a list of RIFF chunks."""
    at = end = 0
    while at + 12 <= size:
        file.seek(at)
        kind, length, form = struct.unpack("<4sI4s", file.read(12))
        if kind != b"RIFF" or form[:3] != b"AVI":
            return None if at == 0 else False  # other bytes behind the video
        if length == 0:
            return None  # never finished
        end = at + 8 + length
        at = end + length % 2
    return end > size


def _matroska_is_truncated(head: bytes, size: int) -> bool | None:
    """Source: RFC 8794, sections 4 and 6.2: all ones is an unknown size."""
    at = head.find(_SEGMENT)
    if at < 0 or len(head) < at + 12 or head[at + 4] == 0:
        return None
    width = 9 - head[at + 4].bit_length()
    value = int.from_bytes(head[at + 4 : at + 4 + width], "big") & ((1 << 7 * width) - 1)
    if value == (1 << 7 * width) - 1:
        return None
    return size < at + 4 + width + value


class FrameGaps:
    """Finds where frames are missing in a video whose rate is constant.

    Args:
        step: seconds between two frames.

    Attributes:
        seconds: that are missing in all.
        first: seconds at which the first gap begins.
    """

    def __init__(self, step: Fraction) -> None:
        self.step = step
        self.seconds = self.first = Fraction(0)
        self._end: Fraction | None = None
        self._time = Fraction(0)
        self._steps = self._usual = 0

    def add(self, time: Fraction, duration: Fraction) -> None:
        """Take in the next frame: when it is shown, and for how long, in seconds."""
        if self._end is not None:
            between = time - self._time
            self._steps += 1
            self._usual += abs(between - self.step) <= _SAME * self.step
            if time - self._end > (_GAP - 1) * self.step and between > _GAP * self.step:
                if not self.seconds:
                    self.first = self._end
                self.seconds += time - self._end
        self._time, self._end = time, time + max(duration, self.step)

    @property
    def found(self) -> bool:
        """Whether frames are missing: there are gaps, and otherwise the rate is constant."""
        return (
            bool(self.seconds) and self._steps >= _FEWEST and (self._usual >= _STEADY * self._steps)
        )
