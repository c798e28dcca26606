"""Ordinary convolutions in place of those that are something else only while they are trained."""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from sr_experiments.config.instantiate import PARTIAL, TARGET, resolve
from sr_experiments.models.layers.convolution import plain
from sr_experiments.models.layers.deconvolution import Deconvolution
from sr_experiments.models.layers.edge import EdgeConvolution

N = TypeVar("N", bound=nn.Module)
FOLDABLE = (EdgeConvolution, Deconvolution)
_PLAIN = {TARGET: f"{plain.__module__}.{plain.__qualname__}", PARTIAL: True}


@torch.no_grad()
def fold(network: N) -> N:
    """A copy of a network in eval mode that computes the same with ordinary convolutions.

    Args:
        network: left as it is. Kernels are added in its own precision: outputs of order 1 differ
            by about 1e-6 in float32.
    """
    folded = copy.deepcopy(network).eval()
    for name, layer in list(folded.named_modules()):
        if isinstance(layer, FOLDABLE):
            weight, bias = layer.folded()
            ordinary = plain(
                layer.in_channels, layer.out_channels, weight.shape[-1], bias=bias is not None
            )
            ordinary.weight = nn.Parameter(weight)
            if bias is not None:
                ordinary.bias = nn.Parameter(bias)
            folded.set_submodule(name, ordinary)
    return folded


def fold_config(node: Any) -> Any:
    """The config that rebuilds what :func:`fold` made of the network of a config."""
    if not isinstance(node, Mapping):
        return node
    if node.get(PARTIAL) and resolve(str(node[TARGET])) in FOLDABLE:
        return dict(_PLAIN)
    return {key: fold_config(value) for key, value in node.items()}
