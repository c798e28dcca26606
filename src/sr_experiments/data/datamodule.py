"""The LightningDataModule: patches to train on, whole pictures to look at."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from sr_experiments.core.device import free_memory
from sr_experiments.core.errors import UserError
from sr_experiments.data.patches import Crops, CropSampler, cut, gather, pick
from sr_experiments.data.sources import ImageFiles
from sr_experiments.data.store import ImageStore, Pairs, open_pairs
from sr_experiments.imaging.resize import Border

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """Patches to learn from.

    Attributes:
        lr, hr: uint8 ``(B, 3, p, p)`` and ``(B, 3, s p, s p)``.
        number: of the batch, from 0 at the beginning of the training.
        guide: a teacher's pictures cut like ``hr``, where they were made beforehand.
    """

    lr: Tensor
    hr: Tensor
    number: int
    guide: Tensor | None = None


#: ``(lr, hr, index)``: one whole uint8 picture ``(3, h, w)``, its truth, its place in the set.
Picture = tuple[Tensor, Tensor, int]


class PatchStream(IterableDataset[Batch]):
    """The rest of the current epoch's batches.

    Where it begins follows from how far the trainer has come, so that a run resumed in the middle
    of an epoch goes on with the very batch that was next.
    """

    def __init__(self, module: "SuperResolutionData", pairs: Sequence[Pairs]) -> None:
        self.module = module
        self.pairs = tuple(pairs)
        size, count, seed = module.patch_size, module.batch_size, module.seed
        self.samplers = [
            CropSampler(one.lr.heights, one.lr.widths, size, count, seed) for one in self.pairs
        ]

    def __len__(self) -> int:
        return self.module.batches_per_epoch

    def move(self, device: torch.device) -> None:
        """Keep the pictures on a GPU from now on, if they take at most half of its free memory.

        A batch is then cut where it is used, and only the places of its patches are copied.
        """
        guides = self.module.guides
        stores = [store for one in self.pairs for store in (one.hr, one.lr)]
        stores += [guides] if guides else []
        if not self.module.may_move or device == stores[0].pixels.device:
            return
        if 4 * sum(store.pixels.numel() for store in stores) > 3 * free_memory(
            device
        ):  # half of what is free
            return
        self.pairs = tuple(one.to(device) for one in self.pairs)
        self.module.guides = guides.to(device) if guides else None

    def crops(self, t: int, rank: int = 0, world: int = 1) -> tuple[Pairs, Crops]:
        """Where this process's share of batch ``t`` is cut; of several scales one, by chance."""
        which = pick(self.module.seed, t, len(self.pairs))
        return self.pairs[which], self.samplers[which](t, rank, world)

    def batch(self, t: int, rank: int = 0, world: int = 1) -> Batch:
        """This process's share of batch ``t``."""
        pairs, crops = self.crops(t, rank, world)
        size, guides = self.module.patch_size, self.module.guides
        crops = crops.to(pairs.hr.pixels.device)
        guide = gather(guides, crops, pairs.scale * size, pairs.scale) if guides else None
        return Batch(*cut(pairs, crops, size), t, guide)

    def __iter__(self) -> Iterator[Batch]:
        trainer = self.module.trainer
        if trainer is None:
            raise RuntimeError("batches are drawn inside trainer.fit")
        self.move(trainer.strategy.root_device)
        t = trainer.global_step * self.module.accumulate
        end = (t // len(self) + 1) * len(self)
        for number in range(t, end):
            yield self.batch(number, trainer.global_rank, trainer.world_size)


class WholeImages(Dataset[Picture]):
    """Every picture of a set, whole."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Picture:
        lr, hr = self.pairs[index]
        return lr.contiguous(), hr.contiguous(), index


class NoImage(Dataset[Picture]):
    """What a process looks at when a set has fewer pictures than there are processes.

    One picture of the index -1, which is not scored.
    """

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Picture:
        if index != 0:
            raise IndexError(index)
        nothing = torch.zeros(3, 1, 1, dtype=torch.uint8)
        return nothing, nothing, -1


class SuperResolutionData(LightningDataModule):
    """Images for one run.

    Args:
        train: to cut patches from; ``None`` when nothing is trained.
        val: to look at while training.
        benchmarks: to score at the end.
        scale: super-resolution factor.
        cache: folder of decoded pictures.
        batch_size: patches of a batch, all processes together.
        patch_size: side of a low-resolution patch.
        updates_per_epoch: optimiser steps that make an epoch.
        accumulate: batches of one optimiser step.
        seed: of crops and flips.
        border: of the bicubic that makes low-resolution pictures.
        small: ``refuse`` pictures smaller than a patch, or ``skip`` them.
        progress: show a bar while decoding.
        may_move: keep training pictures on the GPU where they take little of its memory.
        also: further scales to train on, each with the pictures for it. Each batch is then of one
            of the scales, all equally likely.

    Attributes:
        guides: a teacher's pictures of ``train_pairs``, in its order, if they are to be cut too.
    """

    def __init__(
        self,
        train: ImageFiles | None,
        val: ImageFiles | None,
        benchmarks: Sequence[ImageFiles],
        *,
        scale: int,
        cache: Path,
        batch_size: int = 16,
        patch_size: int = 48,
        updates_per_epoch: int = 1000,
        accumulate: int = 1,
        seed: int = 0,
        border: Border = "mirror",
        small: str = "refuse",
        progress: bool = False,
        may_move: bool = True,
        also: Mapping[int, ImageFiles] | None = None,
    ) -> None:
        super().__init__()
        self.also = dict(also or {})
        self.may_move = may_move
        self.guides: ImageStore | None = None
        self.train_pictures, self.val_pictures = train, val
        self.benchmark_pictures = tuple(benchmarks)
        self.scale, self.cache, self.border = scale, cache, border
        self.batch_size, self.patch_size, self.seed = batch_size, patch_size, seed
        self.accumulate, self.small, self.progress = accumulate, small, progress
        self.batches_per_epoch = updates_per_epoch * accumulate
        self.train_pairs: Pairs | None = None
        self.val_pairs: Pairs | None = None
        self.benchmarks: list[Pairs] = []
        self.stream: PatchStream | None = None

    def prepare_data(self) -> None:
        """Decode what is not decoded yet (one process of each node)."""
        for pictures in (self.train_pictures, self.val_pictures, *self.benchmark_pictures):
            if pictures is not None:
                self._open(pictures)
        for scale, pictures in self.also.items():
            self._open(pictures, scale)

    def setup(self, stage: str | None = None) -> None:
        """Open the decoded pictures (every process)."""
        if self.benchmarks or self.train_pairs is not None:
            return
        if self.train_pictures is not None:
            self.train_pairs = self._large_enough(self._open(self.train_pictures))
            others = [self._large_enough(self._open(p, scale)) for scale, p in self.also.items()]
            self.stream = PatchStream(self, [self.train_pairs, *others])
        if self.val_pictures is not None:
            self.val_pairs = self._open(self.val_pictures)
        self.benchmarks = [self._open(pictures) for pictures in self.benchmark_pictures]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of uint8 patches."""
        if self.stream is None:
            raise RuntimeError("there are no training pictures")
        return DataLoader(self.stream, batch_size=None)

    def val_dataloader(self) -> DataLoader[Picture] | list[DataLoader[Picture]]:
        """Whole validation pictures, shared out among the processes."""
        return self._whole(self.val_pairs) if self.val_pairs is not None else []

    def test_dataloader(self) -> list[DataLoader[Picture]]:
        """Whole benchmark pictures, one loader a set, shared out among the processes."""
        return [self._whole(pairs) for pairs in self.benchmarks]

    def _open(self, pictures: ImageFiles, scale: int | None = None) -> Pairs:
        return open_pairs(
            pictures, scale or self.scale, self.cache, border=self.border, progress=self.progress
        )

    def _whole(self, pairs: Pairs) -> DataLoader[Picture]:
        rank, world = (
            (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        )
        # Plain striding, without the padding of DistributedSampler: no picture counts twice.
        mine = range(rank, len(pairs), world)
        # Lightning leaves the whole pass out where a loader is empty, and the others then wait
        # for that process for ever; so it gets one picture that is nobody's.
        pictures = Subset(WholeImages(pairs), mine) if mine else NoImage()
        return DataLoader(pictures, batch_size=None)

    def _large_enough(self, pairs: Pairs) -> Pairs:
        """Refuse or leave out pictures that no patch fits into."""
        sides = torch.minimum(pairs.lr.heights, pairs.lr.widths)
        small = (sides < self.patch_size).nonzero().flatten().tolist()
        if not small:
            return pairs
        names = ", ".join(pairs.hr.names[i] for i in small[:5]) + (" ..." if len(small) > 5 else "")
        side = self.patch_size * pairs.scale
        if self.small == "refuse" or len(small) == len(pairs):
            raise UserError(
                f"{pairs.name}: {len(small)} of {len(pairs)} pictures are smaller than the "
                f"{side}x{side} patch ({names}); set training.patch_size={int(sides.min())} "
                "or data.small=skip"
            )
        log.warning(
            "%s: %d of %d pictures left out, smaller than the %dx%d patch (%s)",
            *(pairs.name, len(small), len(pairs), side, side, names),
        )
        kept = (sides >= self.patch_size).nonzero().flatten()
        return Pairs(pairs.name, pairs.scale, _subset(pairs.hr, kept), _subset(pairs.lr, kept))


def _subset(store: ImageStore, kept: Tensor) -> ImageStore:
    names = tuple(store.names[i] for i in kept.tolist())
    grey = tuple(store.grey[i] for i in kept.tolist())
    places = (store.first[kept], store.heights[kept], store.widths[kept])
    return ImageStore(store.pixels, *places, names, grey)
