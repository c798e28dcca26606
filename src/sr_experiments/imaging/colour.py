"""The field's luma: ITU-R BT.601 with the studio range 16 to 235, as MATLAB's ``rgb2ycbcr``.

Full-range greys (OpenCV, Pillow, kornia) score 1.32 dB lower; the constants stand here once.
"""

import torch
from torch import Tensor

LUMA_WEIGHTS = (65.481, 128.553, 24.966)
LUMA_OFFSET = 16.0


def luma(rgb: Tensor) -> Tensor:
    """Unrounded luma of an image.

    Args:
        rgb: ``(..., 3, H, W)``, uint8 or floating in [0, 255].

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


def demo_luma(rgb: Tensor, grey: bool = False) -> Tensor:
    """The uint8 plane that SRCNN's and VDSR's demos begin with.

    Args:
        rgb: uint8 ``(..., 3, H, W)``.
        grey: the picture's file has a single plane. The demos take that plane as it is, in full
            range, while a colour file becomes its rounded luma, in studio range.

    Returns:
        uint8 ``(..., 1, H, W)``.
    """
    y = luma(rgb)
    if grey:
        y = (y - LUMA_OFFSET) * (255.0 / sum(LUMA_WEIGHTS))
    return round_to_uint8(y)


def round_to_uint8(values: Tensor) -> Tensor:
    """Clip to [0, 255] and round half away from zero to uint8: the field's last step."""
    return values.clamp(0, 255).add(0.5).floor().to(torch.uint8)
