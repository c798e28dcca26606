"""Random numbers of a network as a function of (seed, batch, process)."""

from hashlib import blake2b

import torch
from lightning import Callback, LightningModule, Trainer

from sr_experiments.data.datamodule import Batch


class SeedPerBatch(Callback):
    """Makes what a network draws while training, dropout, a function of (seed, t, rank).

    So a resumed run draws what the undisturbed one would have, as it does with its patches.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Seed PyTorch's generators."""
        text = f"{self.seed}/{batch.number}/{trainer.global_rank}"
        torch.manual_seed(int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "big"))
