"""One bar for a whole training with the time that is left; plain lines where nobody watches."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sr_experiments.training.module import Scored


class TrainingProgress(Callback):
    """Shows updates, loss and validation score.

    Args:
        title: what is trained.
        updates: of the whole training.
        console: where to.
        bar: a live bar (a terminal), or a line now and then (a log).
    """

    def __init__(self, title: str, updates: int, console: Console, bar: bool) -> None:
        self.title, self.updates, self.console = title, updates, console
        self.progress = (
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            if bar
            else None
        )
        self.note = ""
        self.began = 0.0
        self.first = 0
        self.said = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, perhaps in the middle."""
        self.began, self.first = time.monotonic(), trainer.global_step
        self.said = self.began
        if self.progress is not None:
            self.progress.start()
            self.task = self.progress.add_task(self.title, total=self.updates, note="")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        if self.progress is not None:
            self.progress.update(self.task, completed=trainer.global_step, note=self.note)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the validation score; in a log at most one line in five seconds."""
        if isinstance(pl_module, Scored):
            for name, entry in pl_module.means.items():
                self.note = f"{name} {entry['raw']['y'].psnr:.2f} dB"
        now = time.monotonic()
        last = trainer.global_step >= self.updates
        if self.progress is None and (last or now - self.said >= 5):
            self.said = now
            done = trainer.global_step - self.first
            left = (now - self.began) / max(done, 1) * (self.updates - trainer.global_step)
            self.console.print(
                f"  {trainer.global_step}/{self.updates} updates  {self.note}  {left:.0f} s left",
                highlight=False,
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Stop the live display."""
        if self.progress is not None:
            self.progress.stop()
