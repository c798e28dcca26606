"""Sub-pixel upsampling and mean shift, laid out as EDSR's and RCAN's checkpoints name them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sr_experiments.models.layers.convolution import plain
from sr_experiments.models.layers.receptive_field import kernel_radius

#: Mean RGB of DIV2K's training images, in [0, 1].
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class Upsampler(nn.Sequential):
    """Convolution and pixel shuffle: x2 once, x3 once, x4 twice (Shi et al. 2016).

    ``(N, n_feats, h, w)`` -> ``(N, n_feats, scale * h, scale * w)``.

    Args:
        scale: 2, 3 or 4.
        n_feats: channels.
        activation: factory of what follows each shuffle (SRResNet); EDSR and RCAN have none.
        convolution: factory of the convolutions.
    """

    def __init__(
        self,
        scale: int,
        n_feats: int,
        activation: Callable[[], nn.Module] | None = None,
        convolution: Callable[..., nn.Module] = plain,
    ) -> None:
        steps = {2: [2], 3: [3], 4: [2, 2]}[scale]
        layers: list[nn.Module] = []
        for step in steps:
            layers += [convolution(n_feats, step * step * n_feats, 3), nn.PixelShuffle(step)]
            if activation is not None:
                layers.append(activation())
        super().__init__(*layers)

    def radius(self, behind: int) -> int:
        """LR pixels to each side that an output of layers behind it depends on.

        Args:
            behind: pixels of the enlarged image to each side that those layers see.
        """
        for layer in reversed(list(self)):
            if isinstance(layer, nn.PixelShuffle):
                behind = math.ceil(behind / layer.upscale_factor)
            else:
                behind += kernel_radius(layer)
        return behind


class MeanShift(nn.Module):
    """Add ``sign`` times the DIV2K mean; a fixed 1x1 convolution in the official checkpoints.

    Its ``weight`` and ``bias`` are buffers: they are saved and loaded, never trained or counted.

    Args:
        rgb_range: the largest value of the images that pass, 1 or 255.
        sign: -1 before a network, +1 behind it.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, rgb_range: float, sign: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(3).view(3, 3, 1, 1))
        self.register_buffer("bias", sign * rgb_range * torch.tensor(DIV2K_MEAN))

    def forward(self, image: Tensor) -> Tensor:
        """``(N, 3, H, W)`` -> the same shape, shifted."""
        return image + self.bias.view(1, 3, 1, 1)
