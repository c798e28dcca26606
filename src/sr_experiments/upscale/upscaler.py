"""Enlarging images of any size with a network, at any scale."""

import hashlib
import math
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from sr_experiments.core.device import free_memory
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.colour import chroma, round_to_uint8, ycbcr_to_rgb
from sr_experiments.imaging.resize import imresize
from sr_experiments.models.network import Network, prepare
from sr_experiments.upscale.arguments import MAX_SCALE
from sr_experiments.upscale.filters import filtered
from sr_experiments.upscale.onnx_network import choose_engine, fingerprint
from sr_experiments.upscale.tiles import (
    MIN_SIDE,
    Window,
    bytes_per_pixel,
    imresize_part,
    side_within,
    windows,
)

#: Bytes that are used on a CPU; more makes nothing faster.
CPU_MEMORY = 2 * 2**30
#: Bytes of a window on a CPU, so that its layers stay in the processor's cache and in memory that
#: is reused: fresh pages cost as much as the convolutions of a small network.
CPU_CACHE = 64 * 2**20
#: Work in windows, with their halos, relative to that of the whole image; at most.
MAX_WORK = 1.5
#: Frames that a GPU enlarges at a time; more make nothing faster.
MAX_FRAMES = 8
#: Pixels around a tile of a network that sees the whole image, with ``approximate``.
APPROXIMATE_HALO = 32
#: What is raised when memory runs out.
OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)
Progress = Callable[[int], None]


def _silent(pixels: int) -> None:
    pass


class Upscaler:
    """Applies a network to images: in tiles where an image is too large, else as a whole.

    At the network's own scale the result for an 8-bit image equals that of
    :func:`sr_experiments.models.network.upscale`. On a CPU it is equal to the last bit, in tiles
    too, because the convolutions are the same sums in the same order. On a GPU another algorithm
    may be chosen for another size, and a value near .5 may round to its neighbour.

    Args:
        network: moved to the device and put into eval mode.
        scale: above 1 and at most 8. The network enlarges by the next integer that it supports,
            and MATLAB's bicubic shrinks its output to the requested size.
        device: where the network computes.
        tile: side of a tile, in pixels of the input; by default as large as the memory allows.
        memory: bytes that may be used; by default what is free, at most 2 GiB on a CPU.
        self_ensemble: average the outputs for the eight flips and transposes (EDSR, section 3.4).
        approximate: allow tiles for a network whose every pixel depends on the whole image.
        denoise: strength of denoising before enlarging, in [0, 1].
        sharpen: strength of sharpening before enlarging, in [0, 1].
        engine: what computes the network: ``torch``, ``onnx`` (ONNX Runtime, on a CPU) or ``auto``,
            which is ONNX Runtime where it is clearly faster. Its values can differ from those of
            scoring; see :mod:`sr_experiments.upscale.onnx_network`.
        batch: frames that are enlarged at a time; by default one on a CPU, where more make nothing
            faster, and on a GPU as many as fit, at most :data:`MAX_FRAMES`.

    Attributes:
        network_scale: the integer by which the network enlarges.
        engine: ``torch`` or ``onnx``.
        engine_note: explains the choice of the engine; None where PyTorch was requested.

    Raises:
        UserError: the network does not support the scale, tiles or the engine.
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
            raise UserError(
                "scale-out-of-range",
                "--scale {scale}: above 1 and at most {most}",
                scale=_text(self.scale),
                most=MAX_SCALE,
            )
        self.network_scale = math.ceil(self.scale) if network.any_scale else network.scale
        if self.network_scale < self.scale:
            raise UserError(
                "scale-above-network",
                "--scale {scale}: this network enlarges by {most}; ask for no more, or name a "
                "network of a larger scale",
                scale=_text(self.scale),
                most=network.scale,
            )
        network = prepare(network, self.device).for_scale(self.network_scale)
        self.network = network
        self.tile, self.memory, self.self_ensemble = tile, memory, self_ensemble
        self.denoise, self.sharpen, self.batch = denoise, sharpen, batch
        # A network without parameters is imresize, which is computed as a whole.
        self._whole = next(network.parameters(), None) is None
        self.pixel = bytes_per_pixel(network)
        radius = network.receptive_field
        self.exact = self._whole or radius is not None
        self.halo = APPROXIMATE_HALO if radius is None else radius
        self.approximate = approximate
        if tile is not None and not self.exact and not approximate:
            raise UserError(
                "tile-not-exact",
                "--tile {tile}: each pixel of {network} depends on the whole image, so tiles "
                "change the values; leave it out or add --approximate",
                tile=tile,
                network=type(network).__name__,
            )
        self.engine, self.engine_note, self._compute = choose_engine(
            engine, network, self.network_scale, self.device
        )

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the result, rounded up as MATLAB does."""
        return math.ceil(self.scale * height), math.ceil(self.scale * width)

    def identity(self) -> str:
        """A hash of all that decides the values, without what only changes the use of memory."""
        parts = [fingerprint(self.network), self.scale, self.network_scale, self.self_ensemble]
        parts += [self.denoise, self.sharpen, self.engine, self.device.type]
        if not self.exact:
            parts += [self.approximate, self.tile, self.memory]
        return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()

    def together(self, height: int, width: int) -> int:
        """How many frames of a size :meth:`frames` should be given at a time."""
        if self.batch is not None:
            return self.batch
        if self.device.type == "cpu" or self._whole:
            return 1
        free = self.memory if self.memory is not None else free_memory(self.device)
        return max(1, min(MAX_FRAMES, free // (height * width * self.pixel)))

    def frames(self, frames: Tensor, progress: Progress = _silent) -> Tensor:
        """Enlarge images of one size, such as the frames of a video.

        Args:
            frames: uint8 ``(N, 3, h, w)`` on any device.
            progress: called with the number of input pixels that were processed.

        Returns:
            uint8 ``(N, 3, H, W)`` on the CPU.
        """
        height, width = self.size(*frames.shape[-2:])
        result = torch.empty(len(frames), 3, height, width, dtype=torch.uint8)
        count = self.together(*frames.shape[-2:])
        for batch, target in zip(frames.split(count), result.split(count), strict=True):
            self._into(target, batch, round_to_uint8, progress)
        return result

    def values(self, image: Tensor, progress: Progress = _silent) -> Tensor:
        """Enlarge an image without rounding it, for more than 8 bits.

        Args:
            image: ``(3, h, w)``, uint8 or floating in [0, 255].
            progress: see :meth:`frames`.

        Returns:
            float64 ``(3, H, W)`` on the CPU, neither clipped nor rounded.
        """
        result = torch.empty(1, 3, *self.size(*image.shape[-2:]), dtype=torch.float64)
        self._into(result, image[None], lambda values: values, progress)
        return result[0]

    @torch.no_grad()
    def _into(
        self,
        target: Tensor,
        images: Tensor,
        finish: Callable[[Tensor], Tensor],
        progress: Progress,
    ) -> None:
        """``(N, 3, h, w)`` enlarged, finished and written into ``target``, ``(N, 3, H, W)``."""
        if self.denoise or self.sharpen:
            smooth = [filtered(p.double(), self.denoise, self.sharpen) for p in images]
            images = torch.stack(smooth)
        height, width = images.shape[-2:]
        s, count = self.network_scale, len(images)
        direct = self.scale == s
        # Floats are gathered only where the whole is needed to be shrunk.
        large = target if direct else torch.empty(count, 3, s * height, s * width)
        with torch.autocast(self.device.type, enabled=False):
            for window in self._windows(height, width, count):
                (y0, y1), (x0, x1) = window.kept_rows, window.kept_columns
                values = self._enlarged(images, window)
                kept = finish(values) if direct else values
                large[..., s * y0 : s * y1, s * x0 : s * x1] = kept
                progress(count * (y1 - y0) * (x1 - x0))
        if not direct:
            # Clipped first: values beyond black and white must not bleed into their neighbours.
            small = imresize(large.clamp_(0, 255), size=self.size(height, width))
            target.copy_(finish(small))

    def _enlarged(self, images: Tensor, window: Window) -> Tensor:
        """The kept part of a window, ``(N, 3, s h, s w)`` in [0, 255], before rounding.

        uint8 and float64 input of the same values give the same bits.
        """
        (top, bottom), (left, right) = window.rows, window.columns
        part = images[..., top:bottom, left:right].to(self.device)
        network, s = self.network, self.network_scale
        (y0, y1), (x0, x1) = window.kept_rows, window.kept_columns
        rows = slice(s * (y0 - top), s * (y1 - top))
        columns = slice(s * (x0 - left), s * (x1 - left))
        sr = self._output(network.encode(part))[..., rows, columns].mul(255)
        if network.colour == "y":
            colours = imresize_part(
                images, s, window.kept_rows, window.kept_columns, self._chroma_of
            )
            sr = ycbcr_to_rgb(torch.cat([sr.to(colours.dtype), colours], dim=1))
        return sr

    def _chroma_of(self, images: Tensor) -> Tensor:
        return chroma(images.to(self.device))

    def _output(self, encoded: Tensor) -> Tensor:
        """``(N, C, h, w)`` -> ``(N, C, s h, s w)``, the mean of eight with self-ensemble."""
        if not self.self_ensemble:
            return self._compute(encoded)
        total: Tensor | None = None
        for turn in range(8):
            output = _turned_back(self._compute(_turned(encoded, turn)), turn).double()
            total = output if total is None else total + output
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
                side = max(side_within(cache, self.pixel, self.halo), MIN_SIDE - 2 * self.halo)
                if self.exact and (side + 2 * self.halo) ** 2 <= MAX_WORK * side**2:
                    return windows(height, width, side, self.halo)
            if height * width * self.pixel <= free:
                return windows(height, width, max(height, width), 0)
            return windows(height, width, side_within(free, self.pixel, self.halo), self.halo)
        needed = height * width * self.pixel
        if needed > free:
            raise UserError(
                "image-exceeds-memory",
                "each pixel of {network} depends on the whole image, and {width}x{height} needs "
                "about {needed:.1f} GiB where {free:.1f} GiB may be used; --approximate works in "
                "tiles and changes values slightly",
                network=type(self.network).__name__,
                width=width,
                height=height,
                needed=needed / 2**30,
                free=free / 2**30,
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
