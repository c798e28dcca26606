"""Contents of a run directory, as the report reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


class ImageScore(NamedTuple):
    """PSNR in dB and, where the protocol has one, SSIM of one image."""

    psnr: float
    ssim: float | None


class ScoreKey(NamedTuple):
    """Which scores: of a data set, by raw or averaged weights, under a protocol."""

    dataset: str
    weights: str
    protocol: str


class Record(BaseModel):
    """What a run has written: keys that a report does not need may come and go."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class NetworkRecord(Record):
    """The network of a run; ``size`` as in 4x16 (residual blocks x features).

    ``multiply_adds`` are for an output image of 1280x720; None if they were not written.
    """

    name: str
    size: str
    parameters: int
    multiply_adds: int | None = None


class TrainingRecord(Record):
    """What a run was trained on, and for how long."""

    data: str
    images: int
    updates: int
    batch_size: int
    patch_size: int
    precision: str


class Mean(Record):
    """Means over the images of a data set."""

    psnr: float
    ssim: float | None
    images: Annotated[int, Field(gt=0)]


class Result(Record):
    """``result.json``."""

    identity: Annotated[str, Field(min_length=8)]
    experiment: str
    #: Group -> choice; runs written before have it as ``words``.
    words: dict[str, Any] = Field(validation_alias=AliasChoices("choices", "words"))
    settings: dict[str, Any] = {}
    scale: Annotated[int, Field(gt=0)]
    seed: int
    network: NetworkRecord | None
    training: TrainingRecord | None
    means: dict[str, dict[str, dict[str, Mean]]]


class Status(Record):
    """``status.json``."""

    state: str
    identity: str
    error: str | None = None
    ended: str | None = None


@dataclass(frozen=True)
class Run:
    """One finished training and scoring, or the scoring of a method without training."""

    directory: Path
    identity: str
    experiment: str
    words: Mapping[str, Any]
    #: Dotted keys of the config that can change the result, beyond words.
    settings: Mapping[str, Any]
    scale: int
    seed: int
    network: NetworkRecord | None
    training: TrainingRecord | None
    #: For each (data set, weights, protocol), the scores of its images by name.
    scores: Mapping[ScoreKey, Mapping[str, ImageScore]]
    ended: datetime

    def value(self, path: str) -> Any:
        """A value by its dotted path, as in ``words.activation``; None where there is none."""
        head, _, key = path.partition(".")
        owner = getattr(self, head, None)
        if not key:
            return owner
        return owner.get(key) if isinstance(owner, Mapping) else getattr(owner, key, None)

    @property
    def budget(self) -> str:
        """How much of the recipe was carried out."""
        return str(self.words.get("budget", "unknown"))
