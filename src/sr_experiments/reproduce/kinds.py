"""What runs ahead have in common, and what their networks are."""

import json
from dataclasses import dataclass
from typing import Any

from sr_experiments.runs.plan import Plan


@dataclass(frozen=True)
class Facts:
    """What needs no measuring.

    Attributes:
        name: of the network with its size, such as ``EDSR 32x256``.
        parameters: trainable values.
        multiply_adds: for one image enlarged to 1280x720.
    """

    name: str
    parameters: int
    multiply_adds: int


def kind(work: Plan) -> str:
    """What runs must have in common to cost the same, as a text to compare."""
    config = work.config
    alike: dict[str, Any] = {"model": dict(config.model), "scale": config.scale}
    if work.trained:
        training = config.training
        names = ("scales", "batch_size", "patch_size", "accumulate")
        alike |= {name: getattr(training, name) for name in names}
        alike["method"] = {k: v for k, v in (config.method or {}).items() if k != "teacher"}
        alike["optimizer"] = (config.optimizer or {})["_target_"]
        alike["precision"] = config.trainer.arithmetic
        if "teacher" in work.parents:
            alike["teacher"] = work.parents["teacher"].config.model
    return json.dumps(alike, sort_keys=True)
