"""FSRCNN: Accelerating the Super-Resolution Convolutional Neural Network (Dong et al. 2016)."""

import math
from typing import ClassVar

from torch import Tensor, nn

from sr_experiments.models.layers.convolution import plain
from sr_experiments.models.layers.receptive_field import kernel_radius
from sr_experiments.models.network import (
    Activation,
    Colour,
    Convolution,
    Network,
    refuse_below_one,
)


class FSRCNN(Network):
    """Feature extraction, shrinking, mapping, expanding, and a transposed convolution (section 3).

    FSRCNN(56, 12, 4) has the 12,464 weights that the paper counts, 173 biases beside them, and a
    slope for each of its 7 PReLUs: 12,644 parameters. No tensor depends on the scale.

    Args:
        scale: 2, 3 or 4.
        d: channels of the features.
        s: channels of the mapping.
        m: 3x3 convolutions of the mapping.
        activation: factory of the activations, one behind each layer but the last; PReLU in the
            paper.
        convolution: factory of the inner convolutions (1x1 and 3x3); the first and the transposed
            one stay ordinary.
    """

    colour: ClassVar[Colour] = "y"
    scales: ClassVar[tuple[int, ...]] = (2, 3, 4)

    def __init__(
        self,
        scale: int,
        d: int = 56,
        s: int = 12,
        m: int = 4,
        activation: Activation = nn.PReLU,
        convolution: Convolution = plain,
    ) -> None:
        super().__init__(scale)
        refuse_below_one(d=d, s=s, m=m)
        self.d, self.s, self.m = d, s, m
        self.head = nn.Sequential(plain(1, d, 5), activation())
        self.shrink = nn.Sequential(convolution(d, s, 1), activation())
        mapping = [nn.Sequential(convolution(s, s, 3), activation()) for _ in range(m)]
        self.mapping = nn.Sequential(*mapping)
        self.expand = nn.Sequential(convolution(s, d, 1), activation())
        # Padded so that h becomes scale * h: (h - 1) * scale - 2 * 4 + 9 + (scale - 1).
        self.tail = nn.ConvTranspose2d(d, 1, 9, stride=scale, padding=4, output_padding=scale - 1)

    @property
    def size(self) -> str:
        """The paper's (d, s, m)."""
        return f"{self.d}-{self.s}-{self.m}"

    @property
    def receptive_field(self) -> int:
        """See :class:`Network`."""
        # The transposed convolution's kernel of 9 is centred on every scale-th pixel of its output.
        return kernel_radius(self) + math.ceil(4 / self.scale)

    @property
    def stages(self) -> tuple[str, ...]:
        """The hidden layers, each with its activation."""
        return ("head", "shrink", *(f"mapping.{i}" for i in range(self.m)), "expand")

    def forward(self, lr: Tensor) -> Tensor:
        """``(N, 1, h, w)`` in [0, 1] -> ``(N, 1, scale * h, scale * w)``, unclipped."""
        features = self.shrink(self.head(lr))
        return self.tail(self.expand(self.mapping(features)))
