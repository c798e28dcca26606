"""Cutting a picture into windows that give the very values of the whole picture.

What a network computes at a pixel depends on the input within its receptive field. A window that
extends by as much beyond the pixels that are kept has, for these, the same sums to do; at the
image's own border the window's border is the same, with the same padding. On the CPU the sums are
also done in the same order, as long as PyTorch chooses the same convolution for window and whole:
:data:`MIN_AREA` sees to it.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sr_experiments.imaging.resize import kernel_taps
from sr_experiments.models.network import Network

#: PyTorch does a convolution of at most 20,480 values by another method, which rounds otherwise;
#: windows are larger even if they have a single channel.
MIN_AREA = 20481
#: The side of a square that has them.
SMALLEST = math.isqrt(MIN_AREA) + 1


@dataclass(frozen=True)
class Window:
    """A part of a picture, in pixels of the input.

    Attributes:
        rows: first and last + 1 row that the network sees.
        columns: likewise.
        kept_rows: first and last + 1 row whose results are kept.
        kept_columns: likewise.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    kept_rows: tuple[int, int]
    kept_columns: tuple[int, int]


@torch.no_grad()
def bytes_per_pixel(network: Network) -> int:
    """Memory that a pixel of the input takes while the network works, an upper estimate.

    The largest layer holds its input and output, both perhaps once more in another layout, and
    further features wait for their skip connections.
    """
    first = next(network.parameters(), torch.zeros((), dtype=torch.float64))
    channels = 3 if network.colour == "rgb" else 1
    side, largest = 32, 0

    def note(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        nonlocal largest
        values = sum(t.numel() for t in (*given, result) if isinstance(t, Tensor))
        largest = max(largest, values // side**2)

    leaves = [m for m in network.modules() if not list(m.children())]
    hooks = [m.register_forward_hook(note) for m in leaves]
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
    """Cut a picture into kept parts of at most ``side`` by ``side`` and the windows around them.

    Every window has :data:`MIN_AREA` pixels or is the whole picture.
    """
    if height * width < MIN_AREA or max(height, width) <= side:
        whole = (0, height), (0, width)
        return [Window(*whole, *whole)]
    rows, columns = _parts(height, side), _parts(width, side)
    low = max(SMALLEST, math.ceil(MIN_AREA / width))
    broad = max(SMALLEST, math.ceil(MIN_AREA / height))
    return [
        Window(_around(r, halo, low, height), _around(c, halo, broad, width), r, c)
        for r in rows
        for c in columns
    ]


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

    The weights of the whole picture are used: those of a window that is counted from its own first
    pixel may differ in the sixteenth digit, and a sum that ends on .5 would round otherwise.

    Args:
        image: ``(..., H, W)``.
        scale: an integer of at least 2.
        rows: first and last + 1 row of the input whose enlargement is wanted.
        columns: likewise.
        convert: pixel by pixel to floating values.

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
    for axis, (source, weights) in zip((-2, -1), taps, strict=True):
        shape = (-1, 1) if axis == -2 else (-1,)
        total: Tensor | None = None
        for index, weight in zip(source, weights, strict=True):
            line = image.index_select(axis, index.to(image.device))
            factor = weight.to(image.device, image.dtype).view(shape)
            total = line * factor if total is None else torch.addcmul(total, line, factor)
        assert total is not None  # a kernel has taps
        image = total
    return image
