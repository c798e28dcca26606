"""One file of a visitor, from its upload to its result."""

import re
import threading
import time
import unicodedata
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from pathlib import Path

from sr_experiments.core.errors import Message
from sr_experiments.serve.refusals import JobCancelledError, VisitorError

SCALES = (Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4))
#: Characters of a file name that are shown.
NAME_LENGTH = 80


class JobState(Enum):
    """Where a job is."""

    READY = "ready"  # uploaded, not yet started
    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class MediaKind(Enum):
    """What a file holds."""

    IMAGE = "image"
    ANIMATION = "animation"
    VIDEO = "video"


@dataclass(frozen=True)
class JobSettings:
    """What the visitor chose.

    Attributes:
        model: a name of the :class:`~sr_experiments.serve.model_list.ModelList`.
        scale: one of :data:`SCALES`.
        denoise: strength in [0, 1].
        sharpen: strength in [0, 1].
        keep: the visitor consents to the image being kept for training.
    """

    model: str
    scale: Fraction = Fraction(2)
    denoise: float = 0.0
    sharpen: float = 0.0
    keep: bool = False


@dataclass(frozen=True)
class Media:
    """What an uploaded file holds, according to its header.

    Attributes:
        kind: a still image, an animation or a video.
        width: of a frame as it is stored, in pixels.
        height: of a frame as it is stored, in pixels.
        frames: their number, estimated for a video.
        seconds: of a video, 0 if unknown.
    """

    kind: MediaKind
    width: int
    height: int
    frames: int = 1
    seconds: float = 0.0


@dataclass(frozen=True)
class ReferenceScores:
    """PSNR in dB and SSIM against the original.

    Attributes:
        protocol: name of the scoring rule.
        bicubic: scores of bicubic.
        network: scores of the result.
    """

    protocol: str
    bicubic: tuple[float, float]
    network: tuple[float, float]


@dataclass(eq=False)
class Job:
    """A file and what is done with it. Only the job store changes its state.

    Attributes:
        id: random; also the name of its folder.
        visitor: its owner.
        name: as the visitor knows it, shortened; never used as a path.
        folder: holds all its files and nothing else.
        source: the upload.
        media: what the upload holds.
        uploaded: time of the upload, in seconds of the store's clock.
        share: of the work that is done, in [0, 1].
        began: monotonic time at which the work began.
        took: seconds of the whole work.
        notes: what could not be carried over.
        failure: why it failed.
        reference: the original, if the visitor added one.
        reference_failure: why the result could not be compared with it.
        measuring: the job is in the queue, or at work, only to be measured.
        cropped: the comparison shows only the centre.
        kept: a copy was kept for training.
        stop: set to cancel the work.
    """

    id: str
    visitor: str
    name: str
    folder: Path
    source: Path
    media: Media
    uploaded: float = field(default_factory=time.time)
    state: JobState = JobState.READY
    settings: JobSettings | None = None
    share: float = 0.0
    began: float = 0.0
    took: float = 0.0
    notes: list[Message] = field(default_factory=list)
    failure: VisitorError | None = None
    result: Path | None = None
    reference: Path | None = None
    reference_name: str = ""
    reference_failure: VisitorError | None = None
    scores: ReferenceScores | None = None
    measuring: bool = False
    cropped: bool = False
    kept: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def seconds_left(self, now: float) -> float | None:
        """Estimated seconds until it is done; None while there is no estimate."""
        spent = now - self.began
        if self.state is not JobState.WORKING or self.share < 0.02 or spent < 1:
            return None
        return spent / self.share * (1 - self.share)

    def check(self, minutes: float) -> None:
        """Raise if the job was cancelled or has taken longer than ``minutes``."""
        if self.stop.is_set():
            raise JobCancelledError
        if time.monotonic() - self.began > 60 * minutes:
            raise VisitorError(
                "job-timeout",
                "{name}: processing took longer than the limit of {minutes} minutes.",
                name=self.name,
                minutes=f"{minutes:g}",
            )

    @property
    def download_name(self) -> str:
        """File name of the result on the visitor's disk."""
        assert self.result is not None and self.settings is not None
        stem = re.sub(r"\.[^.]*$", "", self.name) or "result"
        return f"{stem}-x{float(self.settings.scale):g}{self.result.suffix}"


def shown_name(name: str) -> str:
    """A client's file name as it may be shown: its last part, in one short line.

    Control characters and those that change the direction of writing are removed.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    plain = "".join(c for c in last if unicodedata.category(c)[0] != "C")
    plain = " ".join(plain.split()).strip(". ") or "file"
    if len(plain) <= NAME_LENGTH:
        return plain
    stem, dot, suffix = plain.rpartition(".")
    ending = dot + suffix if stem and len(suffix) <= 5 else ""
    return plain[: NAME_LENGTH - len(ending) - 1] + "\u2026" + ending
