"""``history.csv``: one line for each epoch."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from sr_experiments.core.files import atomic_write
from sr_experiments.metrics.log_names import history_column
from sr_experiments.metrics.protocols import PROTOCOLS
from sr_experiments.training.module import Scored


class History(Callback):
    """``history.csv``: one line an epoch, the same after a resume as without one.

    The losses of the epoch under way and the lines so far are part of the checkpoint. Losses stay
    on the device; they are read once an epoch.

    Args:
        path: of the file.
        weights: the kinds that are scored; all but ``raw`` stand in the columns' names.
    """

    def __init__(self, path: Path, weights: Sequence[str] = ("raw",)) -> None:
        self.path, self.weights = path, tuple(weights)
        self.rows: list[dict[str, float]] = []
        self.total: Tensor | None = None
        self.count = 0
        self.rate = math.nan

    @property
    def columns(self) -> list[str]:
        """The header."""
        scores = [history_column(p, w) for w in self.weights for p in PROTOCOLS]
        return ["epoch", "update", "lr", "train_loss", *scores]

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the rate that this batch is learned at; behind it stands the next one's."""
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the batch's loss."""
        # Lightning hands out the share of an accumulated step; the history keeps the loss itself.
        loss = outputs["loss"].detach().double() * trainer.accumulate_grad_batches
        loss = trainer.strategy.reduce(loss, reduce_op="mean")
        self.total = loss if self.total is None else self.total + loss
        self.count += 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the epoch's line; validation of this epoch has been run."""
        row: dict[str, float] = {
            "epoch": trainer.current_epoch + 1,
            "update": trainer.global_step,
            "lr": self.rate,
            "train_loss": float(self.total) / self.count if self.total is not None else math.nan,
        }
        validated = (trainer.current_epoch + 1) % trainer.check_val_every_n_epoch == 0  # type: ignore[operator]
        if validated and isinstance(pl_module, Scored):
            for entry in pl_module.means.values():
                row |= {
                    history_column(protocol, weights): score.psnr
                    for weights, scores in entry.items()
                    for protocol, score in scores.items()
                }
        self.rows.append(row)
        self.total, self.count = None, 0
        if trainer.is_global_zero:
            self._write()

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"rows": list(self.rows), "total": self.total, "count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.rows = list(state_dict["rows"])
        self.total, self.count = state_dict["total"], state_dict["count"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Continue on this run's device; forget lines newer than the checkpoint."""
        if self.total is not None:
            self.total = self.total.to(pl_module.device)
        if trainer.is_global_zero:
            self._write()

    def _write(self) -> None:
        with atomic_write(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)
