"""Bars for training and for scoring with the time left; plain lines where nobody watches."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sr_experiments.core.console import duration
from sr_experiments.training.module import Scored

#: Seconds between two lines of a log: while training, and while scoring.
_TRAINING, _SCORING = 5.0, 30.0


class RunProgress(Callback):
    """Shows updates, loss and validation score of a training, and the images that are scored.

    Args:
        title: of the run.
        updates: of the whole training; 0 if nothing is trained.
        console: where to.
        bar: live bars (a terminal), or a line now and then (a log).
    """

    def __init__(self, title: str, updates: int, console: Console, bar: bool) -> None:
        self.title, self.updates, self.console = title, updates, console
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=console, transient=True, disable=not bar)
        self.bar = bar
        self.note = ""
        self.began = 0.0
        self.first = 0
        self.said = 0.0
        self.scored, self.images, self.scoring_began, self.did = 0, 0, 0.0, ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, perhaps in the middle."""
        self.began, self.first = time.monotonic(), trainer.global_step
        self.said = self.began
        self.progress.start()
        self.training = self.progress.add_task(self.title, total=self.updates, note="")
        self.progress.update(self.training, completed=self.first)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        self.progress.update(self.training, completed=trainer.global_step, note=self.note)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the validation score; in a log at most one line in five seconds."""
        if isinstance(pl_module, Scored):
            for name, entry in pl_module.means.items():
                self.note = f"{name} {entry['raw']['y'].psnr:.2f} dB"
        last = trainer.global_step >= self.updates
        if not self.bar and (last or time.monotonic() - self.said >= _TRAINING):
            done = trainer.global_step - self.first
            left = self._left(self.began, done, self.updates - trainer.global_step)
            self._say(f"{trainer.global_step}/{self.updates} updates  {self.note}  {left} left")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add a bar for the images."""
        self._begin_scoring("validating", "validated", trainer.num_val_batches)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the bar; a log gets a line now and then."""
        self.scored += 1
        self.progress.update(self.scoring, completed=self.scored)
        ahead = self.images - self.scored
        if not self.bar and ahead and time.monotonic() - self.said >= _SCORING:
            left = self._left(self.scoring_began, self.scored, ahead)
            self._say(f"{self.did} {self.scored} of {self.images} images  {left} left")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar of the images away."""
        self.progress.remove_task(self.scoring)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a bar for the images."""
        self.progress.start()
        self._begin_scoring(f"scoring {self.title}", "scored", trainer.num_test_batches)

    on_test_batch_end = on_validation_batch_end

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self.progress.remove_task(self.training)
        self.progress.stop()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self.progress.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Take the bars away."""
        self.progress.stop()

    def _begin_scoring(self, doing: str, did: str, batches: Any) -> None:
        self.scored, self.images, self.did = 0, sum(batches), did
        self.scoring_began = self.said = time.monotonic()
        self.scoring = self.progress.add_task(doing, total=self.images, note="")

    @staticmethod
    def _left(began: float, done: int, ahead: int) -> str:
        return duration((time.monotonic() - began) / max(done, 1) * ahead)

    def _say(self, text: str) -> None:
        self.said = time.monotonic()
        self.console.print(f"  {text}", highlight=False, soft_wrap=True)
