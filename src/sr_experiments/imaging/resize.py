"""MATLAB's ``imresize(..., 'bicubic')``, to the last value.

Every low-resolution image of the field was made by this function, so it is the only resize of
the suite. Libraries were measured and are not it: ``torch.nn.functional.interpolate`` uses
a = -0.75 or another border, Pillow and kornia differ in most values.
"""

import math
from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from sr_experiments.errors import UserError

Border = Literal["mirror", "clamp"]
BORDERS: tuple[Border, ...] = ("mirror", "clamp")
Image = TypeVar("Image", np.ndarray, Tensor)


def imresize(
    image: Image,
    scale: float | None = None,
    *,
    size: tuple[int, int] | None = None,
    border: Border = "mirror",
) -> Image:
    """Resize with MATLAB's bicubic kernel (a = -0.5), antialiased when shrinking.

    Height is resized first, then width. A uint8 image is clipped and rounded (half away from
    zero) to uint8 after each of the two passes, as MATLAB does; a floating image is neither
    clipped nor rounded.

    Args:
        image: numpy ``(H, W)`` or ``(H, W, C)``, or torch ``(..., H, W)``; uint8 or floating.
        scale: factor for both axes; the output has ``ceil(scale * side)`` pixels a side.
        size: output ``(height, width)`` instead of a factor.
        border: ``mirror`` (newer MATLAB, symmetric) or ``clamp`` (older MATLAB, replicate).

    Returns:
        The resized image: same type, layout, dtype and device.

    Raises:
        UserError: neither or both of ``scale`` and ``size``, a size below one pixel, or an
            unknown border.
        TypeError: the image is neither uint8 nor floating.
    """
    if isinstance(image, np.ndarray):
        # The core wants the two image axes last, in torch; both moves are views.
        planes = torch.from_numpy(np.moveaxis(image, -1, 0) if image.ndim == 3 else image)
        result = imresize(planes, scale, size=size, border=border).numpy()
        return np.ascontiguousarray(np.moveaxis(result, 0, -1) if image.ndim == 3 else result)
    if border not in BORDERS:
        raise UserError(f"border={border}: no such border; choose from {', '.join(BORDERS)}")
    if (scale is None) == (size is None):
        raise UserError("imresize needs a scale or a size, and not both")
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise TypeError(f"imresize takes uint8 or floating images, not {image.dtype}")
    height, width = image.shape[-2:]
    if size is not None:
        out_h, out_w = size
        scale_h, scale_w = out_h / height, out_w / width
    else:
        assert scale is not None
        out_h, out_w = math.ceil(scale * height), math.ceil(scale * width)
        scale_h = scale_w = float(scale)
    if out_h < 1 or out_w < 1:
        raise UserError(f"imresize: a {height}x{width} image cannot become {out_h}x{out_w} pixels")
    image = _resize_axis(image, -2, out_h, scale_h, border)
    return _resize_axis(image, -1, out_w, scale_w, border)


def downscale(image: Image, factor: int, *, border: Border = "mirror") -> Image:
    """The field's low-resolution image: crop to a multiple of ``factor``, shrink by it.

    Args:
        image: numpy ``(H, W[, C])`` or torch ``(..., H, W)``; uint8 or floating.
        factor: the super-resolution scale, an integer of at least 1.
        border: see :func:`imresize`.
    """
    return imresize(modcrop(image, factor), 1 / factor, border=border)


def modcrop(image: Image, factor: int) -> Image:
    """Cut bottom and right so that both sides are multiples of ``factor`` (a view).

    Raises:
        UserError: a side is shorter than ``factor``.
    """
    rows, columns = (0, 1) if isinstance(image, np.ndarray) else (-2, -1)
    height, width = image.shape[rows], image.shape[columns]
    if min(height, width) < factor:
        raise UserError(f"a {height}x{width} image is too small for scale {factor}")
    height, width = height - height % factor, width - width % factor
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
def _taps(length: int, out: int, scale: float, border: Border) -> tuple[Tensor, Tensor]:
    """Source indices and weights, both ``(taps, out)``, of MATLAB's ``contributions``."""
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
    return source[used], weights[used]


def _resize_axis(image: Tensor, axis: int, out: int, scale: float, border: Border) -> Tensor:
    """One separable pass along ``axis`` (-2 or -1)."""
    length = image.shape[axis]
    if scale == 1.0 and out == length:
        return image
    source, weights = _taps(length, out, scale, border)
    # float64 for bytes: sums that end on .5 must round as MATLAB's doubles do.
    dtype = torch.float64 if image.dtype in (torch.uint8, torch.float64) else torch.float32
    source = source.to(image.device)
    weights = weights.to(image.device, dtype)
    shape = (-1, 1) if axis == -2 else (-1,)
    total: Tensor | None = None
    for index, weight in zip(source, weights, strict=True):
        rows = image.index_select(axis, index).to(dtype)
        weight = weight.view(shape)
        total = rows * weight if total is None else torch.addcmul(total, rows, weight)
    assert total is not None
    if image.dtype == torch.uint8:
        # Clipped first, so "half away from zero" is floor(x + 1/2).
        return total.clamp_(0, 255).add_(0.5).floor_().to(torch.uint8)
    return total.to(image.dtype)
