"""What every network of the suite declares, and the one way to apply it to an image."""

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch
from torch import Tensor, nn

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.colour import (
    chroma,
    demo_luma,
    luma,
    round_to_uint8,
    ycbcr_to_rgb,
)
from sr_experiments.imaging.resize import downscale, imresize

Colour = Literal["rgb", "y", "each"]
#: Makes an activation; called once for every place, so that none is shared.
Activation = Callable[[], nn.Module]
#: Makes a convolution from ``(in_channels, out_channels, kernel_size, *, bias=True)``.
Convolution = Callable[..., nn.Module]
N = TypeVar("N", bound=nn.Module)


class Network(nn.Module):
    """A network LR -> HR.

    ``forward`` takes ``(N, C, h, w)`` in [0, 1] and returns ``(N, C, scale * h, scale * w)``,
    unclipped. What a caller must know is declared here and never guessed:

    Attributes:
        scale: the super-resolution scale.
        colour: ``rgb`` (C = 3), ``y`` (C = 1, luma / 255), or ``each`` (any C, channel by channel).
        scales: the scales that the architecture supports; empty means any.
        scale_dependent: prefixes of the names of tensors that depend on the scale.
        any_scale: no tensor depends on the scale: one network may learn and serve several.
    """

    colour: ClassVar[Colour] = "rgb"
    scales: ClassVar[tuple[int, ...]] = ()
    scale_dependent: ClassVar[tuple[str, ...]] = ()
    any_scale: ClassVar[bool] = False
    scale: int

    def __init__(self, scale: int) -> None:
        super().__init__()
        if self.scales and scale not in self.scales:
            raise UserError(
                "scale-not-supported",
                "scale={scale}: {network} can do {supported}",
                scale=scale,
                network=type(self).__name__,
                supported=", ".join(map(str, self.scales)),
            )
        self.scale = scale

    def for_scale(self, scale: int) -> Self:
        """The same network for another scale, sharing every parameter and buffer.

        Raises:
            UserError: a network without ``any_scale`` is asked for a scale that is not its own.
        """
        if scale == self.scale:
            return self
        if not self.any_scale:
            raise UserError(
                "scale-is-fixed",
                "scale={scale}: this {network} was built for scale {own} only",
                scale=scale,
                network=type(self).__name__,
                own=self.scale,
            )
        view = copy.copy(self)
        view.scale = scale
        return view

    @classmethod
    def sizes_of(cls, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """The arguments that a file's tensors tell, the scale among them where they do.

        None if they are another network's, or this class does not know. What tensors cannot tell,
        such as the activation, is left to its default.
        """
        return None

    @property
    def receptive_field(self) -> int | None:
        """Receptive-field radius in LR pixels, of the ``scale x scale`` outputs of a pixel.

        It holds in eval mode and may be too large, never too small. None: they depend on the whole
        image, as with pooling over it.
        """
        return None

    @property
    def size(self) -> str:
        """The words by which a paper names the size, such as ``32x256``; empty if it has none."""
        return ""

    @property
    def stages(self) -> tuple[str, ...]:
        """Layers on the main path, by name and in order, whose outputs are features to learn from.

        Empty if the network has none.
        """
        return ()

    @property
    def parameter_count(self) -> int:
        """Trainable values."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def encode(self, images: Tensor) -> Tensor:
        """Images as the network sees them, low-resolution input and ground truth alike.

        Args:
            images: uint8 ``(N, 3, H, W)``.

        Returns:
            ``(N, C, H, W)`` in [0, 1] and the network's precision; for ``colour`` ``y`` the
            unrounded studio-range luma / 255, otherwise the images / 255.
        """
        values = luma(images) if self.colour == "y" else images
        return values.to(_dtype(self)).div(255)


def numbered(names: Iterable[str], pattern: str) -> int:
    """How many different numbers the group of a pattern takes in names that match it whole."""
    return len({m[1] for name in names if (m := re.fullmatch(pattern, name))})


def refuse_below_one(**sizes: int) -> None:
    """Refuse sizes of a network that are below 1.

    Raises:
        ValueError: naming all of them, as the config does.
    """
    if min(sizes.values()) < 1:
        given = ", ".join(f"{name}={value}" for name, value in sizes.items())
        raise ValueError(f"{given}: at least 1 of each")


def refuse_even(kernels: Sequence[int]) -> None:
    """Refuse kernels that have no middle, with which an image would not keep its size.

    Raises:
        ValueError: naming them.
    """
    if any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
        raise ValueError(f"kernels={list(kernels)}: odd sizes are needed")


def in_channels_last(network: N) -> N:
    """Lay out a network's convolutions as all of its training and scoring does, in place.

    Convolutions of the two layouts add in another order: on processors without AVX-512 the last bit
    of a value depends on the layout.
    """
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def prepare(network: N, device: torch.device | str = "cpu") -> N:
    """Put a network into the state in which all of the suite applies it.

    Scoring, ``upscale``, the page and the teachers of a distillation share it, so that their values
    are equal on every machine.

    Args:
        network: changed in place.
        device: where it will compute.

    Returns:
        The network in eval mode, in channels_last layout, on the device, in the precision of its
        own parameters.
    """
    return in_channels_last(network.to(device)).eval()


@torch.no_grad()
def upscale(network: Network, lr: Tensor) -> Tensor:
    """Super-resolve colour images and round them as the field does.

    A luma network enlarges Y; Cb and Cr, to which the eye is less sensitive, are enlarged by
    MATLAB's bicubic, as SRCNN's and VDSR's authors do.

    Args:
        network: as :func:`prepare` returns it, on the images' device.
        lr: uint8 ``(N, 3, h, w)``.

    Returns:
        uint8 ``(N, 3, scale * h, scale * w)``: clipped, rounded half away from zero.
    """
    sr = _applied(network, network.encode(lr))
    if network.colour == "y":
        colours = imresize(chroma(lr), network.scale)
        sr = ycbcr_to_rgb(torch.cat([sr.to(colours.dtype), colours], dim=1))
    return round_to_uint8(sr)


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
    return round_to_uint8(_applied(network, lr.to(_dtype(network))))


def _applied(network: Network, lr: Tensor) -> Tensor:
    """``(N, C, h, w)`` in [0, 1] -> ``(N, C, scale * h, scale * w)``, 0 to 255 and beyond."""
    # Images are scored in the network's own precision, whatever it was trained in.
    with torch.autocast(lr.device.type, enabled=False):
        return network(lr).mul(255)


def _dtype(network: nn.Module) -> torch.dtype:
    """A network computes in its parameters' precision; one without them in float64."""
    first = next(network.parameters(), None)
    return first.dtype if first is not None else torch.float64
