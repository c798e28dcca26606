"""PSNR and SSIM as pure functions of batches, in float64 unless told otherwise.

torchmetrics' SSIM differs from the field's by up to 8e-4 and its PSNR pools the error of a batch,
so both are written out here; ``protocols`` says on which planes they are taken.
"""

from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Window = Literal["valid", "replicate"]

WINDOW_SIZE = 11
WINDOW_SIGMA = 1.5
K1, K2 = 0.01, 0.03


def psnr(a: Tensor, b: Tensor, peak: float = 255.0) -> Tensor:
    """Peak signal-to-noise ratio of each image of a batch.

    Args:
        a: ``(N, C, H, W)``, any dtype, in [0, ``peak``].
        b: same shape and range.
        peak: the largest value a pixel can have.

    Returns:
        float64 ``(N,)`` in dB, over C, H and W; infinite where the two images are equal.

    Raises:
        ValueError: the shapes differ or are not four-dimensional.
    """
    _same_batches(a, b)
    error = (a.double() - b).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(peak**2 / error)


def ssim(
    a: Tensor,
    b: Tensor,
    *,
    peak: float = 255.0,
    window: Window = "valid",
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Structural similarity of each image: the mean of :func:`ssim_map` over C, H and W.

    Args:
        a: ``(N, C, H, W)``, any dtype, in [0, ``peak``].
        b: same shape and range.
        peak: the largest value a pixel can have.
        window: see :func:`ssim_map`.
        dtype: see :func:`ssim_map`.

    Returns:
        float64 ``(N,)``, at most 1.

    Raises:
        ValueError: see :func:`ssim_map`.
    """
    values = ssim_map(a, b, peak=peak, window=window, dtype=dtype)
    return values.mean(dim=(1, 2, 3), dtype=torch.float64)


def ssim_map(
    a: Tensor,
    b: Tensor,
    *,
    peak: float = 255.0,
    window: Window = "valid",
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Local structural similarity, each channel on its own.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment", 2004, equation 13, with their
    11x11 Gaussian window of sigma 1.5 and K = (0.01, 0.03); the statistics are those of the
    window, without the sample correction n / (n - 1).

    Args:
        a: ``(N, C, H, W)``, any dtype, in [0, ``peak``].
        b: same shape and range.
        peak: the largest value a pixel can have.
        window: ``valid`` keeps the windows that lie inside the image (Wang's ``ssim_index.m``);
            ``replicate`` repeats the border by five pixels and keeps every window (MATLAB's
            ``ssim``). The inner part of the second is the first.
        dtype: of the arithmetic. float32 is off by up to 1e-4 where the image is flat, because
            variances are differences of large squares.

    Returns:
        ``(N, C, H - 10, W - 10)`` for ``valid``, ``(N, C, H, W)`` for ``replicate``.

    Raises:
        ValueError: the shapes differ, or an image is smaller than the window.
    """
    _same_batches(a, b)
    a, b = a.to(dtype), b.to(dtype)
    if window == "replicate":
        border = (WINDOW_SIZE // 2,) * 4
        a, b = F.pad(a, border, mode="replicate"), F.pad(b, border, mode="replicate")
    elif min(a.shape[-2:]) < WINDOW_SIZE:
        height, width = a.shape[-2:]
        raise ValueError(f"a {height}x{width} image holds no {WINDOW_SIZE}x{WINDOW_SIZE} window")
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    if a.device.type != "cpu":
        return _local_similarity(a, b, c1, c2)
    # Plane by plane, all that follows stays in the processor's cache: twice the speed.
    planes = zip(a.flatten(0, 1), b.flatten(0, 1), strict=True)
    maps = [_local_similarity(plane_a, plane_b, c1, c2) for plane_a, plane_b in planes]
    return torch.stack(maps).unflatten(0, a.shape[:2])


def _same_batches(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.ndim != 4:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise ValueError(f"two batches (N, C, H, W) of one shape are needed, not {shapes}")


def _local_similarity(a: Tensor, b: Tensor, c1: float, c2: float) -> Tensor:
    """SSIM of every window inside ``(..., H, W)``: ten values less a side."""
    # Only the sum of the two variances enters the formula, so four moments do instead of five.
    mean_a, mean_b, squares, product = (_blur(m) for m in (a, b, a * a + b * b, a * b))
    mean_product = mean_a * mean_b
    mean_squares = mean_a * mean_a + mean_b * mean_b
    numerator = (2 * mean_product + c1) * (2 * (product - mean_product) + c2)
    return numerator / ((mean_squares + c1) * (squares - mean_squares + c2))


def _blur(planes: Tensor) -> Tensor:
    """Gaussian means as sums of shifted slices.

    torch's float64 convolution takes twenty times as long on a CPU, a banded matrix three times.
    """
    weights = _taps()
    for axis in (-1, -2):
        length = planes.shape[axis] - WINDOW_SIZE + 1
        total = planes.narrow(axis, 0, length) * weights[0]
        for shift in range(1, WINDOW_SIZE):
            total = total.add_(planes.narrow(axis, shift, length), alpha=weights[shift])
        planes = total
    return planes


@lru_cache(maxsize=1)
def _taps() -> tuple[float, ...]:
    """The normalised one-dimensional Gaussian."""
    position = torch.arange(WINDOW_SIZE, dtype=torch.float64) - WINDOW_SIZE // 2
    weights = torch.exp(-(position**2) / (2 * WINDOW_SIGMA**2))
    return tuple((weights / weights.sum()).tolist())
