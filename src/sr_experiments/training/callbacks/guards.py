"""Callbacks that stop a training which cannot succeed."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from sr_experiments.core.errors import UserError
from sr_experiments.data.datamodule import Batch, SuperResolutionData


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
