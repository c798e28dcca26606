"""Denoising and sharpening before an image is enlarged."""

from collections.abc import Callable

import torch
from torch import Tensor

#: Rows that are filtered at a time; fixed, so that results do not depend on the memory.
STRIP = 256
#: Rows on either side of a strip; more than the filters' radius.
MARGIN = 8
KERNEL = (5, 5)


def filtered(image: Tensor, denoise: float = 0.0, sharpen: float = 0.0) -> Tensor:
    """Denoise, then sharpen.

    Denoising is a bilateral filter: neighbours within two pixels are averaged by the
    similarity of their colours, which keeps edges. Sharpening adds the difference to a Gaussian
    blur.

    Args:
        image: floating ``(C, H, W)`` in [0, 255].
        denoise: in [0, 1]; 0 leaves the image unchanged.
        sharpen: in [0, 1]; 0 leaves the image unchanged.

    Returns:
        The same shape and type, in [0, 255].
    """
    from kornia.filters import bilateral_blur, unsharp_mask  # imports slowly, and is rarely used

    def smooth(x: Tensor) -> Tensor:
        return bilateral_blur(x, KERNEL, 0.25 * denoise, (1.5, 1.5), border_type="replicate")

    def sharpened(x: Tensor) -> Tensor:
        # unsharp_mask has no strength: it adds the whole difference.
        masked = unsharp_mask(x, KERNEL, (1.0, 1.0), border_type="replicate")
        return torch.lerp(x, masked, sharpen).clamp(0, 1)

    if denoise > 0:
        image = _in_strips(smooth, image)
    if sharpen > 0:
        image = _in_strips(sharpened, image)
    return image


def _in_strips(apply: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    result = torch.empty_like(image)
    height = image.shape[-2]
    for begin in range(0, height, STRIP):
        end = min(height, begin + STRIP)
        first, last = max(0, begin - MARGIN), min(height, end + MARGIN)
        part = apply(image[None, :, first:last].div(255))[0].mul(255)
        result[:, begin:end] = part[:, begin - first : end - first]
    return result
