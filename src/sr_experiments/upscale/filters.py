"""Denoising and sharpening before a picture is enlarged."""

from collections.abc import Callable

import torch
from torch import Tensor

#: Rows that are filtered at a time; the same whatever the memory, so that results do not depend.
STRIP = 256
#: More rows on both sides than the filters reach.
MARGIN = 8
KERNEL = (5, 5)


def filtered(picture: Tensor, denoise: float = 0.0, sharpen: float = 0.0) -> Tensor:
    """Denoise, then sharpen.

    Denoising is a bilateral filter: neighbours within two pixels are averaged as far as their
    colours are alike, and edges stay. Sharpening adds the difference to a Gaussian blur.

    Args:
        picture: floating ``(C, H, W)`` in [0, 255].
        denoise: in [0, 1]; 0 leaves the picture as it is.
        sharpen: likewise.

    Returns:
        The same shape and type, in [0, 255].
    """
    from kornia.filters import bilateral_blur, unsharp_mask  # takes a second, and few ask for it

    def smooth(x: Tensor) -> Tensor:
        return bilateral_blur(x, KERNEL, 0.25 * denoise, (1.5, 1.5), border_type="replicate")

    def crisp(x: Tensor) -> Tensor:
        # unsharp_mask adds the whole difference.
        masked = unsharp_mask(x, KERNEL, (1.0, 1.0), border_type="replicate")
        return torch.lerp(x, masked, sharpen).clamp(0, 1)

    if denoise > 0:
        picture = _in_strips(smooth, picture)
    if sharpen > 0:
        picture = _in_strips(crisp, picture)
    return picture


def _in_strips(apply: Callable[[Tensor], Tensor], picture: Tensor) -> Tensor:
    result = torch.empty_like(picture)
    height = picture.shape[-2]
    for begin in range(0, height, STRIP):
        end = min(height, begin + STRIP)
        first, last = max(0, begin - MARGIN), min(height, end + MARGIN)
        part = apply(picture[None, :, first:last].div(255))[0].mul(255)
        result[:, begin:end] = part[:, begin - first : end - first]
    return result
