"""What surrounds a training step: Lightning, the drawing of patches, the callbacks."""

import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from sr_experiments.data.datamodule import SuperResolutionData
from sr_experiments.data.sources import find_images
from sr_experiments.models.edsr import EDSR
from sr_experiments.training.callbacks.guards import FiniteLoss
from sr_experiments.training.callbacks.history import History
from sr_experiments.training.callbacks.seed_per_batch import SeedPerBatch
from sr_experiments.training.module import Supervised

_BATCH, _PATCH, _UPDATES, _LEFT_OUT = 16, 24, 80, 20


class _Clock(Callback):
    """When the updates that count began and ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time, on a GPU once it has finished."""
        if batch_idx + 1 in (_LEFT_OUT, _UPDATES):
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize(pl_module.device)
            self.times.append(time.perf_counter())


def overhead(
    device: torch.device, cache: Path, bare: Callable[[Supervised, int, int], float]
) -> float:
    """Seconds that an update takes beyond its passes and its optimiser.

    A very small network is trained for a moment as a run trains it, on the embedded photographs.

    Args:
        device: to train on.
        cache: of decoded images, the runs' own.
        bare: measures a module's update with nothing around it, for a batch and a patch.
    """
    network = EDSR(2, n_resblocks=1, n_feats=8).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module, clock = Supervised(network), _Clock()
    images = find_images("embedded/train", Path(), cache)
    data = SuperResolutionData(
        images,
        None,
        [],
        scale=2,
        cache=cache,
        batch_size=_BATCH,
        patch_size=_PATCH,
        updates_per_epoch=_UPDATES,
    )
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            max_epochs=1,
            callbacks=[History(Path(folder) / "history.csv"), FiniteLoss(), SeedPerBatch(0), clock],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        trainer.fit(module, datamodule=data)
    began, ended = clock.times
    whole = (ended - began) / (_UPDATES - _LEFT_OUT)
    return max(0.0, whole - bare(module.to(device), _BATCH, _PATCH))
