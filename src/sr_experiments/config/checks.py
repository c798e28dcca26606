"""What the values of a config may be, beyond their types: choices, ranges, what excludes what.

Nothing here imports torch.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sr_experiments.core.errors import UserError

#: Keys whose value must be one of a few words, beside the config groups themselves.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "data.lr": ("make", "disk"),
    "data.border": ("mirror", "clamp"),
    "data.small": ("refuse", "skip"),
    "trainer.progress": ("auto", "bar", "lines", "none"),
    "trainer.strategy": ("auto", "ddp", "ddp_find_unused_parameters_true"),
    "trainer.precision": ("32-true", "bf16-mixed", "16-mixed", "64-true"),
    "trainer.images": ("auto", "host"),
}

#: The modes of torch.compile.
COMPILE = ("default", "reduce-overhead", "max-autotune")


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
