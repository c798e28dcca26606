"""First weights, as functions of a whole network; the group ``init`` names one of them.

Each draws the weights of every convolution, in the network's own order, from PyTorch's generator,
and sets their biases to 0, as the papers do. Other parameters (normalisation, PReLU) stay.
"""

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import nn

from sr_experiments.core.errors import UserError

Convolution = nn.Conv2d | nn.ConvTranspose2d


def default(network: nn.Module) -> None:
    """PyTorch's own, which a network is built with: nothing is drawn again."""


def normal(network: nn.Module, sigma: float = 0.01) -> None:
    """N(0, sigma^2). SRCNN (Dong et al. 2014) takes 0.001.

    Raises:
        UserError: ``sigma`` is not above 0.
    """
    if not sigma > 0:
        raise UserError("sigma-not-positive", "init.sigma={sigma}: must be above 0", sigma=sigma)
    for layer in _convolutions(network):
        _draw(layer, sigma)


def xavier(network: nn.Module, fan: Literal["in", "both"] = "both") -> None:
    """N(0, 1 / n), made for activations that are linear around 0 (Glorot and Bengio 2010).

    Args:
        network: to be changed in place.
        fan: n is the mean of the values that enter and leave a layer (``both``, equation 12), or
            those that enter (``in``).
    """
    for layer in _convolutions(network):
        into, out = _fans(layer)
        _draw(layer, math.sqrt(1 / (into if fan == "in" else (into + out) / 2)))


def he(network: nn.Module) -> None:
    """N(0, 2 / n), made for ReLU; n values enter the layer (He et al. 2015, equation 10)."""
    for layer in _convolutions(network):
        _draw(layer, math.sqrt(2 / _fans(layer)[0]))


def _convolutions(network: nn.Module) -> Iterator[Convolution]:
    return (m for m in network.modules() if isinstance(m, Convolution))


def _fans(layer: Convolution) -> tuple[int, int]:
    """Values that enter one output of a layer, and outputs that one value enters; no strides."""
    area, groups = math.prod(layer.kernel_size), layer.groups
    return layer.in_channels // groups * area, layer.out_channels // groups * area


@torch.no_grad()
def _draw(layer: Convolution, sigma: float) -> None:
    layer.weight.normal_(0, sigma)
    if layer.bias is not None:
        layer.bias.zero_()
