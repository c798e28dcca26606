"""VDSR: Accurate Image Super-Resolution Using Very Deep Convolutional Networks.

Kim et al. 2016.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from sr_experiments.imaging.resize import imresize
from sr_experiments.models.layers.convolution import plain
from sr_experiments.models.layers.receptive_field import bicubic_radius, kernel_radius
from sr_experiments.models.network import (
    Activation,
    Colour,
    Convolution,
    Network,
    numbered,
    refuse_below_one,
)


class VDSR(Network):
    """Twenty 3x3 convolutions that learn what bicubic interpolation of the luma lacks (section 3).

    No tensor depends on the scale: one network may serve x2, x3 and x4.

    Args:
        scale: any factor; the input is enlarged by MATLAB's bicubic first.
        n_layers: convolutions, the first and the last included; at least 2.
        n_feats: channels.
        residual: add the enlarged input to the output. Without it the network has to carry the
            whole image through, which is the paper's comparison in section 4.2.
        bias: whether the convolutions have biases; public PyTorch weights have none.
        activation: factory of the activations, one behind each layer but the last.
        convolution: factory of the inner convolutions; the first and the last stay ordinary.
    """

    colour: ClassVar[Colour] = "y"
    any_scale: ClassVar[bool] = True

    def __init__(
        self,
        scale: int,
        n_layers: int = 20,
        n_feats: int = 64,
        residual: bool = True,
        bias: bool = True,
        activation: Activation = nn.ReLU,
        convolution: Convolution = plain,
    ) -> None:
        super().__init__(scale)
        refuse_below_one(n_feats=n_feats)
        if n_layers < 2:
            raise ValueError(f"n_layers={n_layers}: at least 2, the first and the last")
        self.n_layers, self.n_feats, self.residual = n_layers, n_feats, residual
        self.head = nn.Sequential(plain(1, n_feats, 3, bias=bias), activation())
        inner = [
            nn.Sequential(convolution(n_feats, n_feats, 3, bias=bias), activation())
            for _ in range(n_layers - 2)
        ]
        self.body = nn.Sequential(*inner)
        self.tail = plain(n_feats, 1, 3, bias=bias)

    @classmethod
    def sizes_of(cls, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """See :class:`Network`."""
        if "head.0.weight" not in state or "tail.weight" not in state:
            return None
        return {
            "n_layers": 2 + numbered(state, r"body\.(\d+)\.0\.weight"),
            "n_feats": len(state["head.0.weight"]),
            "bias": "tail.bias" in state,
        }

    @property
    def size(self) -> str:
        """Layers x channels."""
        return f"{self.n_layers}x{self.n_feats}"

    @property
    def receptive_field(self) -> int:
        """See :class:`Network`."""
        return bicubic_radius(self.scale, kernel_radius(self))

    @property
    def stages(self) -> tuple[str, ...]:
        """The inner layers, each with its activation."""
        return tuple(f"body.{i}" for i in range(self.n_layers - 2))

    def forward(self, lr: Tensor) -> Tensor:
        """``(N, 1, h, w)`` in [0, 1] -> ``(N, 1, scale * h, scale * w)``, unclipped."""
        enlarged = imresize(lr, self.scale)
        output = self.tail(self.body(self.head(enlarged)))
        return enlarged + output if self.residual else output
