"""Convolutions as factories: ``convolution(in_channels, out_channels, kernel_size)``."""

from torch import nn


def plain(in_channels: int, out_channels: int, kernel_size: int, *, bias: bool = True) -> nn.Conv2d:
    """An ordinary convolution, zero-padded so that height and width stay."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
