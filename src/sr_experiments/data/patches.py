"""Training patches as a pure function of (seed, t, rank).

Crops and flips come from a counter-based generator (Philox), read as raw bits whose stream NumPy
guarantees. So a resumed run, another number of processes and a rerun see the same batches, and
no sampler state has to be saved.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sr_experiments.core.errors import UserError
from sr_experiments.data.store import ImageStore, Pairs

_CROPS, _ORDER, _SCALE = 0, 1, 2  # independent streams of the same seed


@dataclass(frozen=True)
class Crops:
    """Where the patches of a batch lie, in low-resolution pixels; each ``(B,)`` int64."""

    image: Tensor
    top: Tensor
    left: Tensor
    flip_rows: Tensor
    flip_columns: Tensor
    transpose: Tensor

    def to(self, device: torch.device | str) -> "Crops":
        """The same crops on a device, in one asynchronous copy."""
        table = torch.stack([getattr(self, f) for f in self.__dataclass_fields__])
        if torch.device(device).type == "cuda":
            table = table.pin_memory()
        return Crops(*table.to(device, non_blocking=True))


class CropSampler:
    """Draws the crops of batch ``t``.

    Every image is used equally often: images are drawn without replacement from one shuffled
    pass after another, as EDSR's loader does. Flips and transposition have probability 1/2 each.

    Args:
        heights, widths: of the low-resolution images, ``(n,)``.
        patch_size: side of a low-resolution patch.
        batch_size: patches of a batch over all processes together.
        seed: of the run.

    Raises:
        UserError: an image is smaller than a patch.
    """

    def __init__(
        self, heights: Tensor, widths: Tensor, patch_size: int, batch_size: int, seed: int
    ) -> None:
        if int(torch.minimum(heights, widths).min()) < patch_size:
            raise UserError(
                "image-smaller-than-patch",
                "an image is smaller than the {size}x{size} patch",
                size=patch_size,
            )
        self.rows = heights.numpy() - patch_size + 1
        self.columns = widths.numpy() - patch_size + 1
        self.batch_size = batch_size
        self.seed = seed
        self._passes: dict[int, np.ndarray] = {}

    def __call__(self, t: int, rank: int = 0, world: int = 1) -> Crops:
        """Process ``rank``'s share of batch ``t`` (from 0).

        The shares of all ranks, joined in order, are the batch of a single process.

        Raises:
            UserError: the batch cannot be divided equally.
        """
        if self.batch_size % world:
            raise UserError(
                "batch-not-divisible",
                "training.batch_size={batch_size}: not a multiple of the {world} processes",
                batch_size=self.batch_size,
                world=world,
            )
        size = self.batch_size
        bits = _bits(self.seed, _CROPS, t, 5 * size).reshape(5, size)
        image = self._images(t * size, size)
        share = slice(rank * size // world, (rank + 1) * size // world)
        columns = (
            image,
            _below(bits[0], self.rows[image]),
            _below(bits[1], self.columns[image]),
            *(bits[2:] >> np.uint64(63)).astype(np.int64),
        )
        return Crops(*(torch.from_numpy(np.ascontiguousarray(c[share])) for c in columns))

    def _images(self, first: int, count: int) -> np.ndarray:
        """Image indices of the draws ``first`` to ``first + count``."""
        number = np.arange(first, first + count)
        passes, places = number // len(self.rows), number % len(self.rows)
        out = np.empty(count, np.int64)
        for p in np.unique(passes):
            if p not in self._passes:
                self._passes = {k: v for k, v in self._passes.items() if k == p - 1}
                keys = _bits(self.seed, _ORDER, int(p), len(self.rows))
                self._passes[int(p)] = np.argsort(keys, kind="stable")
            mine = passes == p
            out[mine] = self._passes[int(p)][places[mine]]
        return out


def pick(seed: int, t: int, count: int) -> int:
    """One of ``count`` for batch ``t``, all equally likely, the same in every process."""
    return 0 if count == 1 else int(_below(_bits(seed, _SCALE, t, 1), np.array([count]))[0])


def _bits(seed: int, stream: int, counter: int, count: int) -> np.ndarray:
    generator = np.random.Philox(
        key=np.array([seed, stream], np.uint64), counter=[0, counter, 0, 0]
    )
    return generator.random_raw(count)


def _below(bits: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """Uniform integers in [0, bound) from 64 random bits each."""
    return ((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53 * bound).astype(np.int64)


def gather(store: ImageStore, crops: Crops, size: int, scale: int = 1) -> Tensor:
    """Cut all patches of a batch out of a store, without a loop over patches.

    Args:
        store: where to cut; on the same device as ``crops``.
        crops: in units of ``scale`` pixels.
        size: side of a patch in pixels of this store.
        scale: HR pixels per LR pixel; 1 for an LR store.

    Returns:
        uint8 ``(B, 3, size, size)`` in channels-last memory.
    """
    by = _by_rows if store.pixels.device.type == "cpu" else _by_pixels
    return by(store, crops, size, scale).permute(0, 3, 1, 2)


def _by_pixels(store: ImageStore, crops: Crops, size: int, scale: int) -> Tensor:
    """``(B, size, size, 3)`` in one indexing operation, without synchronisation."""
    steps = torch.arange(size, device=store.pixels.device)
    backward = size - 1 - steps
    width = store.widths[crops.image, None]
    y = torch.where(crops.flip_rows[:, None].bool(), backward, steps)
    x = torch.where(crops.flip_columns[:, None].bool(), backward, steps)
    rows = (y + scale * crops.top[:, None]) * width
    columns = x + scale * crops.left[:, None]
    swap = crops.transpose[:, None].bool()
    down, across = torch.where(swap, columns, rows), torch.where(swap, rows, columns)
    pixel = store.first[crops.image, None, None] + down[:, :, None] + across[:, None, :]
    return store.pixels.index_select(0, pixel.flatten()).view(*pixel.shape, 3)


def _by_rows(store: ImageStore, crops: Crops, size: int, scale: int) -> Tensor:
    """``(B, size, size, 3)`` on a CPU, which copies rows faster than pixels.

    Rows of patches are copied from the store whole, the flipped ones from the last to the first.
    Within rows, all patches of one orientation are then turned at once. NumPy handles the few
    indices with less overhead than torch.
    """
    values = (getattr(crops, name).numpy() for name in crops.__dataclass_fields__)
    image, top, left, flip_rows, flip_columns, transpose = values
    turn = 2 * transpose + flip_columns
    order = turn.argsort(kind="stable")
    ends = turn[order].searchsorted(range(5)).tolist()
    width = store.widths.numpy()[image]
    first = store.first.numpy()[image] + scale * left
    first += (scale * top + flip_rows * (size - 1)) * width
    step = (1 - 2 * flip_rows) * width
    starts = 3 * (first[order, None] + step[order, None] * np.arange(size))
    # A view whose line i is the row-long stretch of bytes that starts at i; it takes no memory.
    count = store.pixels.numel() - 3 * size + 1
    stretches = store.pixels.view(-1).as_strided((count, 3 * size), (1, 1))
    rows = stretches.index_select(0, torch.from_numpy(starts).view(-1))
    pixels = rows.numpy().view("V3").reshape(-1, size, size)
    patches = np.empty_like(pixels)
    for kind in range(4):
        alike = pixels[ends[kind] : ends[kind + 1]]
        if kind & 1:
            alike = alike[:, :, ::-1]
        if kind & 2:
            alike = alike.swapaxes(1, 2)
        patches[order[ends[kind] : ends[kind + 1]]] = alike
    return torch.from_numpy(patches.view(np.uint8).reshape(-1, size, size, 3))


def cut(pairs: Pairs, crops: Crops, patch_size: int) -> tuple[Tensor, Tensor]:
    """The ``(lr, hr)`` patches of a batch: uint8 ``(B, 3, p, p)`` and ``(B, 3, s p, s p)``."""
    scale = pairs.scale
    return (
        gather(pairs.lr, crops, patch_size),
        gather(pairs.hr, crops, scale * patch_size, scale),
    )
