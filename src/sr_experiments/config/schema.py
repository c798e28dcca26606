"""The schema of the configs: what may be said, and of which type.

Words of the suite are typed here. A node with ``_target_`` (a model, an activation, an optimiser)
has no schema of its own: the signature of what it names is its schema, checked by
``sr_experiments.config.instantiate`` before anything is read. Nothing here imports torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict

from sr_experiments.config.checks import check_choices
from sr_experiments.config.hydra_errors import explained
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir


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
    images: str = MISSING
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
