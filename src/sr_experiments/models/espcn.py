"""ESPCN: Real-Time Single Image and Video Super-Resolution Using Sub-Pixel Convolution.

Shi et al. 2016.
"""

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


class ESPCN(Network):
    """5x5, 3x3 and 3x3 convolutions on the small luma, then a pixel shuffle (section 3.2).

    Args:
        scale: any factor; the last convolution puts out scale * scale channels.
        n1: channels of the first layer.
        n2: channels of the second.
        activation: factory of the two activations; tanh in the paper.
        convolution: factory of the middle convolution; the first and the last stay ordinary.
    """

    colour: ClassVar[Colour] = "y"
    scale_dependent: ClassVar[tuple[str, ...]] = ("tail.",)

    def __init__(
        self,
        scale: int,
        n1: int = 64,
        n2: int = 32,
        activation: Activation = nn.Tanh,
        convolution: Convolution = plain,
    ) -> None:
        super().__init__(scale)
        refuse_below_one(n1=n1, n2=n2)
        self.n1, self.n2 = n1, n2
        self.head = nn.Sequential(plain(1, n1, 5), activation())
        self.body = nn.Sequential(convolution(n1, n2, 3), activation())
        self.tail = nn.Sequential(plain(n2, scale * scale, 3), nn.PixelShuffle(scale))

    @property
    def size(self) -> str:
        """Kernels and channels."""
        return f"5-3-3 ({self.n1}-{self.n2})"

    @property
    def receptive_field(self) -> int:
        """See :class:`Network`."""
        return kernel_radius(self)

    @property
    def stages(self) -> tuple[str, ...]:
        """The two hidden layers, each with its activation."""
        return "head", "body"

    def forward(self, lr: Tensor) -> Tensor:
        """``(N, 1, h, w)`` in [0, 1] -> ``(N, 1, scale * h, scale * w)``, unclipped."""
        return self.tail(self.body(self.head(lr)))
