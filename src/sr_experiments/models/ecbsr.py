"""ECBSR: Edge-oriented Convolution Block for Real-time Super Resolution on Mobile Devices.

Zhang, Zeng and Zhang 2021.
"""

from typing import ClassVar

from torch import Tensor, nn

from sr_experiments.models.layers.edge import EdgeConvolution
from sr_experiments.models.layers.receptive_field import kernel_radius
from sr_experiments.models.network import (
    Activation,
    Colour,
    Convolution,
    Network,
    refuse_below_one,
)


class ECBSR(Network):
    """3x3 convolutions on the small luma, whose answer is added to its enlargement (section 3.1).

    The input is enlarged by repeating pixels; the last convolution puts out what a pixel shuffle
    adds to it. Once trained, :func:`~sr_experiments.models.layers.fold.fold` leaves nothing but
    ordinary convolutions and activations.

    Args:
        scale: any factor; the last convolution puts out scale * scale channels.
        n_blocks: convolutions between the first and the last; M in the paper.
        n_feats: channels; C in the paper.
        activation: factory of the activations, one behind each convolution but the last.
        convolution: factory of the convolutions between the first and the last.
        ends: factory of the first and the last.
    """

    colour: ClassVar[Colour] = "y"
    scale_dependent: ClassVar[tuple[str, ...]] = ("tail.",)

    def __init__(
        self,
        scale: int,
        n_blocks: int = 4,
        n_feats: int = 16,
        activation: Activation = nn.PReLU,
        convolution: Convolution = EdgeConvolution,
        ends: Convolution = EdgeConvolution,
    ) -> None:
        super().__init__(scale)
        refuse_below_one(n_blocks=n_blocks, n_feats=n_feats)
        self.n_blocks, self.n_feats = n_blocks, n_feats
        self.head = nn.Sequential(ends(1, n_feats, 3), activation())
        blocks = [
            nn.Sequential(convolution(n_feats, n_feats, 3), activation()) for _ in range(n_blocks)
        ]
        self.body = nn.Sequential(*blocks)
        self.tail = ends(n_feats, scale * scale, 3)
        self.shuffle = nn.PixelShuffle(scale)

    @property
    def size(self) -> str:
        """Blocks and channels, as the paper writes them."""
        return f"M{self.n_blocks}C{self.n_feats}"

    @property
    def receptive_field(self) -> int:
        """See :class:`Network`."""
        return kernel_radius(self)

    @property
    def stages(self) -> tuple[str, ...]:
        """The first convolution and the blocks, each with its activation."""
        return ("head", *(f"body.{i}" for i in range(self.n_blocks)))

    def forward(self, lr: Tensor) -> Tensor:
        """``(N, 1, h, w)`` in [0, 1] -> ``(N, 1, scale * h, scale * w)``, unclipped."""
        # Added before the shuffle, which repeats pixels.
        return self.shuffle(self.tail(self.body(self.head(lr))) + lr)
