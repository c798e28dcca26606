"""Enlarging pictures of any size with a network, by any factor."""

import hashlib
import math
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from sr_experiments.core.device import free_memory
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.colour import rgb_to_ycbcr, round_to_uint8, ycbcr_to_rgb
from sr_experiments.imaging.resize import imresize
from sr_experiments.models.network import Network, prepare
from sr_experiments.upscale.filters import filtered
from sr_experiments.upscale.onnx_network import chosen, fingerprint
from sr_experiments.upscale.tiles import (
    SMALLEST,
    Window,
    bytes_per_pixel,
    imresize_part,
    side_within,
    windows,
)

MAX_SCALE = 8
#: On a CPU more than this makes nothing faster.
CPU_MEMORY = 2 * 2**30
#: What a window may take on a CPU so that its layers stay in the processor's cache, and in memory
#: that is used again: fresh pages cost as much as the convolutions of a small network.
CPU_CACHE = 64 * 2**20
#: Times the work that the windows' halos may make of it.
MOST_WORK = 1.5
#: Frames that a GPU enlarges at a time; more make nothing faster.
MOST_FRAMES = 8
#: Pixels around a tile of a network that sees the whole picture, if one insists on tiles.
APPROXIMATE_HALO = 32
#: What is raised where memory ends.
OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)
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
        engine: what computes the network: ``torch``, ``onnx`` (ONNX Runtime, on a CPU) or ``auto``,
            which is ONNX Runtime where it is clearly faster. Its values are not those of scoring to
            the last bit; see :mod:`sr_experiments.upscale.onnx_network`.
        batch: frames that are enlarged at a time; by default one on a CPU, where more make nothing
            faster, and on a GPU as many as fit, at most :data:`MOST_FRAMES`.

    Attributes:
        factor: by which the network enlarges.
        engine: ``torch`` or ``onnx``.
        engine_words: what to say of the choice; empty for PyTorch that was asked for.

    Raises:
        UserError: the network cannot do as much, not in tiles, or not by this engine.
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
        engine: str = "torch",
        batch: int | None = None,
    ) -> None:
        self.scale, self.device = Fraction(scale), torch.device(device)
        if not 1 < self.scale <= MAX_SCALE:
            raise UserError(f"--scale {_text(self.scale)}: above 1 and at most {MAX_SCALE}")
        self.factor = math.ceil(self.scale) if network.any_scale else network.scale
        if self.factor < self.scale:
            raise UserError(
                "scale-above-network",
                "--scale {scale}: this network enlarges by {most}; ask for no more, or name a "
                "network of a larger scale",
                scale=_text(self.scale),
                most=network.scale,
            )
        network = prepare(network, self.device).for_scale(self.factor)
        self.network = network
        self.tile, self.memory, self.self_ensemble = tile, memory, self_ensemble
        self.denoise, self.sharpen, self.batch = denoise, sharpen, batch
        # Without parameters there is nothing to save: imresize is done at once and as a whole.
        self._whole = next(network.parameters(), None) is None
        self.pixel = bytes_per_pixel(network)
        radius = network.receptive_field
        self.exact = self._whole or radius is not None
        self.halo = APPROXIMATE_HALO if radius is None else radius
        self.approximate = approximate
        if tile is not None and not self.exact and not approximate:
            raise UserError(
                f"--tile {tile}: {type(network).__name__} looks at the whole picture for every "
                "pixel, so tiles give other values; leave it out or add --approximate"
            )
        self.engine, self.engine_words, self._compute = chosen(
            engine, network, self.factor, self.device
        )

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the result, rounded up as MATLAB does."""
        return math.ceil(self.scale * height), math.ceil(self.scale * width)

    def identity(self) -> str:
        """A hash of all that decides the values; not of how the memory is used."""
        kind = f"{self.scale} {self.factor} {self.self_ensemble} {self.denoise} {self.sharpen}"
        where = f"{self.engine} {self.device.type}"
        tiled = "" if self.exact else f"{self.approximate} {self.tile} {self.memory}"
        whole = f"{fingerprint(self.network)} {kind} {where} {tiled}"
        return hashlib.sha256(whole.encode()).hexdigest()

    def together(self, height: int, width: int) -> int:
        """How many frames of a size are best given to :meth:`frames` at a time."""
        if self.batch is not None:
            return self.batch
        if self.device.type == "cpu" or self._whole:
            return 1
        free = self.memory if self.memory is not None else free_memory(self.device)
        return max(1, min(MOST_FRAMES, free // (height * width * self.pixel)))

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
        most = self.together(*frames.shape[-2:])
        for given, target in zip(frames.split(most), result.split(most), strict=True):
            self._into(target, given, round_to_uint8, progress)
        return result

    def values(self, picture: Tensor, progress: Progress = _silent) -> Tensor:
        """Enlarge a picture without rounding it, for more than 8 bits.

        Args:
            picture: ``(3, h, w)``, uint8 or floating in [0, 255].
            progress: see :meth:`frames`.

        Returns:
            float64 ``(3, H, W)`` on the CPU, neither clipped nor rounded.
        """
        result = torch.empty(1, 3, *self.size(*picture.shape[-2:]), dtype=torch.float64)
        self._into(result, picture[None], lambda values: values, progress)
        return result[0]

    @torch.no_grad()
    def _into(
        self,
        target: Tensor,
        pictures: Tensor,
        finish: Callable[[Tensor], Tensor],
        progress: Progress,
    ) -> None:
        """``(N, 3, h, w)`` enlarged, finished and written into ``target``, ``(N, 3, H, W)``."""
        if self.denoise or self.sharpen:
            smooth = [filtered(p.double(), self.denoise, self.sharpen) for p in pictures]
            pictures = torch.stack(smooth)
        height, width = pictures.shape[-2:]
        s, count = self.factor, len(pictures)
        direct = self.scale == s
        # Floats are gathered only if the whole is needed for the way down.
        large = target if direct else torch.empty(count, 3, s * height, s * width)
        with torch.autocast(self.device.type, enabled=False):
            for window in self._windows(height, width, count):
                (y0, y1), (x0, x1) = window.kept_rows, window.kept_columns
                values = self._enlarged(pictures, window)
                kept = finish(values) if direct else values
                large[..., s * y0 : s * y1, s * x0 : s * x1] = kept
                progress(count * (y1 - y0) * (x1 - x0))
        if not direct:
            # Clipped first: what is beyond white or black must not bleed into its neighbours.
            small = imresize(large.clamp_(0, 255), size=self.size(height, width))
            target.copy_(finish(small))

    def _enlarged(self, pictures: Tensor, window: Window) -> Tensor:
        """The kept part of a window, ``(N, 3, s h, s w)``: what ``upscale`` rounds.

        uint8 and float64 input of the same values give the same bits.
        """
        (top, bottom), (left, right) = window.rows, window.columns
        part = pictures[..., top:bottom, left:right].to(self.device)
        network, s = self.network, self.factor
        (y0, y1), (x0, x1) = window.kept_rows, window.kept_columns
        rows = slice(s * (y0 - top), s * (y1 - top))
        columns = slice(s * (x0 - left), s * (x1 - left))
        sr = self._answer(network.encode(part))[..., rows, columns].mul(255)
        if network.colour == "y":
            chroma = imresize_part(
                pictures, s, window.kept_rows, window.kept_columns, self._chroma_of
            )
            sr = ycbcr_to_rgb(torch.cat([sr.to(chroma.dtype), chroma], dim=1))
        return sr

    def _chroma_of(self, pictures: Tensor) -> Tensor:
        return rgb_to_ycbcr(pictures.to(self.device))[:, 1:]

    def _answer(self, encoded: Tensor) -> Tensor:
        """``(N, C, h, w)`` -> ``(N, C, s h, s w)``, the mean of eight with self-ensemble."""
        if not self.self_ensemble:
            return self._compute(encoded)
        total: Tensor | None = None
        for turn in range(8):
            answer = _turned_back(self._compute(_turned(encoded, turn)), turn).double()
            total = answer if total is None else total + answer
        assert total is not None
        return total / 8

    def _windows(self, height: int, width: int, count: int = 1) -> list[Window]:
        if self._whole:
            return windows(height, width, max(height, width), 0)
        if self.tile is not None:
            return windows(height, width, self.tile, self.halo)
        free = self.memory if self.memory is not None else free_memory(self.device)
        free, cache = free // count, CPU_CACHE // count
        if self.exact or self.approximate:
            if self.memory is None and self.device.type == "cpu":
                free = min(free, CPU_MEMORY)
                side = max(side_within(cache, self.pixel, self.halo), SMALLEST - 2 * self.halo)
                if self.exact and (side + 2 * self.halo) ** 2 <= MOST_WORK * side**2:
                    return windows(height, width, side, self.halo)
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
