"""The networks and methods of runs ahead, built to be counted and timed."""

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from sr_experiments import factories
from sr_experiments.errors import UserError
from sr_experiments.models.network import Network
from sr_experiments.training.module import Supervised
from sr_experiments.workload.jobs import Work

#: The enlarged picture whose multiply-adds are told: 1280x720, as the field does.
HEIGHT, WIDTH = 720, 1280


@dataclass(frozen=True)
class Facts:
    """What needs no measuring.

    Attributes:
        name: of the network with its size, such as ``EDSR 32x256``.
        parameters: trainable values.
        multiply_adds: for one picture enlarged to :data:`HEIGHT` x :data:`WIDTH`.
    """

    name: str
    parameters: int
    multiply_adds: int


def kind(work: Work) -> str:
    """What runs must have in common to cost the same, as a text to compare."""
    config = work.config
    alike: dict[str, Any] = {"model": config["model"], "scale": config["scale"]}
    if work.trained:
        training = config["training"]
        names = ("scales", "batch_size", "patch_size", "accumulate")
        alike |= {name: training[name] for name in names}
        alike["method"] = {k: v for k, v in config["method"].items() if k != "teacher"}
        alike["optimizer"] = config["optimizer"]["_target_"]
        alike["precision"] = config["trainer"]["precision"]
        if "teacher" in work.parents:
            alike["teacher"] = work.parents["teacher"].config["model"]
    return json.dumps(alike, sort_keys=True)


def multiply_adds(network: Network) -> int:
    """Multiply-adds of convolutions and matrix products for a picture of 1280x720 when enlarged.

    They grow with the picture's area from a fixed part: two small pictures tell both. A side of the
    low-resolution picture that is no whole number is rounded up.
    """
    channels = 1 if network.colour == "y" else 3
    empty, counts = copy.deepcopy(network).cpu().eval(), []
    with torch.no_grad():
        empty(torch.zeros(1, channels, 12, 12))  # what is folded once is not counted
        for width in (12, 24):
            with FlopCounterMode(display=False) as counter:
                empty(torch.zeros(1, channels, 12, width))
            counts.append(int(counter.get_total_flops()) // 2)
    area = math.ceil(HEIGHT / network.scale) * math.ceil(WIDTH / network.scale)
    grows = counts[1] - counts[0]  # for 144 pixels
    return 2 * counts[0] - counts[1] + grows * area // 144


def network_of(node: Mapping[str, Any], key: str) -> Network:
    """Build a network from its part of a config.

    Raises:
        UserError: it cannot be built.
    """
    network = factories.build(node, key)
    if not isinstance(network, Network):
        raise UserError(f"{key}._target_: {type(network).__name__} is not a Network of the suite")
    return network


def module_of(config: Mapping[str, Any], network: Network, teacher: Network | None) -> Supervised:
    """Build what trains a network, without a schedule and with an untrained teacher.

    Raises:
        UserError: it cannot be built.
    """
    method = {key: value for key, value in config["method"].items() if key != "teacher"}
    given: dict[str, Any] = {"teacher": teacher} if teacher is not None else {}
    module = factories.build(method, "method")(
        network=network, optimizer=factories.build(config["optimizer"], "optimizer"), **given
    )
    if not isinstance(module, Supervised):
        raise UserError(f"method._target_: {type(module).__name__} is no training method")
    return module
