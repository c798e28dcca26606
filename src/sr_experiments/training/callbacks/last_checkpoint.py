"""When the checkpoint that a run resumes from is written."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from sr_experiments.core.interruption import INTERRUPTION

#: Updates between two agreements of the processes of a distributed run on whether to end; at each
#: the host waits for the device.
_AGREE = 10


class LastCheckpoint(Checkpoint):
    """Keeps one checkpoint to go on from, and takes it only where going on is exact.

    At the last update of an epoch that is after validation and after the epoch's line in the
    history; Lightning's own callback saves before them, and a resumed run would then lack both.

    A process that is asked to end saves at the next such place and ends there; the processes of a
    distributed run all at the same update.

    Args:
        path: of the checkpoint.
        before: where the one before is kept, in case the last is damaged.
        every: updates between two of them.
    """

    def __init__(self, path: Path, before: Path, every: int) -> None:
        self.path, self.before, self.every = path, before, every

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From now on there is something to save; and Lightning has just taken SIGTERM."""
        INTERRUPTION.listen()
        INTERRUPTION.waits = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save in the middle of an epoch."""
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if stepped and not trainer.is_last_batch:
            agree = trainer.world_size == 1 or trainer.global_step % _AGREE == 0
            self._save(trainer, ends=agree and self._ends(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save at the end of an epoch, and of the training in any case."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        self._save(trainer, due=last, ends=self._ends(trainer))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """All is saved."""
        INTERRUPTION.waits = False
        if trainer.is_global_zero:
            self.before.unlink(missing_ok=True)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Nothing can be saved any more."""
        INTERRUPTION.waits = False

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning has taken SIGTERM once more."""
        INTERRUPTION.listen()

    def _save(self, trainer: Trainer, ends: bool, due: bool = False) -> None:
        if due or ends or trainer.global_step % self.every == 0:
            if trainer.is_global_zero and self.path.exists():
                self.before.unlink(missing_ok=True)
                with suppress(OSError):  # a file system without links does without the one before
                    self.before.hardlink_to(self.path)  # saving replaces the name, not the file
            trainer.save_checkpoint(self.path)
        if ends:
            raise INTERRUPTION.asked or SystemExit(0)

    def _ends(self, trainer: Trainer) -> bool:
        """Whether a process of this run was asked to end."""
        asked = INTERRUPTION.asked is not None
        if trainer.world_size == 1:
            return asked
        flag = torch.tensor(float(asked), device=trainer.strategy.root_device)
        return bool(trainer.strategy.reduce(flag, reduce_op="max"))
