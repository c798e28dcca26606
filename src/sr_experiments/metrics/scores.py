"""The scores of a whole data set, gathered over processes."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from sr_experiments.metrics.protocols import PROTOCOLS, Score
from sr_experiments.metrics.scoring import COLUMNS, score_batch


class TableOfScores(NamedTuple):
    """Per image, in the order of the data set, each float64 ``(n_images,)``.

    The mean error is signed, SR minus HR in grey levels of 255; SSIM may be None.
    """

    psnr: Tensor
    ssim: Tensor | None
    mean_error: Tensor


Table = dict[str, TableOfScores]


class Scores(Metric):
    """Every score of every image of a data set, by the image's index.

    Each image has its own row, zero until it is scored, and processes are joined by adding their
    tables: whichever process saw an image, the result is the same to the last bit. An image that
    was seen twice (a sampler that pads, for one) or not at all is an error, not a biased mean.

    Args:
        n_images: the size of the data set.
        kwargs: passed on to ``torchmetrics.Metric``.
    """

    full_state_update = False
    higher_is_better = True
    table: Tensor
    seen: Tensor

    def __init__(self, n_images: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if n_images < 1:
            raise ValueError(f"n_images={n_images}: a data set holds at least one image")
        self.n_images = n_images
        rows = torch.zeros(n_images, len(COLUMNS), dtype=torch.float64)
        self.add_state("table", rows, dist_reduce_fx="sum")
        self.add_state("seen", torch.zeros(n_images, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        index: int,
        sr: Tensor,
        hr: Tensor,
        scale: int,
        sr_luma: Tensor | None = None,
        grey: bool = False,
    ) -> None:
        """Score one image.

        Args:
            index: the image's place in the data set, from 0.
            sr: uint8 ``(3, H, W)``, any device.
            hr: uint8 ``(3, H, W)``.
            scale: the super-resolution factor.
            sr_luma: uint8 ``(1, H, W)``, see :func:`~.scoring.score_batch`.
            grey: see there.

        Raises:
            IndexError: no image of the data set has this index.
            ValueError: this image was already scored, or a shape is wrong.
            UserError: the sizes differ, or the image is too small for the scale.
        """
        if not 0 <= index < self.n_images:
            raise IndexError(f"image {index} of a data set of {self.n_images}")
        if self.seen[index]:
            raise ValueError(f"image {index} is scored a second time; call reset() between passes")
        plane = None if sr_luma is None else sr_luma.unsqueeze(0)
        batch = sr.unsqueeze(0), hr.unsqueeze(0)
        row = score_batch(*batch, scale, sr_luma=plane, grey=grey)[0]
        self.table[index] = row.to(self.table.device)
        self.seen[index] = 1

    def compute(self) -> Table:
        """The scores of each image under each protocol, over all processes.

        Every process has to call it.

        Returns:
            protocol -> the scores of its images.

        Raises:
            RuntimeError: an image was never seen, or by more than one process.
        """
        missing = (self.seen == 0).nonzero().flatten().tolist()
        twice = (self.seen > 1).nonzero().flatten().tolist()
        if missing or twice:
            found = [
                f"{len(which)} {what} (first: image {which[0]})"
                for which, what in ((missing, "never scored"), (twice, "scored more than once"))
                if which
            ]
            raise RuntimeError(f"of {self.n_images} images, {' and '.join(found)}")
        values = dict(zip(COLUMNS, self.table.unbind(1), strict=True))
        return {
            name: TableOfScores(
                values[name, "psnr"], values.get((name, "ssim")), values[name, "mean_error"]
            )
            for name in PROTOCOLS
        }

    def means(self) -> dict[str, Score]:
        """The data set's score under each protocol: the mean of the images' dB and SSIM.

        Every process has to call it. Raises as :meth:`compute`.
        """
        return {
            name: Score(psnr.mean().item(), None if ssim is None else ssim.mean().item())
            for name, (psnr, ssim, _) in self.compute().items()
        }

    def _wrap_compute(self, compute: Callable) -> Callable:
        wrapped = super()._wrap_compute(compute)

        @functools.wraps(compute)
        def as_vectors(*args: Any, **kwargs: Any) -> Table:
            # torchmetrics turns tensors of one element into scalars: a data set of one image
            # would lose its axis.
            table = wrapped(*args, **kwargs)
            return {
                name: TableOfScores(
                    psnr.reshape(-1), None if ssim is None else ssim.reshape(-1), error.reshape(-1)
                )
                for name, (psnr, ssim, error) in table.items()
            }

        return as_vectors

    def _apply(self, fn: Callable, exclude_state: Any = "") -> torch.nn.Module:
        """Follow a move to another device, but keep float64.

        ``module.to(torch.bfloat16)`` would otherwise round every score that is already held.
        """

        def move(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(move, exclude_state)
