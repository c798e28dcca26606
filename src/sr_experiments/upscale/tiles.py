"""Cutting an image into windows that give exactly the values of the whole image.

What a network computes at a pixel depends on the input within its receptive field. A window that
extends beyond the pixels it is kept for by that much needs the same sums for them; at the border of
the image the window has the same border and padding. On the CPU the sums are also in the same order
as long as PyTorch chooses the same convolution for window and image, as :data:`MIN_AREA` ensures.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sr_experiments.imaging.resize import kernel_taps, mix_rows
from sr_experiments.models.network import Network

#: PyTorch computes a convolution of at most 20,480 values by another method, which rounds
#: differently; windows have more pixels than that, for networks of one channel.
MIN_AREA = 20481
#: Side of the smallest square of that area.
MIN_SIDE = math.isqrt(MIN_AREA) + 1


@dataclass(frozen=True)
class Window:
    """A part of an image, in pixels of the input.

    Attributes:
        rows: first and last + 1 row that the network sees.
        columns: first and last + 1 column.
        kept_rows: first and last + 1 row whose results are kept.
        kept_columns: first and last + 1 column.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    kept_rows: tuple[int, int]
    kept_columns: tuple[int, int]


@torch.no_grad()
def bytes_per_pixel(network: Network) -> int:
    """Memory per pixel of the input while the network computes, an upper estimate.

    The largest layer holds its input and output, both perhaps once more in another layout, and
    further features are kept for skip connections.
    """
    first = next(network.parameters(), torch.zeros((), dtype=torch.float64))
    channels = 3 if network.colour == "rgb" else 1
    side, largest = 32, 0

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal largest
        values = sum(t.numel() for t in (*inputs, output) if isinstance(t, Tensor))
        largest = max(largest, values // side**2)

    leaves = [m for m in network.modules() if not list(m.children())]
    hooks = [m.register_forward_hook(record) for m in leaves]
    try:
        network(torch.zeros(1, channels, side, side, dtype=first.dtype, device=first.device))
    finally:
        for hook in hooks:
            hook.remove()
    # Colour and chroma are enlarged in float64: about four planes of three channels at a time.
    return int(2.5 * largest * first.element_size()) + 4 * 3 * 8 * network.scale**2


def side_within(memory: int, pixel: int, halo: int) -> int:
    """The side of the largest kept square whose window fits into ``memory`` bytes, at least 16."""
    return max(16, math.isqrt(max(0, memory // pixel)) - 2 * halo)


def windows(height: int, width: int, side: int, halo: int) -> list[Window]:
    """Cut an image into kept parts and the windows around them.

    Every window has :data:`MIN_AREA` pixels or is the whole image.

    Args:
        height: of the image.
        width: of the image.
        side: of a part. Of an image that is narrower, parts are longer by as much: a strip in
            squares would be cut into many whose windows, widened to :data:`MIN_AREA`, overlap.
        halo: pixels that a window adds on each side.
    """
    rows, columns = _parts(height, _longer(side, width)), _parts(width, _longer(side, height))
    if height * width < MIN_AREA or len(rows) == len(columns) == 1:
        whole = (0, height), (0, width)
        return [Window(*whole, *whole)]
    low = max(MIN_SIDE, math.ceil(MIN_AREA / width))
    broad = max(MIN_SIDE, math.ceil(MIN_AREA / height))
    return [
        Window(_around(r, halo, low, height), _around(c, halo, broad, width), r, c)
        for r in rows
        for c in columns
    ]


def _longer(side: int, across: int) -> int:
    """The side of a part of an image that measures ``across`` in the other direction."""
    return max(side, MIN_AREA, side * side) // across if across < side else side


def _parts(length: int, side: int) -> list[tuple[int, int]]:
    number = math.ceil(length / side)
    cuts = [length * i // number for i in range(number + 1)]
    return list(itertools.pairwise(cuts))


def _around(part: tuple[int, int], halo: int, least: int, length: int) -> tuple[int, int]:
    begin, end = max(0, part[0] - halo), min(length, part[1] + halo)
    missing = max(0, min(least, length) - (end - begin))
    begin = max(0, begin - missing)
    return begin, max(end, min(length, begin + least))


def imresize_part(
    image: Tensor,
    scale: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
    convert: Callable[[Tensor], Tensor],
) -> Tensor:
    """A part of ``imresize(convert(image), scale)``, to the last bit, from the pixels it needs.

    The weights are those of the whole image: those of a window, computed from its own first pixel,
    may differ in the sixteenth digit, and a sum that ends on .5 would round differently.

    Args:
        image: ``(..., H, W)``.
        scale: an integer of at least 2.
        rows: first and last + 1 row of the input whose enlargement is wanted.
        columns: first and last + 1 column.
        convert: maps pixels to floating-point values, each by itself.

    Returns:
        ``(..., scale * rows, scale * columns)``.
    """
    taps = []
    for axis, (begin, end) in ((-2, rows), (-1, columns)):
        length = image.shape[axis]
        source, weights = kernel_taps(length, scale * length, float(scale), "mirror")
        part = slice(begin * scale, end * scale)
        source, weights = source[:, part], weights[:, part]
        first, last = int(source.min()), int(source.max())
        image = image.narrow(axis, first, last - first + 1)
        taps.append((source - first, weights))
    image = convert(image)
    for source, weights in taps:
        weights = weights.to(image.device, image.dtype)
        image = mix_rows(image, source.to(image.device), weights).transpose(-1, -2).contiguous()
    return image
