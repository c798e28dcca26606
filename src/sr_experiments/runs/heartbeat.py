"""``progress.json``: a sign of life of a run, and how far it is."""

import os
import platform
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

from lightning import Callback, LightningModule, Trainer

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.runs.records import Progress
from sr_experiments.training.module import Scored

#: Seconds between two writes.
EVERY = 10.0


class Heartbeat(Callback):
    """Writes how far a run is every few seconds, from a thread, while the block is entered.

    A file that cannot be written, as on a full disk, is no failure of the run.

    Args:
        path: of ``progress.json``.
        updates: of the whole training; 0 if nothing is trained.
        device: as ``result.json`` names it.
        every: seconds between two writes.
    """

    def __init__(self, path: Path, updates: int, device: str, every: float = EVERY) -> None:
        self.path, self.updates, self.device, self.every = path, updates, device, every
        self.psnr: float | None = None
        self.update = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._begin("training" if updates else "scoring", 0, updates)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._write()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, perhaps in the middle."""
        self.update = trainer.global_step
        self._begin("training", self.update, self.updates)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count updates; time spent on validation does not count."""
        if self.phase != "training":
            self._begin("training", self.update, self.updates)
        self.update = self.done = trainer.global_step

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count images from now on."""
        self._begin("validating", 0, sum(trainer.num_val_batches))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count images from now on."""
        self._begin("scoring", 0, sum(trainer.num_test_batches))

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count an image."""
        self.done += 1

    on_test_batch_end = on_validation_batch_end

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the score of the validation that has just ended."""
        if isinstance(pl_module, Scored):
            for entry in pl_module.means.values():
                self.psnr = entry["raw"]["y"].psnr

    def _begin(
        self, phase: Literal["training", "validating", "scoring"], done: int, total: Any
    ) -> None:
        self.phase, self.done, self.total, self.first = phase, done, int(total), done
        self.began = time.monotonic()

    def _beat(self) -> None:
        while not self._over.wait(self.every):
            self._write()

    def _write(self) -> None:
        seconds, done = time.monotonic() - self.began, self.done - self.first
        progress = Progress(
            phase=self.phase,
            done=self.done,
            total=self.total,
            update=self.update,
            updates=self.updates,
            per_second=done / seconds if done and seconds else None,
            psnr=self.psnr,
            host=platform.node(),
            process=os.getpid(),
            device=self.device,
        )
        with suppress(UserError), atomic_write(self.path) as temporary:
            temporary.write_text(progress.to_json(), encoding="utf-8")
