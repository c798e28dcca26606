"""Callbacks that keep a training from failing, or stop one which cannot succeed."""

from collections.abc import Callable
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from sr_experiments.core.errors import UserError
from sr_experiments.data.datamodule import Batch, SuperResolutionData


class Owned(Callback):
    """Stops a training that is another process's by now, before anything is written.

    Args:
        check: raises in that case.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the epoch's line in the history."""
        self.check()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Before a checkpoint."""
        self.check()


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
        bad = trainer.strategy.reduce(bad, reduce_op="max")
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


class LossSpikes(Callback):
    """Skips batches whose loss is far above the usual, and counts them.

    RCAN's rule (its public code's ``skip_threshold``): a loss above ``threshold`` times the mean
    size of the epoch before, or in the first epoch of the batches before, teaches nothing. Its
    gradient is set to zero before it spreads, in all processes where one of them has such a loss;
    the optimiser still takes its step, on what it had gathered before. RCAN hides how often that
    happens; here it is counted, and an epoch of nothing else ends the training.

    Nothing waits for the device but the end of an epoch. Without a spike all bits stay as they are.

    Args:
        threshold: above 1.

    Attributes:
        skipped: batches so far.
    """

    def __init__(self, threshold: float) -> None:
        if not threshold > 1:
            raise ValueError(f"threshold={threshold}: must be above 1")
        self.threshold = threshold
        self.skipped = 0
        #: Mean size of the last epoch's losses; sum, number and spikes of this epoch's.
        self.usual, self.total, self.count, self.spikes = (torch.zeros(()) for _ in range(4))

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Decide on a batch. Under 16-bit precision all losses are scaled alike."""
        seen = loss.detach().abs().float()  # a contrastive loss may be negative
        if self.total.device != seen.device:
            self._move(seen.device)
        usual = torch.where(self.usual > 0, self.usual, self.total / self.count)  # or no number
        spike = (seen > self.threshold * usual).float()
        spike = trainer.strategy.reduce(spike, reduce_op="max")
        keep = 1 - spike
        if loss.requires_grad:
            loss.register_hook(lambda gradient: gradient * keep.to(gradient.dtype))
        self.total = self.total + torch.where(spike > 0, 0, seen)
        self.count, self.spikes = self.count + keep, self.spikes + spike

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count, and begin anew.

        Raises:
            UserError: every batch was skipped.
        """
        count, spikes = int(self.count), int(self.spikes)
        self.skipped += spikes
        if spikes and not count:
            raise UserError(
                "loss-spikes-only",
                "the loss of every batch of epoch {epoch} is above {threshold:g} times its usual "
                "value (training.spike); lower training.lr or set clipping=norm",
                epoch=trainer.current_epoch + 1,
                threshold=self.threshold,
            )
        self.usual = self.total / max(1, count)
        self.total, self.count, self.spikes = (torch.zeros_like(self.total) for _ in range(3))

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        names = ("usual", "total", "count", "spikes", "skipped")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        vars(self).update(state_dict)

    def _move(self, device: torch.device) -> None:
        for name in ("usual", "total", "count", "spikes"):
            setattr(self, name, getattr(self, name).to(device))


class WorldSize(Callback):
    """Refuses to train with fewer processes than were asked for.

    ``srun -n1`` with two devices would otherwise silently train on one.
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
