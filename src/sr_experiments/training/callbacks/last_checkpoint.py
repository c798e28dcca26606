"""When the checkpoint that a run resumes from is written."""

from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint


class LastCheckpoint(Checkpoint):
    """Keeps one checkpoint to go on from, and takes it only where going on is exact.

    At the last update of an epoch that is after validation and after the epoch's line in the
    history; Lightning's own callback saves before them, and a resumed run would then lack both.

    Args:
        path: of the checkpoint, replaced each time.
        every: updates between two of them.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save in the middle of an epoch."""
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if stepped and not trainer.is_last_batch and trainer.global_step % self.every == 0:
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save at the end of an epoch, and of the training in any case."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if last or trainer.global_step % self.every == 0:
            trainer.save_checkpoint(self.path)
