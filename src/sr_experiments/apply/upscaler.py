"""Enlarging pictures of any size with a network, by any factor."""

import math
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from sr_experiments.apply.filters import filtered
from sr_experiments.apply.tiles import (
    Window,
    bytes_per_pixel,
    imresize_part,
    reach,
    side_within,
    windows,
)
from sr_experiments.errors import UserError
from sr_experiments.imaging.colour import rgb_to_ycbcr, round_to_uint8, ycbcr_to_rgb
from sr_experiments.imaging.resize import imresize
from sr_experiments.models.network import Network

MAX_SCALE = 8
#: On a CPU more than this makes nothing faster.
CPU_MEMORY = 2 * 2**30
#: Pixels around a tile of a network that sees the whole picture, if one insists on tiles.
APPROXIMATE_HALO = 32
Progress = Callable[[int], None]


def _silent(pixels: int) -> None:
    pass


class Upscaler:
    """A network and the way to apply it: in tiles where a picture is too large, else as a whole.

    At the network's own factor the result of an 8-bit picture is that of
    :func:`sr_experiments.models.network.upscale`. On a CPU this is so to the last bit, in tiles
    too, because the convolutions are the same sums in the same order. On a GPU the convolution may
    be another for another size: a value near .5 may round to its neighbour.

    Args:
        network: is put into eval mode and onto the device.
        scale: factor, above 1 and at most 8. The network enlarges by the next factor that it can
            do, and MATLAB's bicubic shrinks to the asked size.
        device: where the network works.
        tile: side of a tile, in pixels of the input; by default as the memory allows.
        memory: bytes that may be used; by default what is free, at most 2 GiB on a CPU.
        self_ensemble: average the answers to the eight flips and transposes (EDSR, section 3.4).
        approximate: allow tiles to a network whose every pixel depends on the whole picture.
        denoise: strength in [0, 1], before enlarging.
        sharpen: likewise.

    Attributes:
        factor: by which the network enlarges.

    Raises:
        UserError: the network cannot do as much, or not in tiles.
    """

    def __init__(
        self,
        network: Network,
        scale: Fraction | int,
        device: torch.device | str = "cpu",
        *,
        tile: int | None = None,
        memory: int | None = None,
        self_ensemble: bool = False,
        approximate: bool = False,
        denoise: float = 0.0,
        sharpen: float = 0.0,
    ) -> None:
        self.scale, self.device = Fraction(scale), torch.device(device)
        if not 1 < self.scale <= MAX_SCALE:
            raise UserError(f"--scale {_text(self.scale)}: above 1 and at most {MAX_SCALE}")
        self.factor = math.ceil(self.scale) if network.any_scale else network.scale
        if self.factor < self.scale:
            raise UserError(
                f"--scale {_text(self.scale)}: this network enlarges by {network.scale}; ask for "
                "no more, or name a network of a larger scale"
            )
        self.network = network.eval().to(self.device)
        self.tile, self.memory, self.self_ensemble = tile, memory, self_ensemble
        self.denoise, self.sharpen = denoise, sharpen
        # Without parameters there is nothing to save: imresize is done at once and as a whole.
        self._whole = next(network.parameters(), None) is None
        with network.at(self.factor):
            self.pixel = bytes_per_pixel(network)
            found = None if self._whole else reach(network)
        self.exact = self._whole or found is not None
        self.halo = APPROXIMATE_HALO if found is None else found
        self.approximate = approximate
        if tile is not None and not self.exact and not approximate:
            raise UserError(
                f"--tile {tile}: {type(network).__name__} looks at the whole picture for every "
                "pixel, so tiles give other values; leave it out or add --approximate"
            )

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the result, rounded up as MATLAB does."""
        return math.ceil(self.scale * height), math.ceil(self.scale * width)

    def frames(self, frames: Tensor, progress: Progress = _silent) -> Tensor:
        """Enlarge pictures, or the frames of a video.

        Args:
            frames: uint8 ``(N, 3, h, w)`` on any device.
            progress: called with the number of input pixels that are done.

        Returns:
            uint8 ``(N, 3, H, W)`` on the CPU.
        """
        height, width = self.size(*frames.shape[-2:])
        result = torch.empty(len(frames), 3, height, width, dtype=torch.uint8)
        for frame, target in zip(frames, result, strict=True):
            self._into(target, frame, round_to_uint8, progress)
        return result

    def values(self, picture: Tensor, progress: Progress = _silent) -> Tensor:
        """Enlarge a picture without rounding it, for more than 8 bits.

        Args:
            picture: ``(3, h, w)``, uint8 or floating in [0, 255].
            progress: see :meth:`frames`.

        Returns:
            float64 ``(3, H, W)`` on the CPU, neither clipped nor rounded.
        """
        result = torch.empty(3, *self.size(*picture.shape[-2:]), dtype=torch.float64)
        self._into(result, picture, lambda values: values, progress)
        return result

    @torch.no_grad()
    def _into(
        self,
        target: Tensor,
        picture: Tensor,
        finish: Callable[[Tensor], Tensor],
        progress: Progress,
    ) -> None:
        if self.denoise or self.sharpen:
            picture = filtered(picture.double(), self.denoise, self.sharpen)
        height, width = picture.shape[-2:]
        s = self.factor
        direct = self.scale == s
        # Floats are gathered only if the whole is needed for the way down.
        large = target if direct else torch.empty(3, s * height, s * width)
        with self.network.at(s), torch.autocast(self.device.type, enabled=False):
            for window in self._windows(height, width):
                (y0, y1), (x0, x1) = window.kept_rows, window.kept_columns
                values = self._enlarged(picture, window)
                large[:, s * y0 : s * y1, s * x0 : s * x1] = finish(values) if direct else values
                progress((y1 - y0) * (x1 - x0))
        if not direct:
            # Clipped first: what is beyond white or black must not bleed into its neighbours.
            small = imresize(large.clamp_(0, 255), size=self.size(height, width))
            target.copy_(finish(small))

    def _enlarged(self, picture: Tensor, window: Window) -> Tensor:
        """The kept part of a window, ``(3, s h, s w)``: what ``upscale`` rounds.

        uint8 and float64 input of the same values give the same bits.
        """
        (top, bottom), (left, right) = window.rows, window.columns
        part = picture[:, top:bottom, left:right].to(self.device)[None]
        network, s = self.network, self.factor
        (y0, y1), (x0, x1) = window.kept_rows, window.kept_columns
        rows = slice(s * (y0 - top), s * (y1 - top))
        columns = slice(s * (x0 - left), s * (x1 - left))
        sr = self._answer(network.encode(part))[0, :, rows, columns].mul(255)
        if network.colour == "y":
            chroma = imresize_part(
                picture, s, window.kept_rows, window.kept_columns, self._chroma_of
            )
            sr = ycbcr_to_rgb(torch.cat([sr.to(chroma.dtype), chroma]))
        return sr

    def _chroma_of(self, picture: Tensor) -> Tensor:
        return rgb_to_ycbcr(picture.to(self.device))[1:]

    def _answer(self, encoded: Tensor) -> Tensor:
        """``(1, C, h, w)`` -> ``(1, C, s h, s w)``, the mean of eight with self-ensemble."""
        if not self.self_ensemble:
            return self.network(encoded)
        total: Tensor | None = None
        for turn in range(8):
            answer = _turned_back(self.network(_turned(encoded, turn)), turn).double()
            total = answer if total is None else total + answer
        assert total is not None
        return total / 8

    def _windows(self, height: int, width: int) -> list[Window]:
        if self._whole:
            return windows(height, width, max(height, width), 0)
        if self.tile is not None:
            return windows(height, width, self.tile, self.halo)
        free = self.memory if self.memory is not None else free_memory(self.device)
        if self.exact or self.approximate:
            if self.memory is None and self.device.type == "cpu":
                free = min(free, CPU_MEMORY)
            if height * width * self.pixel <= free:
                return windows(height, width, max(height, width), 0)
            return windows(height, width, side_within(free, self.pixel, self.halo), self.halo)
        needed = height * width * self.pixel
        if needed > free:
            raise UserError(
                f"{type(self.network).__name__} looks at the whole picture for every pixel, and "
                f"{width}x{height} needs about {needed / 2**30:.1f} GiB where {free / 2**30:.1f} "
                "GiB may be used; --approximate works in tiles, with slightly other values"
            )
        return windows(height, width, max(height, width), 0)


def free_memory(device: torch.device) -> int:
    """Bytes that may be taken on a device: two thirds of what is free."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] * 2 // 3
    free = 4 * 2**30
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except OSError:  # not Linux
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    group = Path("/sys/fs/cgroup")
    try:  # a container may have less than its machine
        most = (group / "memory.max").read_text().strip()
        if most != "max":
            free = min(free, int(most) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return max(0, free) * 2 // 3


def _turned(image: Tensor, turn: int) -> Tensor:
    """One of the eight flips and transposes, numbered by bits: transpose, rows, columns."""
    image = image.transpose(-2, -1) if turn & 1 else image
    axes = [axis for bit, axis in ((2, -2), (4, -1)) if turn & bit]
    return (image.flip(axes) if axes else image).contiguous()


def _turned_back(image: Tensor, turn: int) -> Tensor:
    axes = [axis for bit, axis in ((2, -2), (4, -1)) if turn & bit]
    image = image.flip(axes) if axes else image
    return image.transpose(-2, -1) if turn & 1 else image


def _text(scale: Fraction) -> str:
    return f"{float(scale):g}"
