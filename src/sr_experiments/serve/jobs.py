"""One file of a visitor's, from its upload to its result."""

import re
import threading
import time
import unicodedata
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from pathlib import Path

from sr_experiments.serve.refusals import Cancelled, Refusal

SCALES = (Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4))
#: Characters of a file's name that are shown.
NAME = 80


class State(Enum):
    """Where a job is."""

    READY = "ready"  # uploaded, and not yet asked for
    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Kind(Enum):
    """What a file is."""

    PICTURE = "picture"
    ANIMATION = "animation"
    VIDEO = "video"


@dataclass(frozen=True)
class Settings:
    """What is asked for.

    Attributes:
        model: a name of the catalogue.
        scale: one of :data:`SCALES`.
        denoise: strength in [0, 1].
        sharpen: likewise.
        keep: the visitor agrees that the picture is kept to train on.
    """

    model: str
    scale: Fraction = Fraction(2)
    denoise: float = 0.0
    sharpen: float = 0.0
    keep: bool = False


@dataclass(frozen=True)
class Content:
    """What an uploaded file holds, as its header tells.

    Attributes:
        kind: a still picture, an animation or a video.
        width: of a frame, as it is stored.
        height: likewise.
        frames: how many, or are expected.
        seconds: of a video, 0 if unknown.
    """

    kind: Kind
    width: int
    height: int
    frames: int = 1
    seconds: float = 0.0


@dataclass(frozen=True)
class Measured:
    """PSNR in dB and SSIM against the ground truth.

    Attributes:
        protocol: the scoring rule's name.
        bicubic: of bicubic.
        network: of the result.
    """

    protocol: str
    bicubic: tuple[float, float]
    network: tuple[float, float]


@dataclass(eq=False)
class Job:
    """A file and what is done with it. Only the desk changes its state.

    Attributes:
        id: random; also the name of its folder.
        visitor: whose it is.
        name: as the visitor knows it, shortened; never used as a path.
        folder: all its files, and nothing else.
        source: the upload.
        content: what is in it.
        uploaded: seconds of the clock.
        share: of the work, in [0, 1].
        notes: what could not be taken over.
        failure: why it failed.
        truth: the ground truth, if the visitor gave one.
        truth_failure: why it could not be compared.
        part: the comparison shows only a part.
    """

    id: str
    visitor: str
    name: str
    folder: Path
    source: Path
    content: Content
    uploaded: float = field(default_factory=time.time)
    state: State = State.READY
    settings: Settings | None = None
    share: float = 0.0
    began: float = 0.0
    took: float = 0.0
    notes: list[str] = field(default_factory=list)
    failure: Refusal | None = None
    result: Path | None = None
    truth: Path | None = None
    truth_name: str = ""
    truth_failure: Refusal | None = None
    measured: Measured | None = None
    measuring: bool = False
    part: bool = False
    kept: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def left(self, now: float) -> float | None:
        """Seconds until it is done, or None while nobody can tell."""
        spent = now - self.began
        if self.state is not State.WORKING or self.share < 0.02 or spent < 1:
            return None
        return spent / self.share * (1 - self.share)

    def check(self, minutes: float) -> None:
        """Raise if the job was cancelled, or takes longer than it may."""
        if self.stop.is_set():
            raise Cancelled
        if time.monotonic() - self.began > 60 * minutes:
            raise Refusal("r_time", name=self.name, minutes=f"{minutes:g}")

    @property
    def download(self) -> str:
        """What the result is called at the visitor's."""
        assert self.result is not None and self.settings is not None
        stem = re.sub(r"\.[^.]*$", "", self.name) or "result"
        return f"{stem}-x{float(self.settings.scale):g}{self.result.suffix}"


def shown_name(name: str) -> str:
    """A client's file name as it may be shown: its last part, in one short line.

    Controls and characters that change the direction of writing are left out.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    plain = "".join(c for c in last if unicodedata.category(c)[0] != "C")
    plain = " ".join(plain.split()).strip(". ") or "file"
    if len(plain) <= NAME:
        return plain
    stem, dot, suffix = plain.rpartition(".")
    ending = dot + suffix if stem and len(suffix) <= 5 else ""
    return plain[: NAME - len(ending) - 1] + "\u2026" + ending
