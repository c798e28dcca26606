"""Layers that carry running statistics of their input from training into eval mode."""

from typing import TypeAlias

from torch import nn

from sr_experiments.models.layers.deconvolution import Deconvolution
from sr_experiments.models.layers.normalisation import BatchNorm

#: Both follow each batch in training mode by ``momentum``, the share of the newest.
Running: TypeAlias = BatchNorm | Deconvolution


def running_layers(network: nn.Module) -> list[Running]:
    """A network's layers whose eval mode depends on running statistics, in its own order."""
    return [layer for layer in network.modules() if isinstance(layer, BatchNorm | Deconvolution)]
