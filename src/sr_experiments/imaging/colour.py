"""The field's luma: ITU-R BT.601 with the studio range 16 to 235, as MATLAB's ``rgb2ycbcr``.

Full-range greys (OpenCV, Pillow, kornia) score 1.32 dB lower.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

LUMA_WEIGHTS = (65.481, 128.553, 24.966)
LUMA_OFFSET = 16.0
#: Rows of Cb and Cr; both are grey at the offset.
CHROMA_WEIGHTS = ((-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
CHROMA_OFFSET = 128.0


def luma(rgb: Tensor) -> Tensor:
    """Unrounded luma of an image.

    Args:
        rgb: ``(..., 3, H, W)``, uint8 or floating-point in [0, 255].

    Returns:
        ``(..., 1, H, W)`` in [16, 235]; float64 for uint8 input, else the input's dtype.
    """
    if rgb.dtype == torch.uint8:
        rgb = rgb.double()
    red, green, blue = rgb.unbind(-3)
    weights = LUMA_WEIGHTS
    y = (red * weights[0] + green * weights[1] + blue * weights[2]) / 255.0 + LUMA_OFFSET
    return y.unsqueeze(-3)


def luma_uint8(rgb: Tensor) -> Tensor:
    """MATLAB's ``rgb2ycbcr`` of a uint8 image, first channel: ``(..., 1, H, W)`` uint8."""
    return round_to_uint8(luma(rgb))


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """MATLAB's ``rgb2ycbcr``, unrounded.

    Args:
        rgb: ``(..., 3, H, W)``, uint8 or floating-point in [0, 255].

    Returns:
        ``(..., 3, H, W)``: Y in [16, 235] as :func:`luma` gives it, Cb and Cr in [16, 240];
        float64 for uint8 input, else the input's dtype.
    """
    if rgb.dtype == torch.uint8:
        rgb = rgb.double()
    return torch.cat([luma(rgb), chroma(rgb)], dim=-3)


def chroma(rgb: Tensor) -> Tensor:
    """Cb and Cr of :func:`rgb_to_ycbcr`: ``(..., 2, H, W)``."""
    if rgb.dtype == torch.uint8:
        rgb = rgb.double()
    return _mixed(rgb, CHROMA_WEIGHTS).div_(255.0).add_(CHROMA_OFFSET)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """MATLAB's ``ycbcr2rgb``: the inverse of :func:`rgb_to_ycbcr`, neither clipped nor rounded.

    Args:
        ycbcr: floating ``(..., 3, H, W)``, in the ranges of :func:`rgb_to_ycbcr`.

    Returns:
        ``(..., 3, H, W)``, [0, 255] for colours that exist in RGB; the input's dtype.
    """
    forth = torch.tensor([LUMA_WEIGHTS, *CHROMA_WEIGHTS], dtype=torch.float64)
    offset = ycbcr.new_tensor([LUMA_OFFSET, CHROMA_OFFSET, CHROMA_OFFSET]).view(3, 1, 1)
    return _mixed(ycbcr - offset, torch.linalg.inv(forth).tolist()).mul_(255.0)


def _mixed(image: Tensor, rows: Sequence[Sequence[float]]) -> Tensor:
    # Written out, because a matrix product may run in a GPU's reduced precision; and in place, as
    # fresh memory for each step takes as long as the sums.
    first, second, third = image.unbind(-3)
    mixed = image.new_empty(*image.shape[:-3], len(rows), *image.shape[-2:])
    for plane, (a, b, c) in zip(mixed.unbind(-3), rows, strict=True):
        torch.mul(first, a, out=plane).add_(b * second).add_(c * third)
    return mixed


def demo_luma(rgb: Tensor, grey: bool = False) -> Tensor:
    """The uint8 plane that the demos of SRCNN and VDSR start from.

    Args:
        rgb: uint8 ``(..., 3, H, W)``.
        grey: the image file has a single plane. The demos take that plane as it is, in full range,
            whereas a colour file becomes its rounded luma, in studio range.

    Returns:
        uint8 ``(..., 1, H, W)``.
    """
    y = luma(rgb)
    if grey:
        y = (y - LUMA_OFFSET) * (255.0 / sum(LUMA_WEIGHTS))
    return round_to_uint8(y)


def round_to_uint8(values: Tensor) -> Tensor:
    """Clip to [0, 255] and round half away from zero to uint8: the field's last step."""
    return values.clamp(0, 255).add_(0.5).floor_().to(torch.uint8)
