"""Bicubic interpolation as a network without parameters: the reference of every table."""

from typing import ClassVar

from torch import Tensor

from sr_experiments.imaging.resize import imresize
from sr_experiments.models.layers.receptive_field import bicubic_radius
from sr_experiments.models.network import Colour, Network


class Bicubic(Network):
    """MATLAB's ``imresize(lr, scale, 'bicubic')``, channel by channel."""

    colour: ClassVar[Colour] = "each"

    def __init__(self, scale: int) -> None:
        super().__init__(scale)

    @property
    def receptive_field(self) -> int:
        """See :class:`Network`."""
        return bicubic_radius(self.scale)

    def forward(self, lr: Tensor) -> Tensor:
        """``(N, C, h, w)`` in [0, 1] -> ``(N, C, scale * h, scale * w)``."""
        return imresize(lr, self.scale)
