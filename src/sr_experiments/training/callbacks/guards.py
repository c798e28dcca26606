"""What happens around the updates: history, guards, checkpoints."""

import csv
import math
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.data.datamodule import Batch, SuperResolutionData
from sr_experiments.metrics.protocols import PROTOCOLS, history_column
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
        loss = _over_processes(loss, "AVG")
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
        for logger in trainer.loggers:
            logger.log_metrics({k: v for k, v in row.items() if k != "update"}, trainer.global_step)

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


class FiniteLoss(Callback):
    """Stops a training whose loss is no longer a number, before it is saved.

    Losses are kept on the device and looked at once every ``every`` batches, so that no batch
    waits for the host; the message still names the first update that failed.
    """

    def __init__(self, every: int = 50) -> None:
        self.every = every
        self.losses: list[Tensor] = []
        self.batches: list[int] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Remember the loss; look at the remembered ones when it is time."""
        self.losses.append(outputs["loss"].detach())
        self.batches.append(batch.number)
        if len(self.losses) >= self.every:
            self.look(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at what is left."""
        self.look(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Never save the weights of a training that has failed."""
        self.look(trainer)

    def look(self, trainer: Trainer) -> None:
        """Raise if one of the remembered losses is not finite.

        Raises:
            UserError: naming the update, the rate and the images of the batch.
        """
        if not self.losses:
            return
        bad = (~torch.isfinite(torch.stack(self.losses))).float()
        # All processes stop together, else the others would wait for one that is gone.
        bad = _over_processes(bad, "MAX")
        batches = self.batches
        self.losses, self.batches = [], []
        if not bad.any():
            return
        t = batches[int(bad.nonzero()[0])]
        update = t // trainer.accumulate_grad_batches + 1
        names = ""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, SuperResolutionData) and data.stream is not None:
            pairs, crops = data.stream.crops(t)
            images = sorted({pairs.hr.names[i] for i in crops.image.tolist()})
            names = f"; its batch was cut from {', '.join(images[:8])}"
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        raise UserError(
            "loss-not-finite",
            "the loss is not a finite number from update {update} on (rate "
            "{rate:g}){names}; lower training.lr or set clipping=norm",
            update=update,
            rate=rate,
            names=names,
        )


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


class WorldSize(Callback):
    """Refuses to train with fewer processes than were asked for.

    ``srun -n1`` with two devices would otherwise train alone without a word.
    """

    def __init__(self, devices: int, num_nodes: int) -> None:
        self.wanted = devices * num_nodes

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare."""
        if trainer.world_size != self.wanted:
            raise UserError(
                "world-size-differs",
                "{wanted} processes were requested, but {world_size} run; under SLURM "
                "set --ntasks-per-node to trainer.devices",
                wanted=self.wanted,
                world_size=trainer.world_size,
            )


def _over_processes(value: Tensor, what: Literal["AVG", "MAX"]) -> Tensor:
    """The mean or maximum over all processes, which all have to come here."""
    if not (dist.is_available() and dist.is_initialized()):
        return value
    value = value.clone()
    if what == "MAX":
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return value
    dist.all_reduce(value)  # gloo has no AVG
    return value / dist.get_world_size()
