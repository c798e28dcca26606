"""What a run shows on a dashboard while it trains and when it has been scored."""

import math
import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor, optim

from sr_experiments.metrics.log_names import GRADIENT, LOSS, RATE, SPEED, metric_name
from sr_experiments.metrics.protocols import Score
from sr_experiments.training.module import Scored


class LoggedRows(Callback):
    """Logs a row of ``train/`` every few updates, ``val/`` at validations, ``benchmark/`` once.

    Values stay on the device; a row is written when the next one is due, so that no update waits
    for its own. ``train/loss`` is the mean since the row before, ``train/grad_norm`` the last
    update's before clipping, ``train/images_per_second`` counts patches and leaves validation out.

    Args:
        every: updates between two rows.
        batch_size: patches of an update, over all processes.
    """

    def __init__(self, every: int, batch_size: int) -> None:
        self.every, self.batch_size = every, batch_size
        self.losses: list[Tensor] = []
        self.norm: Tensor | None = None
        self.waiting: tuple[int, dict[str, float], Tensor, torch.cuda.Event | None] | None = None
        self.began, self.first, self.rate = 0.0, 0, math.nan

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; validation has stopped it."""
        self.began, self.first = time.monotonic(), trainer.global_step

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the rate that this batch is learned at; behind it stands the next one's."""
        self.rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: optim.Optimizer
    ) -> None:
        """Measure the gradient if this update is logged."""
        if (trainer.global_step + 1) % self.every == 0:
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            norms = torch._foreach_norm(gradients)
            self.norm = torch.linalg.vector_norm(torch.stack(norms))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Gather the loss, and make a row when it is time."""
        self.losses.append(outputs["loss"].detach() * trainer.accumulate_grad_batches)
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if stepped and trainer.global_step % self.every == 0:
            self._make_row(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores of the validation that has just ended."""
        self._write_row(trainer)
        if not isinstance(pl_module, Scored):
            return
        validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        if validated:
            for entry in pl_module.means.values():
                row = {k: v for w, scores in entry.items() for k, v in named("val", scores, w)}
                self._log(trainer, row, trainer.global_step)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """What was measured last may tell why."""
        self._write_row(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the benchmarks' means."""
        if not isinstance(pl_module, Scored):
            return
        row = {
            key: value
            for dataset, entry in pl_module.means.items()
            for weights, scores in entry.items()
            for key, value in named(f"benchmark/{dataset}", scores, weights)
        }
        self._log(trainer, row, trainer.global_step)

    def _make_row(self, trainer: Trainer) -> None:
        self._write_row(trainer)
        loss = trainer.strategy.reduce(torch.stack(self.losses).mean(), reduce_op="mean")
        norm = self.norm if self.norm is not None else torch.full_like(loss, math.nan)
        seconds, updates = time.monotonic() - self.began, trainer.global_step - self.first
        row = {
            RATE: self.rate,
            SPEED: updates * self.batch_size / seconds if seconds else math.nan,
        }
        values = torch.stack([loss.float(), norm.float()])
        copied = None
        if values.is_cuda:  # the copy runs beside the next updates
            values = torch.empty(2, pin_memory=True).copy_(values, non_blocking=True)
            copied = torch.cuda.Event()
            copied.record()
        self.waiting = (trainer.global_step, row, values, copied)
        self.losses = []
        self.began, self.first = time.monotonic(), trainer.global_step

    def _write_row(self, trainer: Trainer) -> None:
        if self.waiting is None:
            return
        step, row, values, copied = self.waiting
        self.waiting = None
        if copied is not None:
            copied.synchronize()
        loss, norm = values.tolist()
        self._log(trainer, {LOSS: loss, GRADIENT: norm} | row, step)

    @staticmethod
    def _log(trainer: Trainer, row: dict[str, float], step: int) -> None:
        logger: Logger
        for logger in trainer.loggers:
            logger.log_metrics(row, step)


def named(where: str, scores: dict[str, Score], weights: str) -> list[tuple[str, float]]:
    """Scores of each protocol by their names on a dashboard."""
    return [
        (metric_name(where, quantity, protocol, weights), value)
        for protocol, score in scores.items()
        for quantity, value in score._asdict().items()
        if value is not None
    ]
