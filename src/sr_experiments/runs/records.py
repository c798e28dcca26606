"""The files of a run directory, defined once for the runs that write them and all that read them.

Nothing here imports torch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

STATUS, RESULT, SCORES, HISTORY = "status.json", "result.json", "scores.csv", "history.csv"
#: The resolved config of the run.
CONFIG = "config.yaml"
#: Rewritten every few seconds while a run is computed.
PROGRESS = "progress.json"
#: Columns of ``scores.csv``: one line for each (image, data set, weights, protocol). Runs written
#: before lack the last.
SCORE_COLUMNS = ("dataset", "image", "weights", "protocol", "psnr", "ssim", "mean_error")

State = Literal["running", "finished", "failed", "interrupted"]


class ImageScore(NamedTuple):
    """PSNR in dB and, where the protocol has one, SSIM of one image.

    ``mean_error`` is SR minus HR in grey levels of 255, on the planes of PSNR; None in runs that
    did not record it.
    """

    psnr: float
    ssim: float | None
    mean_error: float | None = None


class ScoreKey(NamedTuple):
    """Which scores: of a data set, by raw or averaged weights, under a protocol."""

    dataset: str
    weights: str
    protocol: str


class Record(BaseModel):
    """A JSON file of a run, or a part of one. Keys of other versions of the suite are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(self.model_dump(), indent=1, ensure_ascii=False) + "\n"


class NetworkRecord(Record):
    """The network of a run; ``size`` as in 4x16 (residual blocks x features).

    ``multiply_adds`` are those for an output of 1280x720; None in runs that did not record them.
    """

    name: str
    size: str
    parameters: int
    multiply_adds: int | None = None


class TrainingRecord(Record):
    """What a run was trained on, and for how long.

    ``seconds`` were spent on the last ``updates_timed`` updates: those after the last resume;
    ``validation_seconds`` of these on validation. ``peak_memory`` is in bytes: what PyTorch had
    allocated on the GPU, else by how much the process grew while training (Linux).
    ``precision`` names TF32 where a GPU may use it; ``skipped_batches`` had a loss far above the
    usual (``training.spike``). ``start`` and ``teacher`` are the directories of parents. A control
    that was allowed to diverge has no scores; ``diverged_at`` is the update from which on its loss
    was no number of its ``updates``.
    """

    data: str
    images: int
    updates: int
    batch_size: int
    patch_size: int
    precision: str
    seconds: float | None = None
    updates_timed: int | None = None
    validation_seconds: float | None = None
    peak_memory: int | None = None
    skipped_batches: int | None = None
    diverged_at: int | None = None
    start: str | None = None
    teacher: str | None = None


class Mean(Record):
    """Means over the images of a data set."""

    psnr: float
    ssim: float | None
    images: Annotated[int, Field(gt=0)]


class Result(Record):
    """``result.json``."""

    identity: Annotated[str, Field(min_length=8)]
    experiment: str
    #: Group -> choice; ``words`` in runs of format 1.
    choices: dict[str, Any] = Field(validation_alias=AliasChoices("choices", "words"))
    settings: dict[str, Any] = {}
    scale: Annotated[int, Field(gt=0)]
    seed: int
    network: NetworkRecord | None
    training: TrainingRecord | None
    #: Data set -> weights -> protocol -> mean.
    means: dict[str, dict[str, dict[str, Mean]]]
    device: str = "unknown"
    versions: dict[str, str] = {}


class Status(Record):
    """``status.json``."""

    state: str
    identity: str
    experiment: str = ""
    error: str | None = None
    started: str | None = None
    ended: str | None = None
    process: int | None = None


class Progress(Record):
    """``progress.json``: how far a run is, as of the file's own time.

    ``done`` of ``total`` are updates while ``phase`` is ``training``, else images of the phase;
    ``per_second`` are those of the phase. ``psnr`` in dB is the last validation's, protocol ``y``.
    """

    phase: Literal["training", "validating", "scoring"]
    done: int
    total: int
    update: int
    updates: int
    per_second: float | None
    psnr: float | None
    host: str
    process: int
    device: str


@dataclass(frozen=True)
class Run:
    """One finished training and scoring, or the scoring of a method without training."""

    directory: Path
    identity: str
    experiment: str
    choices: Mapping[str, Any]
    #: Dotted keys of the config that can change the result, beyond choices.
    settings: Mapping[str, Any]
    scale: int
    seed: int
    network: NetworkRecord | None
    training: TrainingRecord | None
    #: For each (data set, weights, protocol), the scores of its images by name.
    scores: Mapping[ScoreKey, Mapping[str, ImageScore]]
    ended: datetime
    device: str = "unknown"

    def value(self, path: str) -> Any:
        """A value by its dotted path, as in ``choices.activation``; None where there is none."""
        head, _, key = path.partition(".")
        owner = getattr(self, head, None)
        if not key:
            return owner
        return owner.get(key) if isinstance(owner, Mapping) else getattr(owner, key, None)

    @property
    def diverged(self) -> str:
        """Where a control's training diverged, which then has no scores; empty if it did not."""
        update = self.training.diverged_at if self.training else None
        return f"x{self.scale} seed {self.seed}: diverged at update {update}" if update else ""

    @property
    def budget(self) -> str:
        """How much of the recipe was carried out."""
        return str(self.choices.get("budget", "unknown"))
