"""How far the layers of a network see, in pixels."""

import math

from torch import nn


def kernel_radius(*modules: nn.Module) -> int:
    """Receptive-field radius of convolutions that are applied one after the other, in pixels.

    Skip connections and pointwise layers add nothing. Strides are taken to be 1.
    """
    convolutions = (m for module in modules for m in module.modules() if isinstance(m, nn.Conv2d))
    return sum(c.dilation[0] * (c.kernel_size[0] - 1) // 2 for c in convolutions)


def bicubic_radius(scale: int, radius: int = 0) -> int:
    """Pixels in front of a bicubic enlargement of which layers behind it see ``radius`` more.

    The kernel of an enlargement extends two pixels of its input to each side.
    """
    return radius if scale == 1 else math.floor((radius - 0.5) / scale + 0.5) + 2
