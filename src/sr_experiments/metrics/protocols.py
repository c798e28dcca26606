"""The field's scoring rules, by name.

A number without its protocol means little: on one and the same output of RCAN (Set5, x2) these
rules give 38.27, 38.18 and 36.07 dB. All of them are computed for every image, so that no later
question needs the images again. The rules are computed by :mod:`sr_experiments.metrics.scoring`;
this module does without torch, because reports and ``--help`` read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

Space = Literal["y", "y_uint8", "y_network", "rgb"]
#: Which windows SSIM is averaged over: those inside the image, or all, its border replicated.
Window = Literal["valid", "replicate"]
#: Side of Wang's Gaussian window.
WINDOW_SIZE = 11


class Score(NamedTuple):
    """PSNR in dB (infinite for equal images) and SSIM, None where the protocol has none."""

    psnr: float
    ssim: float | None


@dataclass(frozen=True)
class Protocol:
    """One scoring rule; the super-resolved image is clipped and rounded to uint8 before it.

    Attributes:
        name: as configs and tables say it.
        description: one line, with the codebases that score by it.
        psnr_rule: one line for the head of a table.
        ssim_rule: likewise; None if it has no SSIM.
        space: the planes that are compared. ``y`` is the unrounded luma, ``y_uint8`` the rounded
            one, ``y_network`` the rounded luma or a luma network's own output, ``rgb`` all three.
        ssim_window: the windows SSIM is averaged over, or None for no SSIM.
        shave_scales: what is cut off each side, in multiples of the scale.
        extra_shave: pixels cut off each side beyond that.
    """

    name: str
    description: str
    psnr_rule: str
    ssim_rule: str | None
    space: Space
    ssim_window: Window | None
    shave_scales: int = 1
    extra_shave: int = 0

    def shave(self, scale: int) -> int:
        """Pixels cut off each side before anything is compared."""
        return self.shave_scales * scale + self.extra_shave

    def min_side(self, scale: int) -> int:
        """The shortest side an image may have to be scored."""
        return 2 * self.shave(scale) + (1 if self.ssim_window is None else WINDOW_SIZE)


_ALL = (
    Protocol(
        "y",
        "luma, unrounded; scale pixels shaved; Wang's SSIM (RCAN, IMDN, SwinIR, BasicSR)",
        psnr_rule="luma (BT.601, studio range), not rounded; scale pixels shaved; mean of dB",
        ssim_rule="Wang 2004 on luma: 11x11 Gaussian, sigma 1.5, valid region; after the shave",
        space="y",
        ssim_window="valid",
    ),
    Protocol(
        "y_rounded",
        "luma rounded to uint8; scale pixels shaved; MATLAB's ssim() (EDSR's own scripts)",
        psnr_rule="luma rounded to 8 bit as MATLAB does; scale pixels shaved; mean of dB",
        ssim_rule="MATLAB's ssim() on 8-bit luma: borders replicated, full map",
        space="y_uint8",
        ssim_window="replicate",
    ),
    Protocol(
        "rgb",
        "RGB; scale pixels shaved; mean of Wang's SSIM over R, G, B (BasicSR's RGB columns)",
        psnr_rule="all of R, G, B; scale pixels shaved; mean of dB",
        ssim_rule="Wang 2004 on each of R, G, B, then their mean; after the shave",
        space="rgb",
        ssim_window="valid",
    ),
    Protocol(
        "rgb_div2k",
        "RGB; scale + 6 pixels shaved; no SSIM (EDSR-PyTorch on DIV2K)",
        psnr_rule="all of R, G, B; scale + 6 pixels shaved; mean of dB",
        ssim_rule=None,
        space="rgb",
        ssim_window=None,
        extra_shave=6,
    ),
    Protocol(
        "y_first",
        "uint8 luma, a luma network's own if it is one; scale pixels shaved; Wang's SSIM (SRCNN)",
        psnr_rule="luma rounded to 8 bit before downscaling; scale pixels shaved; mean of dB",
        ssim_rule="Wang 2004 on the 8-bit luma taken before downscaling; after the shave",
        space="y_network",
        ssim_window="valid",
    ),
)

#: Every protocol by name, in the order of the tables.
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({p.name: p for p in _ALL})
