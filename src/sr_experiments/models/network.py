"""What every network of the suite declares, and the one way to apply it to a picture."""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.imaging.colour import demo_luma, round_to_uint8
from sr_experiments.imaging.resize import downscale

Colour = Literal["rgb", "y", "each"]


class Network(nn.Module):
    """A network LR -> HR.

    ``forward`` takes ``(N, C, h, w)`` in [0, 1] and returns ``(N, C, scale * h, scale * w)``,
    unclipped. What a caller must know is declared here and never guessed:

    Attributes:
        scale: the super-resolution factor.
        colour: ``rgb`` (C = 3), ``y`` (C = 1, luma / 255), or ``each`` (any C, channel by channel).
        scales: the factors that the architecture can do; empty means any.
        scale_dependent: how the names of those tensors begin that another scale may not have.
    """

    colour: ClassVar[Colour] = "rgb"
    scales: ClassVar[tuple[int, ...]] = ()
    scale_dependent: ClassVar[tuple[str, ...]] = ()
    scale: int

    def __init__(self, scale: int) -> None:
        super().__init__()
        if self.scales and scale not in self.scales:
            can = ", ".join(map(str, self.scales))
            raise UserError(f"scale={scale}: {type(self).__name__} can do {can}")
        self.scale = scale

    @property
    def size(self) -> str:
        """The words by which a paper names the size, such as ``32x256``; empty if it has none."""
        return ""

    @property
    def parameter_count(self) -> int:
        """Trainable values."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


@torch.no_grad()
def upscale(network: Network, lr: Tensor) -> Tensor:
    """Super-resolve pictures and round them as the field does.

    Args:
        network: in eval mode, on the pictures' device.
        lr: uint8 ``(N, C, h, w)``; C as the network's ``colour`` says.

    Returns:
        uint8 ``(N, C, scale * h, scale * w)``: clipped, rounded half away from zero.
    """
    return _rounded(network, lr.to(_dtype(network)).div(255))


@torch.no_grad()
def upscale_luma(network: Network, hr: Tensor, grey: bool = False) -> Tensor:
    """The luma path of SRCNN's and VDSR's demos (protocol ``y_first``).

    The ground truth's uint8 plane is shrunk in floating point and not rounded again before the
    network.

    Args:
        network: with ``colour`` ``y`` or ``each``.
        hr: ground truth, uint8 ``(N, 3, H, W)``, sides multiples of the scale.
        grey: the ground truth's file has a single plane; see
            :func:`~sr_experiments.imaging.colour.demo_luma`.

    Returns:
        uint8 ``(N, 1, H, W)``.
    """
    lr = downscale(demo_luma(hr, grey).double().div(255), network.scale)
    return _rounded(network, lr.to(_dtype(network)))


def _rounded(network: Network, lr: Tensor) -> Tensor:
    # Pictures are scored in the network's own precision, whatever it was trained in.
    with torch.autocast(lr.device.type, enabled=False):
        return round_to_uint8(network(lr).mul(255))


def _dtype(network: nn.Module) -> torch.dtype:
    """A network computes in its parameters' precision; one without them in float64."""
    first = next(network.parameters(), None)
    return first.dtype if first is not None else torch.float64
