"""SRCNN: Image Super-Resolution Using Deep Convolutional Networks (Dong et al. 2014, 2016)."""

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
    refuse_below_one,
    refuse_even,
)


class SRCNN(Network):
    """Three convolutions on bicubically enlarged luma: 9-1-5 (2014) and 9-5-5 (2016).

    Patch extraction, non-linear mapping, reconstruction (section 3.1). The original cuts the
    border of its training patches and replicates it when tested; here zeros keep the size in both.

    Args:
        scale: any factor; the input is enlarged by MATLAB's bicubic first.
        kernels: sides of the three kernels, odd.
        n1: channels of the first layer.
        n2: channels of the second.
        activation: factory of the two activations.
        convolution: factory of the middle convolution; the first and the last stay ordinary.
        everywhere: the factory makes the first and the last convolution too.
        residual: add the enlarged input to the output, as VDSR does; no part of the paper.
    """

    colour: ClassVar[Colour] = "y"
    any_scale: ClassVar[bool] = True

    def __init__(
        self,
        scale: int,
        kernels: tuple[int, int, int] = (9, 1, 5),
        n1: int = 64,
        n2: int = 32,
        activation: Activation = nn.ReLU,
        convolution: Convolution = plain,
        everywhere: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__(scale)
        refuse_below_one(n1=n1, n2=n2)
        refuse_even(kernels)
        self.kernels, self.n1, self.n2 = tuple(kernels), n1, n2
        self.residual = residual
        outer = convolution if everywhere else plain
        self.head = nn.Sequential(outer(1, n1, kernels[0]), activation())
        self.body = nn.Sequential(convolution(n1, n2, kernels[1]), activation())
        self.tail = outer(n2, 1, kernels[2])

    @classmethod
    def sizes_of(cls, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """See :class:`Network`."""
        layers = [state.get(f"{name}.weight") for name in ("head.0", "body.0", "tail")]
        if any(layer is None or layer.ndim != 4 for layer in layers):
            return None
        return {
            "kernels": [layer.shape[-1] for layer in layers if layer is not None],
            "n1": len(state["head.0.weight"]),
            "n2": len(state["body.0.weight"]),
        }

    @property
    def size(self) -> str:
        """Kernels and channels, as the paper writes both."""
        return f"{'-'.join(map(str, self.kernels))} ({self.n1}-{self.n2})"

    @property
    def receptive_field(self) -> int:
        """See :class:`Network`."""
        return bicubic_radius(self.scale, kernel_radius(self))

    @property
    def stages(self) -> tuple[str, ...]:
        """The two hidden layers, each with its activation."""
        return "head", "body"

    def forward(self, lr: Tensor) -> Tensor:
        """``(N, 1, h, w)`` in [0, 1] -> ``(N, 1, scale * h, scale * w)``, unclipped."""
        enlarged = imresize(lr, self.scale)
        output = self.tail(self.body(self.head(enlarged)))
        return enlarged + output if self.residual else output
