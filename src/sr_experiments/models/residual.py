"""What SRResNet, EDSR and RCAN have in common: layers that work on the small image."""

import math
import re
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from sr_experiments.models.layers.receptive_field import kernel_radius
from sr_experiments.models.layers.upsampling import MeanShift, Upsampler
from sr_experiments.models.network import Network


class Residual(nn.Module):
    """A body whose answer is added to its input; a subclass sets it."""

    body: nn.Module

    def forward(self, features: Tensor) -> Tensor:
        """``(N, n_feats, h, w)`` -> the same shape."""
        return features + self.body(features)


def scale_of(state: Mapping[str, Tensor]) -> int:
    """The scale that the convolutions of an :class:`Upsampler` in ``tail.0`` make."""
    shapes = [
        tuple(v.shape[:2]) for k, v in state.items() if re.fullmatch(r"tail\.0\.\d+\.weight", k)
    ]
    return math.prod(math.isqrt(out // max(1, into)) for out, into in shapes)


class ResidualNetwork(Network):
    """Head, a body around which a skip leads, and a tail that enlarges.

    A subclass sets the three, and how many stages its body has.

    Attributes:
        head: ``(N, 3, h, w)`` to features.
        body: its stages by number, then what closes it.
        tail: features to ``(N, 3, scale * h, scale * w)``; an upsampler is its first layer.
        n_stages: of the body.
    """

    scales: ClassVar[tuple[int, ...]] = (2, 3, 4)
    scale_dependent: ClassVar[tuple[str, ...]] = ("tail.0.",)
    head: nn.Sequential
    body: nn.Sequential
    tail: nn.Sequential
    n_stages: int

    @property
    def stages(self) -> tuple[str, ...]:
        """The body's stages; the last one with what closes the body."""
        return (*(f"body.{i}" for i in range(self.n_stages - 1)), "body")

    @property
    def receptive_field(self) -> int | None:
        """See :class:`Network`."""
        upsampler, *rest = self.tail
        assert isinstance(upsampler, Upsampler)
        return kernel_radius(self.head, self.body) + upsampler.radius(kernel_radius(*rest))

    def forward(self, lr: Tensor) -> Tensor:
        """``(N, 3, h, w)`` in [0, 1] -> ``(N, 3, scale * h, scale * w)``, unclipped."""
        features = self.head(lr)
        return self.tail(features + self.body(features))


class CentredNetwork(ResidualNetwork):
    """One whose layers see images without DIV2K's mean colour, in a range of their own.

    Args:
        scale: the super-resolution factor.
        rgb_range: the range that the layers see; the interface is [0, 1] whatever this says.
    """

    def __init__(self, scale: int, rgb_range: float) -> None:
        super().__init__(scale)
        self.rgb_range = rgb_range
        self.sub_mean = MeanShift(rgb_range, -1)
        self.add_mean = MeanShift(rgb_range, +1)

    def forward(self, lr: Tensor) -> Tensor:
        """``(N, 3, h, w)`` in [0, 1] -> ``(N, 3, scale * h, scale * w)``, unclipped."""
        sr = super().forward(self.sub_mean(lr * self.rgb_range))
        return self.add_mean(sr) / self.rgb_range
