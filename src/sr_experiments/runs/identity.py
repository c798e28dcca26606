"""A run's identity: a hash of what can change its result, and of nothing else.

Everything in a config counts, unless it is listed here. So a new key counts from its first day.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sr_experiments.config.schema import RunConfig

_FORMAT = 2  # raised when the same config no longer gives the same result or identity

#: Keys that say where, how fast or how visibly a run computes, not what.
VOLATILE = (
    "name",
    "paper",
    "paths",
    "choices",
    "logger",
    "reference",
    "budget",  # its values count, its name does not
    "data.allow_overlap",  # it lets a run through or not; the images count themselves
    "training.checkpoint_every",
    "benchmarks.save_images",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.images",
    "trainer.threads",
    "trainer.deterministic",
    "trainer.progress",
)
#: Keys that reach a run through others: the model's own factories, the images' fingerprints,
#: the parent's identity, the hash of a file of weights.
INDIRECT = (
    *("activation", "convolution", "data.train", "data.val", "benchmarks.sets"),
    *("start", "teacher", "method.teacher", "weights"),
)
#: All that matters where nothing is trained.
UNTRAINED = ("scale", "model", "method", "data", "benchmarks")


def identity(
    config: RunConfig,
    images: Mapping[str, str],
    parents: Mapping[str, str],
) -> str:
    """SHA-256 of a run, as 64 hexadecimal digits.

    Args:
        config: of the run.
        images: role (``train``, ``val``, ``benchmark/NAME``) -> fingerprint of the files.
        parents: role -> what weights enter this run: ``start`` and ``teacher``, other runs'
            identities, and ``weights``, the SHA-256 of a file.
    """
    content = {
        "format": _FORMAT,
        "config": relevant(config),
        "images": dict(images),
        "parents": dict(parents),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def relevant(config: RunConfig) -> dict[str, Any]:
    """The part of a config that can change the run's result by itself."""
    kept = json.loads(json.dumps(config.plain()))
    if not config.is_trained:
        kept = {k: kept[k] for k in UNTRAINED if k in kept}
    for key in (*VOLATILE, *INDIRECT):
        _remove(kept, key.split("."))
    return dict(kept)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as dotted keys, ``{"optimizer.lr": 0.001}``, for comparing runs."""
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def _remove(node: Any, path: Sequence[str]) -> None:
    for part in path[:-1]:
        node = node.get(part) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.pop(path[-1], None)
