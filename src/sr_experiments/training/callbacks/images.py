"""Images that a run leaves: what was scored, and samples along its training."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from sr_experiments.data.datamodule import WholeImage
from sr_experiments.imaging.io import write_png
from sr_experiments.imaging.resize import imresize
from sr_experiments.metrics.log_names import SAMPLES


class SaveImages(Callback):
    """Keeps upscaled images as PNG: ``folder/data set/image.png``.

    Args:
        folder: of the run's images.
        truth: keep the ground truth too, as ``image_hr.png``.
    """

    def __init__(self, folder: Path, truth: bool = False) -> None:
        self.folder, self.truth = folder, truth

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: WholeImage,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write one image for each kind of weights."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        pairs = data.benchmarks[dataloader_idx]
        name = pairs.hr.names[batch[2]]
        images = {"" if kind == "raw" else f"_{kind}": sr for kind, sr in outputs.items()}
        if self.truth and outputs:
            images["_hr"] = batch[1]
        for suffix, image in images.items():
            path = self.folder / pairs.name / f"{name}{suffix}.png"
            write_png(path, image.permute(1, 2, 0).cpu().numpy())


class Samples(Callback):
    """Crops of validation images, as files and in dashboards.

    Side by side: LR, bicubic, SR, HR, and the error of SR, eight times enlarged, black where it is
    none.

    Args:
        folder: where ``epoch_0010.png`` goes.
        times: how often in the whole training, evenly spread over the epochs that are validated.
        side: of a crop in HR pixels.
    """

    def __init__(self, folder: Path, times: int = 4, side: int = 128) -> None:
        self.folder, self.times, self.side = folder, times, side
        self.strips: list[Tensor] = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: WholeImage,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Cut the middle of the first four images."""
        if not outputs or len(self.strips) >= 4 or not self._due(trainer):
            return
        lr, hr = batch[0].cpu(), batch[1].cpu()
        scale = hr.shape[-1] // lr.shape[-1]
        side = min(self.side, *hr.shape[-2:]) // scale * scale
        top, left = ((n - side) // 2 // scale * scale for n in hr.shape[-2:])
        window = (..., slice(top, top + side), slice(left, left + side))
        blocks = lr.repeat_interleave(scale, -2).repeat_interleave(scale, -1)
        bicubic = imresize(lr, scale)
        sr = outputs["raw"].cpu()
        error = (sr.int() - hr.int()).abs().amax(0, keepdim=True).mul(8).clamp(max=255)
        shown = (blocks, bicubic, sr, hr, error.byte().expand_as(hr))
        crops = [image[window] for image in shown]
        gap = torch.full((3, side, 4), 255, dtype=torch.uint8)
        strip = torch.cat([part for crop in crops for part in (crop, gap)][:-1], dim=2)
        self.strips.append(strip)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the strips, one under the other."""
        if not self.strips or not trainer.is_global_zero:
            self.strips = []
            return
        width = max(s.shape[2] for s in self.strips)
        rows = [F.pad(s, (0, width - s.shape[2], 0, 4), value=255) for s in self.strips]
        image = torch.cat(rows, dim=1)[:, :-4].permute(1, 2, 0).contiguous().numpy()
        epoch = trainer.current_epoch + 1
        write_png(self.folder / f"epoch_{epoch:04d}.png", image)
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image(SAMPLES, [image], trainer.global_step, caption=[f"epoch {epoch}"])
        self.strips = []

    def _due(self, trainer: Trainer) -> bool:
        epochs = trainer.max_epochs or 1
        step = max(1, epochs // self.times)
        epoch = trainer.current_epoch + 1
        return epoch == epochs or epoch % step == 0
