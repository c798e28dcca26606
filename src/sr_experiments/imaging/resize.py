"""MATLAB's ``imresize(..., 'bicubic')``, equal in every value.

The field's low-resolution images are made by this function, so it is the suite's only resize.
Libraries differ: ``torch.nn.functional.interpolate`` uses a = -0.75 or another border, and Pillow
and kornia differ in most values.
"""

import math
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.formats import BORDERS, Border

Image = TypeVar("Image", np.ndarray, Tensor)
_PIECE = 2**16  # values processed at a time: half a megabyte of float64


def imresize(
    image: Image,
    scale: float | None = None,
    *,
    size: tuple[int, int] | None = None,
    border: Border = "mirror",
) -> Image:
    """Resize with MATLAB's bicubic kernel (a = -0.5), antialiased when shrinking.

    Height is resized first, then width. A uint8 image is clipped and rounded (half away from
    zero) to uint8 after each of the two passes, as MATLAB does; a floating-point image is neither
    clipped nor rounded.

    Args:
        image: numpy ``(H, W)`` or ``(H, W, C)``, or torch ``(..., H, W)``; uint8 or floating-point.
        scale: of both axes; the output has ``ceil(scale * side)`` pixels a side.
        size: output ``(height, width)`` instead of a scale.
        border: ``mirror`` (newer MATLAB, symmetric) or ``clamp`` (older MATLAB, replicate).

    Returns:
        The resized image: same type, layout, dtype and device.

    Raises:
        UserError: a size below one pixel, or an unknown border.
        TypeError: neither or both of ``scale`` and ``size``, or an image that is neither uint8
            nor floating-point.
    """
    if isinstance(image, np.ndarray):
        # The core wants the two image axes last, in torch; both moves are views.
        planes = torch.from_numpy(np.moveaxis(image, -1, 0) if image.ndim == 3 else image)
        result = imresize(planes, scale, size=size, border=border).numpy()
        return np.ascontiguousarray(np.moveaxis(result, 0, -1) if image.ndim == 3 else result)
    if border not in BORDERS:
        raise UserError(
            "unknown-border",
            "border={border}: no such border; choose from {borders}",
            border=border,
            borders=", ".join(BORDERS),
        )
    if (scale is None) == (size is None):
        raise TypeError("imresize takes either a scale or a size")
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise TypeError(f"imresize takes uint8 or floating-point images, not {image.dtype}")
    height, width = image.shape[-2:]
    if size is not None:
        out_h, out_w = size
        scale_h, scale_w = out_h / height, out_w / width
    else:
        assert scale is not None
        out_h, out_w = math.ceil(scale * height), math.ceil(scale * width)
        scale_h = scale_w = float(scale)
    if out_h < 1 or out_w < 1:
        raise UserError(
            "resize-to-nothing",
            "an image of {width}x{height} pixels cannot be resized to {out_w}x{out_h}",
            width=width,
            height=height,
            out_w=out_w,
            out_h=out_h,
        )
    image = _resize_rows(image, out_h, scale_h, border)
    turned = _resize_rows(image.transpose(-1, -2).contiguous(), out_w, scale_w, border)
    return turned.transpose(-1, -2).contiguous()


def downscale(image: Image, scale: int, *, border: Border = "mirror") -> Image:
    """The field's low-resolution image: crop to a multiple of ``scale``, shrink by it.

    Args:
        image: numpy ``(H, W[, C])`` or torch ``(..., H, W)``; uint8 or floating-point.
        scale: the super-resolution scale, an integer of at least 1.
        border: see :func:`imresize`.
    """
    return imresize(modcrop(image, scale), 1 / scale, border=border)


def modcrop(image: Image, scale: int) -> Image:
    """Cut bottom and right so that both sides are multiples of ``scale`` (a view).

    Raises:
        UserError: a side is shorter than ``scale``.
    """
    rows, columns = (0, 1) if isinstance(image, np.ndarray) else (-2, -1)
    height, width = image.shape[rows], image.shape[columns]
    if min(height, width) < scale:
        raise UserError(
            "image-smaller-than-scale",
            "an image of {width}x{height} pixels is too small for scale {scale}",
            width=width,
            height=height,
            scale=scale,
        )
    height, width = height - height % scale, width - width % scale
    if isinstance(image, np.ndarray):
        return image[:height, :width]
    return image[..., :height, :width]


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5."""
    x = x.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))


@lru_cache(maxsize=256)
def kernel_taps(
    length: int,
    out: int,
    scale: float,
    border: Border,
    dtype: torch.dtype = torch.float64,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - a constant
) -> tuple[Tensor, Tensor]:
    """Source indices and weights, both ``(taps, out)``, of MATLAB's ``contributions``.

    Computed in float64 on the CPU and cached on the device that uses them, so that a network which
    resizes its input waits for no transfer.
    """
    stretch = min(scale, 1.0)  # shrinking widens the kernel: that is the antialiasing
    support = 4.0 / stretch
    # MATLAB counts pixels from one: u = x / scale + 0.5 (1 - 1 / scale).
    centre = torch.arange(1, out + 1, dtype=torch.float64) / scale + 0.5 * (1 - 1 / scale)
    first = torch.floor(centre - support / 2)
    indices = first[None, :] + torch.arange(math.ceil(support) + 2, dtype=torch.float64)[:, None]
    weights = stretch * _cubic(stretch * (centre[None, :] - indices))
    weights = weights / weights.sum(0, keepdim=True)
    source = indices.long() - 1
    if border == "mirror":
        source = source.remainder(2 * length)
        source = torch.minimum(source, 2 * length - 1 - source)
    else:
        source = source.clamp(0, length - 1)
    used = weights.abs().amax(1) > 0
    return source[used].to(device), weights[used].to(device, dtype)


def _resize_rows(image: Tensor, out: int, scale: float, border: Border) -> Tensor:
    """One separable pass, along the last axis but one: ``(..., L, W)`` -> ``(..., out, W)``."""
    length = image.shape[-2]
    if scale == 1.0 and out == length:
        return image
    # float64 for bytes: sums that end on .5 must round as MATLAB's doubles do.
    dtype = torch.float64 if image.dtype in (torch.uint8, torch.float64) else torch.float32
    return mix_rows(image, *kernel_taps(length, out, scale, border, dtype, image.device))


def mix_rows(image: Tensor, source: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of rows, as :func:`kernel_taps` gives them.

    Rows are contiguous in memory, so every step works on whole rows; for sums of columns an image
    is transposed, as picking values out of each row takes four times as long.

    Args:
        image: ``(..., L, W)``, uint8 or floating-point.
        source: indices of rows, ``(taps, out)``.
        weights: theirs, in the dtype of the sums.

    Returns:
        ``(..., out, W)`` in the image's dtype; uint8 is clipped and rounded.
    """
    length, width = image.shape[-2:]
    out = source.shape[1]
    planes = image.reshape(-1, length, width)
    if image.device.type != "cpu":
        return _mix(planes, source, weights, image.dtype).view(*image.shape[:-2], out, width)
    # In pieces whose sums stay in the CPU's cache: a third of the time.
    rows = min(out, max(1, _PIECE // width))
    count = max(1, _PIECE // (rows * width))
    groups = []
    for group in planes.split(count):
        parts = []
        for index, weight in zip(source.split(rows, 1), weights.split(rows, 1), strict=True):
            first, last = int(index.min()), int(index.max())
            used = group[:, first : last + 1]
            parts.append(_mix(used, index - first, weight, image.dtype))
        groups.append(torch.cat(parts, 1))
    return torch.cat(groups).view(*image.shape[:-2], out, width)


def _mix(planes: Tensor, source: Tensor, weights: Tensor, dtype: torch.dtype) -> Tensor:
    """Weighted sums of the rows ``source``, in the order of the taps: ``(P, out, W)``."""
    planes = planes.to(weights.dtype)
    total: Tensor | None = None
    for index, weight in zip(source, weights[:, :, None], strict=True):
        rows = planes.index_select(1, index)
        total = rows * weight if total is None else torch.addcmul(total, rows, weight)
    assert total is not None
    if dtype == torch.uint8:
        # Clipped first, so "half away from zero" is floor(x + 1/2).
        return total.clamp_(0, 255).add_(0.5).floor_().to(torch.uint8)
    return total.to(dtype)
