"""Matrix products at the speed of the machine's convolutions."""

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST = 200  # Side below which a convolution costs more than it saves, as measured.
SAMPLES = 512  # Columns multiplied at a time: beyond, oneDNN's blocks leave the cache.


def product(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right`` by the faster of two exact paths; it has no gradients of its own.

    On an AMD EPYC, PyTorch's float32 matrix product (MKL) reaches half of what its convolutions
    (oneDNN) do. A matrix product is a convolution of width 1 with the columns of ``right`` as
    pixels. A dilation means nothing at width 1, but makes PyTorch choose oneDNN on one thread too;
    were the choice to change, the result would not, beyond rounding. Both paths round as float32
    does, whatever autocast says. Other types, devices and small sides are multiplied as usual.

    Args:
        left: ``(M, K)``.
        right: ``(K, N)``, or ``(B, K, N)`` to multiply each of B by ``left``.

    Returns:
        ``(M, N)`` or ``(B, M, N)``.
    """
    with torch.autocast(left.device.type, enabled=False):
        if not _convolved(left, left.shape[1]):
            return left @ right
        return _convolve(left, right) if right.dim() == 3 else _convolve(left, right[None])[0]


def gram(patches: Tensor) -> Tensor:
    """The sum of ``p p'`` over the B matrices p of ``(B, K, N)``: ``(K, K)``, no gradients."""
    size = patches.shape[1]
    with torch.autocast(patches.device.type, enabled=False):
        if not _convolved(patches, size):
            rows = patches.transpose(1, 2).reshape(-1, size)
            return rows.T @ rows
        total = patches.new_zeros(size, size)
        for some in patches.split(max(1, SAMPLES // patches.shape[2])):
            for columns in some.transpose(0, 1).flatten(1).split(SAMPLES, dim=1):
                total += _convolve(columns, columns.T[None])[0]
        return total


def _convolve(left: Tensor, right: Tensor) -> Tensor:
    return F.conv1d(right, left[:, :, None], dilation=2)


def _convolved(value: Tensor, side: int) -> bool:
    return (
        value.device.type == "cpu"
        and value.dtype == torch.float32
        and side >= SMALLEST
        and torch.backends.mkldnn.is_available()
    )
