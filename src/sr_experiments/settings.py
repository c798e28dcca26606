"""The schema of the configs: what may be said, and of which type.

Words of the suite are typed here. A node with ``_target_`` (a model, an activation, an optimiser)
has no schema of its own: the signature of what it names is its schema, checked by
``sr_experiments.factories`` before anything is read. Nothing here imports torch.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict

from sr_experiments.errors import UserError
from sr_experiments.messages import explained
from sr_experiments.places import conf_dir


@dataclass
class Paths:
    """Where things lie; never part of a run's identity."""

    data: str = MISSING
    runs: str = MISSING
    report: str = MISSING
    cache: str = MISSING


@dataclass
class Training:
    """How long and on what a network is trained; filled in by the budget."""

    epochs: int = MISSING
    scales: list[int] | None = None
    updates_per_epoch: int = MISSING
    recipe_epochs: float = MISSING
    batch_size: int = MISSING
    patch_size: int = MISSING
    lr: float = MISSING
    accumulate: int = MISSING
    validate_every: int = MISSING
    checkpoint_every: int = MISSING


@dataclass
class Source:
    """One list of ground-truth pictures."""

    source: str = MISSING
    numbers: str | None = None


@dataclass
class Data:
    """What is trained on, and what is looked at while training."""

    train: Source = field(default_factory=Source)
    val: Source = field(default_factory=Source)
    lr: str = MISSING
    border: str = MISSING
    small: str = MISSING
    allow_overlap: bool = MISSING


@dataclass
class Benchmarks:
    """What a run is scored on."""

    sets: list[str] = MISSING
    save_images: bool = MISSING


@dataclass
class Clipping:
    """How gradients are bounded; see ``conf/clipping``."""

    algorithm: str | None = None
    value: float | None = None


@dataclass
class Budget:
    """How much of the recipe is carried out."""

    name: str = MISSING


@dataclass
class Trainer:
    """Where a run computes."""

    accelerator: str = MISSING
    devices: Any = MISSING
    num_nodes: int = MISSING
    strategy: str = MISSING
    precision: str = MISSING
    fused: bool | None = None
    compile: str | None = None
    pictures: str = MISSING
    threads: int | None = None
    deterministic: bool = MISSING
    progress: str = MISSING


@dataclass
class Settings:
    """One run. ``conf/config.yaml`` says what each key does."""

    name: str = MISSING
    paper: str | None = None
    scale: int = MISSING
    seed: int = MISSING
    paths: Paths = field(default_factory=Paths)
    start: Any = None
    start_optimizer: bool = MISSING
    teacher: Any = None
    weights: str | None = None
    reference: Any = None
    data: Data = field(default_factory=Data)
    benchmarks: Benchmarks = field(default_factory=Benchmarks)
    activation: Any = None
    convolution: Any = None
    init: Any = None
    method: Any = None
    optimizer: Any = None
    scheduler: Any = None
    clipping: Clipping = field(default_factory=Clipping)
    averaging: Any = None
    model: Any = None
    training: Training = field(default_factory=Training)
    budget: Budget = field(default_factory=Budget)
    trainer: Trainer = field(default_factory=Trainer)
    logger: Any = None
    # Filled in when a config is complete: the chosen words, and how it was asked for.
    words: dict[str, str] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)


#: Keys whose value must be one of a few words, beside the config groups themselves.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "data.lr": ("make", "disk"),
    "data.border": ("mirror", "clamp"),
    "data.small": ("refuse", "skip"),
    "trainer.progress": ("auto", "bar", "lines", "none"),
    "trainer.strategy": ("auto", "ddp", "ddp_find_unused_parameters_true"),
    "trainer.precision": ("32-true", "bf16-mixed", "16-mixed", "64-true"),
    "trainer.pictures": ("auto", "host"),
}

#: The modes of torch.compile.
COMPILE = ("default", "reduce-overhead", "max-autotune")

#: Groups whose chosen word is remembered in ``words``, for slugs, tables and dashboards.
WORDS = (
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


def register() -> None:
    """Make the schema and the ``by`` resolver known to Hydra. May be called again."""
    ConfigStore.instance().store(name="schema", node=Settings)
    OmegaConf.register_new_resolver("by", _by, replace=True)


def _by(word: Any, table: DictConfig) -> Any:
    """``${by:${budget.name},{quick: 4, paper: 32}}``: the entry of a small table; null is none."""
    word = "none" if word is None else word
    if word not in table:
        raise UserError(f"no value for {word}; there is one for {', '.join(map(str, table))}")
    return table[word]


def compose(overrides: Sequence[str]) -> DictConfig:
    """The config that the command line ``python -m sr_experiments OVERRIDES`` would run.

    Raises:
        UserError: an unknown key, word or type.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    register()
    overrides = without_repeats(overrides)
    with explained():
        if GlobalHydra.instance().is_initialized():  # inside a job: its search path holds
            cfg = hydra_compose("config", overrides=overrides, return_hydra_config=True)
        else:
            with initialize_config_dir(str(conf_dir()), version_base="1.3"):
                cfg = hydra_compose("config", overrides=overrides, return_hydra_config=True)
        return _finish(cfg, overrides)


def from_hydra(cfg: DictConfig) -> DictConfig:
    """Complete the config of a running Hydra job with its words and overrides."""
    hydra = HydraConfig.get()
    merged = cfg.copy()
    with open_dict(merged):
        merged.hydra = OmegaConf.create(
            {
                "runtime": {"choices": dict(hydra.runtime.choices)},
                "overrides": {"task": list(hydra.overrides.task)},
            }
        )
    return _finish(merged, list(hydra.overrides.task))


def _finish(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    choices = cfg.hydra.runtime.choices
    with open_dict(cfg):
        words = {group: str(choices[group]) for group in WORDS if choices.get(group)}
        del cfg["hydra"]
    for group in WORDS:
        if group not in words:  # taken away, or [a,b], whose files Hydra lays over one another
            raise UserError(f"{group}: exactly one word is needed, or {group}=a,b with -m")
    _check_keys(cfg, Settings, "")
    cfg.words = words
    cfg.overrides = list(overrides)
    check_choices(cfg)
    return cfg


def _check_keys(node: DictConfig, schema: type, prefix: str) -> None:
    """``+key=`` adds what no one reads, ``~key`` takes away what is needed: refuse both."""
    known = {f.name: f for f in fields(schema)}
    names = {str(key) for key in node.keys()}  # noqa: SIM118 - "in" leaves out what is ???
    for key in sorted(names):
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else ""
            raise UserError(f"{prefix}{key}: no such key{hint}")
    for name, one in known.items():
        if name not in names:
            raise UserError(f"{prefix}{name}: must not be taken away")
        if isinstance(one.type, type) and is_dataclass(one.type):
            _check_keys(node[name], one.type, f"{prefix}{name}.")


def without_repeats(overrides: Sequence[str]) -> list[str]:
    """Drop an override when a later one sets the same key: the last word holds."""
    last: dict[str, str] = {}
    for override in overrides:
        key = override.split("=", 1)[0].lstrip("+~")
        last.pop(key, None)
        last[key] = override
    return list(last.values())


def check_choices(cfg: DictConfig) -> None:
    """Refuse a word that is none of its key's choices, and a number out of range.

    Raises:
        UserError: naming the key, what was asked and what there is.
    """
    for key, choices in CHOICES.items():
        value = _value(cfg, key)
        if value not in choices:
            raise UserError(f"{key}={value}: no such choice; choose from {', '.join(choices)}")
    positive = ["scale", "training.recipe_epochs", "trainer.num_nodes"]
    positive += [f"training.{key}" for key in ("updates_per_epoch", "batch_size", "patch_size")]
    positive += ["training.accumulate", "training.validate_every", "training.checkpoint_every"]
    for key in positive:
        if not _value(cfg, key) > 0:
            raise UserError(f"{key}={_value(cfg, key)}: must be above 0")
    devices = cfg.trainer.devices
    if isinstance(devices, int) and devices < 1 and devices != -1:
        raise UserError(f"trainer.devices={devices}: must be at least 1, or auto")
    if cfg.trainer.threads is not None and cfg.trainer.threads < 1:
        raise UserError(f"trainer.threads={cfg.trainer.threads}: must be at least 1, or null")
    mode = cfg.trainer.compile
    if mode is not None and mode not in COMPILE:
        raise UserError(
            f"trainer.compile={mode}: no such choice; choose from null, {', '.join(COMPILE)}"
        )
    if cfg.trainer.fused and cfg.trainer.precision == "16-mixed" and cfg.clipping.algorithm:
        raise UserError(
            "trainer.fused=true, trainer.precision=16-mixed: such an optimiser unscales gradients "
            f"itself, too late for clipping={cfg.words.clipping}; say trainer.fused=null"
        )
    for key in ("training.epochs", "training.lr", "seed"):
        value = _value(cfg, key)
        if not (value >= 0 and math.isfinite(value)):
            raise UserError(f"{key}={value}: must not be negative")
    if cfg.seed >= 2**63:
        raise UserError(f"seed={cfg.seed}: must be below 2**63")
    name = _value(cfg, "name")
    if not re.fullmatch(r"[^\s./\\][^/\\]*", name):
        raise UserError(f"name={name}: one folder's name is needed, without / and a dot in front")
    if not cfg.benchmarks.sets:
        raise UserError("benchmarks.sets=[]: name at least one set to be scored on")
    for key in ("model", *(("init", "optimizer", "scheduler") if cfg.method else ())):
        if not cfg[key]:
            raise UserError(f"{key}: has no value; give one as {key}=...")
    _check_clipping(cfg.clipping.algorithm, cfg.clipping.value)
    _check_averaging(cfg)
    scales = cfg.training.scales
    if scales is not None and (cfg.scale not in scales or min(scales) < 1):
        raise UserError(
            f"training.scales={list(scales)}, scale={cfg.scale}: the scale that is scored must be "
            "one of those that are trained on, and all above 0"
        )


def _check_averaging(cfg: DictConfig) -> None:
    begin, end = OmegaConf.select(cfg, "averaging.begin"), cfg.training.recipe_epochs
    if isinstance(begin, int | float) and not 0 <= begin < end:
        raise UserError(
            f"averaging.begin={begin:g}: the training ends at epoch {end:g} of its recipe "
            "(training.recipe_epochs), so nothing would be averaged; begin before, from 0 on"
        )


def _check_clipping(algorithm: str | None, value: float | None) -> None:
    if algorithm not in (None, "norm", "value", "adjustable"):
        raise UserError(
            f"clipping.algorithm={algorithm}: no such choice; choose from norm, value, adjustable"
        )
    if (algorithm is None) != (value is None):
        raise UserError(
            f"clipping.algorithm={algorithm}, clipping.value={value}: both or neither; "
            "say clipping=norm or clipping=value"
        )
    if value is not None and not value > 0:
        raise UserError(f"clipping.value={value}: must be above 0")


def _value(cfg: DictConfig, key: str) -> Any:
    value = OmegaConf.select(cfg, key)
    if value is None:
        raise UserError(f"{key}: has no value; give one as {key}=...")
    return value


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The resolved config as plain Python.

    Raises:
        UserError: a value is missing or an interpolation has no answer.
    """
    with explained():
        resolved = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    if not isinstance(resolved, dict):
        raise TypeError("a run's config is a mapping")
    return {str(key): value for key, value in resolved.items()}
