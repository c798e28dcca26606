"""The LightningDataModule: patches for training, whole images for validation and scoring."""

import gc
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
    """A training batch.

    Attributes:
        lr, hr: uint8 ``(B, 3, p, p)`` and ``(B, 3, s p, s p)``.
        number: of the batch, counted from 0 over the whole training.
        teacher_sr: patches of a teacher's precomputed output, cut like ``hr``.
    """

    lr: Tensor
    hr: Tensor
    number: int
    teacher_sr: Tensor | None = None


#: ``(lr, hr, index)``: one whole uint8 image ``(3, h, w)``, its ground truth, its index in the set.
WholeImage = tuple[Tensor, Tensor, int]


class PatchStream(IterableDataset[Batch]):
    """The remaining batches of the current epoch.

    The first batch follows from the trainer's step count, so a run resumed within an epoch
    continues with the next batch.
    """

    def __init__(self, module: "SuperResolutionData", pairs: Sequence[Pairs]) -> None:
        self.module = module
        self.pairs = tuple(pairs)
        count, seed = module.batch_size, module.seed
        self.samplers = [
            CropSampler(one.lr.heights, one.lr.widths, module.lr_patch(one.scale), count, seed)
            for one in self.pairs
        ]

    def __len__(self) -> int:
        return self.module.batches_per_epoch

    def move(self, device: torch.device) -> None:
        """Keep the images on a GPU from now on, if they take at most half of its free memory.

        A batch is then cut on the GPU, and only the coordinates of its patches are copied.
        """
        teacher_sr = self.module.teacher_sr
        stores = [store for one in self.pairs for store in (one.hr, one.lr)]
        stores += [teacher_sr] if teacher_sr else []
        if not self.module.may_move or device == stores[0].pixels.device:
            return
        # An earlier run of this process and its images hold one another until they are looked for.
        gc.collect()
        torch.cuda.empty_cache()
        taken = sum(store.pixels.numel() for store in stores)
        if taken > free_memory(device) * 3 // 4:  # free_memory is two thirds of what is free
            return
        self.pairs = tuple(one.to(device) for one in self.pairs)
        self.module.teacher_sr = teacher_sr.to(device) if teacher_sr else None

    def crops(self, t: int, rank: int = 0, world: int = 1) -> tuple[Pairs, Crops]:
        """The crops of this process's share of batch ``t``; of several scales one at random."""
        t += self.module.first_batch
        which = pick(self.module.seed, t, len(self.pairs))
        return self.pairs[which], self.samplers[which](t, rank, world)

    def batch(self, t: int, rank: int = 0, world: int = 1) -> Batch:
        """This process's share of batch ``t``."""
        pairs, crops = self.crops(t, rank, world)
        size, store = self.module.lr_patch(pairs.scale), self.module.teacher_sr
        crops = crops.to(pairs.hr.pixels.device)
        teacher_sr = gather(store, crops, pairs.scale * size, pairs.scale) if store else None
        return Batch(*cut(pairs, crops, size), t, teacher_sr)

    def __iter__(self) -> Iterator[Batch]:
        trainer = self.module.trainer
        if trainer is None:
            raise RuntimeError("batches are drawn inside trainer.fit")
        self.move(trainer.strategy.root_device)
        t = trainer.global_step * self.module.accumulate
        end = (t // len(self) + 1) * len(self)
        for number in range(t, end):
            yield self.batch(number, trainer.global_rank, trainer.world_size)


class WholeImages(Dataset[WholeImage]):
    """The whole images of a set."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> WholeImage:
        lr, hr = self.pairs[index]
        return lr.contiguous(), hr.contiguous(), index


class NoImage(Dataset[WholeImage]):
    """The share of a process when a set has fewer images than there are processes.

    It holds one image of index -1, which is not scored.
    """

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> WholeImage:
        if index != 0:
            raise IndexError(index)
        nothing = torch.zeros(3, 1, 1, dtype=torch.uint8)
        return nothing, nothing, -1


class SuperResolutionData(LightningDataModule):
    """Images for one run.

    Args:
        train: images to cut patches from; ``None`` when nothing is trained.
        val: validation images.
        benchmarks: sets to score at the end.
        scale: of the super-resolution.
        cache: folder of decoded images.
        batch_size: patches of a batch, all processes together.
        patch_size: side of a low-resolution patch.
        updates_per_epoch: optimiser steps of an epoch.
        accumulate: batches of one optimiser step.
        seed: of crops and flips.
        border: of the bicubic that makes low-resolution images.
        small: ``refuse`` images smaller than a patch, or ``skip`` them.
        progress: show a bar while decoding.
        may_move: keep training images on the GPU if they take little of its memory.
        also: further scales to train on, each with its images and its side of a patch. Each batch
            then has one scale, all equally likely.
        first_batch: number of the run's first batch. A run that continues another one draws the
            batches behind that one's last.

    Attributes:
        teacher_sr: a teacher's output for ``train_pairs``, in its order, if it is to be cut too.
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
        also: Mapping[int, tuple[ImageFiles, int]] | None = None,
        first_batch: int = 0,
    ) -> None:
        super().__init__()
        self.also = dict(also or {})
        self.may_move = may_move
        self.teacher_sr: ImageStore | None = None
        self.train_files, self.val_files = train, val
        self.benchmark_files = tuple(benchmarks)
        self.scale, self.cache, self.border = scale, cache, border
        self.batch_size, self.patch_size, self.seed = batch_size, patch_size, seed
        self.first_batch = first_batch
        self.accumulate, self.small, self.progress = accumulate, small, progress
        self.batches_per_epoch = updates_per_epoch * accumulate
        self.train_pairs: Pairs | None = None
        self.val_pairs: Pairs | None = None
        self.benchmarks: list[Pairs] = []
        self.stream: PatchStream | None = None

    def lr_patch(self, scale: int) -> int:
        """Side of a low-resolution patch at one of the scales."""
        return self.patch_size if scale == self.scale else self.also[scale][1]

    def prepare_data(self) -> None:
        """Decode images that are not in the cache (one process of each node)."""
        for files in (self.train_files, self.val_files, *self.benchmark_files):
            if files is not None:
                self._open(files)
        for scale, (files, _) in self.also.items():
            self._open(files, scale)

    def setup(self, stage: str | None = None) -> None:
        """Open the decoded images (every process)."""
        if self.benchmarks or self.train_pairs is not None:
            return
        if self.train_files is not None:
            self.train_pairs = self._large_enough(self._open(self.train_files))
            others = [self._large_enough(self._open(p, s)) for s, (p, _) in self.also.items()]
            self.stream = PatchStream(self, [self.train_pairs, *others])
        if self.val_files is not None:
            self.val_pairs = self._open(self.val_files)
        self.benchmarks = [self._open(files) for files in self.benchmark_files]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of uint8 patches."""
        if self.stream is None:
            raise RuntimeError("there are no training images")
        return DataLoader(self.stream, batch_size=None)

    def val_dataloader(self) -> DataLoader[WholeImage] | list[DataLoader[WholeImage]]:
        """Whole validation images, divided among the processes."""
        return self._whole(self.val_pairs) if self.val_pairs is not None else []

    def test_dataloader(self) -> list[DataLoader[WholeImage]]:
        """Whole benchmark images, one loader for each set, divided among the processes."""
        return [self._whole(pairs) for pairs in self.benchmarks]

    def _open(self, files: ImageFiles, scale: int | None = None) -> Pairs:
        return open_pairs(
            files, scale or self.scale, self.cache, border=self.border, progress=self.progress
        )

    def _whole(self, pairs: Pairs) -> DataLoader[WholeImage]:
        rank, world = (
            (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        )
        # Plain striding, without the padding of DistributedSampler: no image counts twice.
        mine = range(rank, len(pairs), world)
        # Lightning skips the pass of a process whose loader is empty, and the others then wait for
        # it forever; so it gets one image that is not scored.
        images = Subset(WholeImages(pairs), mine) if mine else NoImage()
        return DataLoader(images, batch_size=None)

    def _large_enough(self, pairs: Pairs) -> Pairs:
        """Refuse or leave out images that are smaller than a patch."""
        sides = torch.minimum(pairs.lr.heights, pairs.lr.widths)
        patch = self.lr_patch(pairs.scale)
        small = (sides < patch).nonzero().flatten().tolist()
        if not small:
            return pairs
        names = ", ".join(pairs.hr.names[i] for i in small[:5]) + (" ..." if len(small) > 5 else "")
        side = patch * pairs.scale
        if self.small == "refuse" or len(small) == len(pairs):
            raise UserError(
                "images-smaller-than-patch",
                "{set}: {small} of {total} images are smaller than the {side}x{side} patch "
                "({names}); set training.patch_size={possible} or data.small=skip",
                set=pairs.name,
                small=len(small),
                total=len(pairs),
                side=side,
                names=names,
                possible=int(sides.min()),
            )
        log.warning(
            "%s: %d of %d images left out, smaller than the %dx%d patch (%s)",
            *(pairs.name, len(small), len(pairs), side, side, names),
        )
        kept = (sides >= patch).nonzero().flatten()
        return Pairs(pairs.name, pairs.scale, _subset(pairs.hr, kept), _subset(pairs.lr, kept))


def _subset(store: ImageStore, kept: Tensor) -> ImageStore:
    names = tuple(store.names[i] for i in kept.tolist())
    grey = tuple(store.grey[i] for i in kept.tolist())
    places = (store.first[kept], store.heights[kept], store.widths[kept])
    return ImageStore(store.pixels, *places, names, grey)
