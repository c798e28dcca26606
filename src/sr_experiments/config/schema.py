"""What the config of a run may say: types, ranges, what excludes what, and derived values.

``conf/`` states the defaults; this module states none. A node with ``_target_`` (a model, an
activation, an optimiser) has no fields here: the signature of what it names is its schema, checked
by :mod:`sr_experiments.config.instantiate`. Nothing here imports torch.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PlainSerializer,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sr_experiments.config.messages import invalid
from sr_experiments.core.device import computes_bf16
from sr_experiments.core.errors import UserError

#: Groups whose choice is kept in ``choices``, for directory names, tables and dashboards.
CHOICES = (
    "model",
    "activation",
    "convolution",
    "init",
    "method",
    "optimizer",
    "scheduler",
    "clipping",
    "averaging",
    "data",
    "benchmarks",
    "budget",
)


def _text(value: Any) -> Any:
    """The command line reads ``name=2024`` as a number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if number else value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _sources(value: Any) -> Any:
    """A text, or several; a union alone would name its types in the error's key."""
    value = tuple(map(_text, value)) if isinstance(value, list | tuple) else _text(value)
    texts = value if isinstance(value, tuple) and value else (value,)
    if not all(isinstance(text, str) and text for text in texts):
        raise PydanticCustomError("sources", "a data set or folder, or a list of them")
    return value


def _called(value: Any) -> Any:
    """A node whose ``_target_`` is null calls nothing."""
    return None if isinstance(value, Mapping) and value.get("_target_", "") is None else value


def _folder_name(value: str) -> str:
    if not re.fullmatch(r"[^\s./\\][^/\\]*", value):
        raise PydanticCustomError("folder_name", "a folder name without / and no dot in front")
    return value


def _finite(value: float) -> float:
    if not (value >= 0 and math.isfinite(value)):
        raise PydanticCustomError("not_negative", "a finite number, not negative")
    return value


def _devices(value: Any) -> Any:
    number = isinstance(value, int) and not isinstance(value, bool)
    if value is None or value is False or (number and value < 1 and value != -1):
        raise PydanticCustomError("devices", "at least 1, a list of devices, or auto")
    return value


Text = Annotated[str, BeforeValidator(_text)]
Folder = Annotated[Path, Field(strict=False), BeforeValidator(_text), PlainSerializer(str)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
#: A factory: ``_target_`` and the arguments of what it names.
Node = Annotated[Mapping[str, Any], BeforeValidator(_called)]
OptionalNode = Annotated[Mapping[str, Any] | None, BeforeValidator(_called)]
#: What a parent has otherwise than the run itself: ``{scale: 2, model.n_feats: 32}``.
Differences = Mapping[str, Any] | None


class Section(BaseModel):
    """A part of a config: immutable, without unknown keys, without silent conversions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, ser_json_inf_nan="constants"
    )


class Paths(Section):
    """Where files are read and written; never part of a run's identity."""

    data: Folder
    runs: Folder
    report: Folder
    cache: Folder


class Training(Section):
    """How long and on what a network is trained; mostly filled in by the budget."""

    epochs: NonNegativeInt
    scales: Annotated[tuple[PositiveInt, ...] | None, BeforeValidator(_tuple)]
    updates_per_epoch: PositiveInt
    recipe_epochs: Positive
    batch_size: PositiveInt
    patch_size: PositiveInt
    patch_of: Literal["lr", "hr"]
    lr: Annotated[float, AfterValidator(_finite)]
    accumulate: PositiveInt
    validate_every: PositiveInt
    checkpoint_every: PositiveInt
    may_diverge: bool
    spike: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None


class Source(Section):
    """One list of ground-truth images; of several sources, those of one after those of another."""

    source: Annotated[str | tuple[str, ...], BeforeValidator(_sources)]
    numbers: Text | None


class Data(Section):
    """The images to train on, and those to validate on."""

    train: Source
    val: Source
    lr: Literal["make", "disk"]
    border: Literal["mirror", "clamp"]
    small: Literal["refuse", "skip"]
    allow_overlap: bool


class Benchmarks(Section):
    """The data sets that a run is scored on."""

    sets: Annotated[tuple[Text, ...], BeforeValidator(_tuple), Field(min_length=1)]
    save_images: bool


class Clipping(Section):
    """How gradients are bounded."""

    algorithm: Literal["norm", "value", "adjustable"] | None
    value: Positive | None

    @model_validator(mode="after")
    def _both_or_neither(self) -> "Clipping":
        if (self.algorithm is None) != (self.value is None):
            raise UserError(
                "clipping-incomplete",
                "clipping.algorithm={algorithm}, clipping.value={value}: set both or neither, "
                "with clipping=norm, clipping=value or clipping=adjustable",
                algorithm=self.algorithm,
                value=self.value,
            )
        return self


class Budget(Section):
    """How much of the recipe is carried out."""

    name: Text


class Trainer(Section):
    """The devices, precision and processes of a run; ``fast`` is resolved before it is made."""

    accelerator: Text
    devices: Annotated[Any, AfterValidator(_devices)]
    num_nodes: PositiveInt
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"]
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "64-true"]
    fused: bool | None
    compile: Literal["default", "reduce-overhead", "max-autotune"] | None
    images: Literal["auto", "host"]
    threads: PositiveInt | None
    tf32: bool
    deterministic: bool
    progress: Literal["auto", "bar", "lines", "none"]

    @model_validator(mode="before")
    @classmethod
    def _resolve_fast(cls, values: Any) -> Any:
        """What ``precision=fast`` computes in here, so that identities tell it."""
        if isinstance(values, Mapping) and values.get("precision") == "fast":
            found = computes_bf16(str(values.get("accelerator")))
            values = {**values, "precision": "bf16-mixed" if found else "32-true"}
        return values

    @property
    def arithmetic(self) -> str:
        """The precision, and TF32 where it was chosen, as headers show it."""
        return f"{self.precision}, TF32" if self.tf32 else self.precision

    @property
    def is_distributed(self) -> bool:
        """Whether the run computes in a process group, possibly of a single process."""
        return self.strategy != "auto" or str(self.devices) != "1"


@dataclass(frozen=True)
class Change:
    """One value or choice of a group that was set on top of ``conf/``.

    Attributes:
        key: dotted, or the name of a group.
        value: plain Python.
        kind: ``set`` an existing key, ``add`` a new one (``+key``) or ``delete`` one (``~key``).
    """

    key: str
    value: Any
    kind: Literal["set", "add", "delete"] = "set"


class RunConfig(Section):
    """One run, resolved. ``conf/config.yaml`` explains each key.

    Attributes:
        choices: group -> the choice that was made, for the groups in :data:`CHOICES`.
        changes: what was set on top of ``conf/``; parents inherit it, nothing else reads it.
    """

    name: Annotated[Text, AfterValidator(_folder_name)]
    paper: Text | None
    scale: PositiveInt
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    paths: Paths
    start: Differences
    start_optimizer: bool
    teacher: Differences
    weights: Text | None
    reference: Differences
    training: Training
    data: Data
    benchmarks: Benchmarks
    activation: OptionalNode
    convolution: OptionalNode
    init: OptionalNode
    method: OptionalNode
    optimizer: OptionalNode
    scheduler: OptionalNode
    clipping: Clipping
    averaging: OptionalNode
    model: Node
    budget: Budget
    trainer: Trainer
    logger: OptionalNode
    choices: dict[str, str]
    changes: tuple[Change, ...] = Field(repr=False)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "RunConfig":
        """Check resolved values.

        Raises:
            UserError: naming the key, its value and what is expected.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise invalid(error.errors(include_url=False)[0], cls) from None

    @property
    def is_trained(self) -> bool:
        """Whether the run trains anything; ``method=none`` does not."""
        return self.method is not None

    @property
    def updates(self) -> int:
        """Optimiser steps of the whole training."""
        if not self.is_trained:
            return 0
        return self.training.epochs * self.training.updates_per_epoch

    def lr_patch(self, scale: int | None = None) -> int:
        """Side of a low-resolution patch at a scale, by default the run's own, in pixels.

        A side that is stated for the high-resolution patch (SRCNN 33, VDSR 41) becomes the nearest
        multiple of the scale.
        """
        size = self.training.patch_size
        if self.training.patch_of == "lr":
            return size
        return max(1, round(size / (scale or self.scale)))

    @property
    def further_scales(self) -> tuple[int, ...]:
        """The scales beside its own that the run trains on."""
        return tuple(scale for scale in self.training.scales or () if scale != self.scale)

    @property
    def is_compared(self) -> bool:
        """Whether the run has a reference; one that trains nothing is a reference itself."""
        return bool(self.reference) and self.is_trained

    @property
    def needs_teacher(self) -> bool:
        """Whether the method learns from a teacher."""
        return self.method is not None and "teacher" in self.method

    def plain(self) -> dict[str, Any]:
        """The config as plain Python, without the changes that led to it."""
        return self.model_dump(exclude={"changes"})

    @model_validator(mode="after")
    def _fits_together(self) -> "RunConfig":
        if self.is_trained:
            for key in ("init", "optimizer", "scheduler"):
                if getattr(self, key) is None:
                    raise UserError("no-value", "{key}: has no value; set {key}=...", key=key)
        if self.trainer.fused and self.trainer.precision == "16-mixed" and self.clipping.algorithm:
            raise UserError(
                "fused-clipping",
                "trainer.fused=true, trainer.precision=16-mixed: a fused optimiser unscales the "
                "gradients itself, too late for clipping={clipping}; set trainer.fused=null",
                clipping=self.clipping.algorithm,
            )
        begin, end = (self.averaging or {}).get("begin"), self.training.recipe_epochs
        if isinstance(begin, int | float) and not 0 <= begin < end:
            raise UserError(
                "averaging-too-late",
                "averaging.begin={begin:g}: the training ends at epoch {end:g} of its recipe "
                "(training.recipe_epochs), so nothing would be averaged; begin before, from 0 on",
                begin=begin,
                end=end,
            )
        scales = self.training.scales
        if scales is not None and self.scale not in scales:
            raise UserError(
                "scale-not-trained",
                "training.scales={scales}, scale={scale}: the scale that is scored must be one of "
                "those that are trained",
                scales=list(scales),
                scale=self.scale,
            )
        return self
