"""LightningModules: how a network is trained, and how any network is scored."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from sr_experiments.core.errors import UserError
from sr_experiments.data.datamodule import Batch, SuperResolutionData, WholeImage
from sr_experiments.data.store import Pairs
from sr_experiments.metrics.protocols import Score
from sr_experiments.metrics.scores import Scores, Table
from sr_experiments.models.network import Network, in_channels_last, upscale, upscale_luma
from sr_experiments.training.optimizers import take_moments
from sr_experiments.training.schedules import Constant, Schedule, scheduler

#: dataset -> weights -> its scores.
ScoreBook = dict[str, dict[str, Scores]]
#: dataset -> weights -> protocol -> mean PSNR and SSIM.
Means = dict[str, dict[str, dict[str, Score]]]


class Scored(LightningModule):
    """Scores a network on whole images; trains nothing.

    Args:
        network: what is scored.
        network_config: from which a checkpoint rebuilds it.
    """

    def __init__(self, network: Network, network_config: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.network = in_channels_last(network)
        self.network_config = dict(network_config or {})
        #: Networks that are scored beside it, by the name of their weights; no part of this module.
        self.others: dict[str, Network] = {}
        self.book: ScoreBook = {}
        self.means: Means = {}
        self.tables: dict[str, dict[str, Table]] = {}

    def variants(self) -> dict[str, Network]:
        """The networks that are scored, by the name of their weights."""
        return {"raw": self.network, **self.others}

    @staticmethod
    def predict(network: Network, lr: Tensor) -> Tensor:
        """A network's unclipped output, ``(N, C, s h, s w)`` in [0, 1], for uint8 images."""
        return network(network.encode(lr))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what rebuilds the network."""
        checkpoint["network"] = self.network_config

    def on_validation_epoch_start(self) -> None:
        """Begin an empty score book."""
        val = self._data().val_pairs
        self.book = self._blank([val.name] if val else [], [len(val)] if val else [])

    def on_test_epoch_start(self) -> None:
        """Begin an empty score book."""
        sets = self._data().benchmarks
        self.book = self._blank([s.name for s in sets], [len(s) for s in sets])

    def validation_step(self, image: WholeImage, batch_idx: int) -> dict[str, Tensor]:
        """Score one validation image; see :meth:`test_step`."""
        val = self._data().val_pairs
        return self._score(image, val) if val else {}

    def test_step(
        self, image: WholeImage, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Score one image.

        Returns:
            The upscaled image for each of :meth:`variants`, uint8 ``(3, H, W)``.
        """
        return self._score(image, self._data().benchmarks[dataloader_idx])

    def on_validation_epoch_end(self) -> None:
        """Join the processes' scores into ``means``."""
        self._close_book()

    def on_test_epoch_end(self) -> None:
        """Join the processes' scores into ``means`` and ``tables``."""
        self._close_book()

    def _score(self, image: WholeImage, pairs: Pairs) -> dict[str, Tensor]:
        lr, hr, index = image
        if index < 0:  # see data.datamodule.NoImage
            return {}
        grey = pairs.hr.grey[index]
        outputs = {}
        for weights, network in self.variants().items():
            sr = upscale(network, lr[None])[0]
            plane = None if network.colour == "rgb" else upscale_luma(network, hr[None], grey)[0]
            scores = self.book[pairs.name][weights]
            scores.update(index, sr, hr, network.scale, plane, grey)
            outputs[weights] = sr
        return outputs

    def _close_book(self) -> None:
        # Collective: every process comes here, whoever reads the result.
        books = self.book.items()
        self.means = {d: {w: s.means() for w, s in entry.items()} for d, entry in books}
        self.tables = {d: {w: s.compute() for w, s in entry.items()} for d, entry in books}

    def _blank(self, names: Sequence[str], counts: Sequence[int]) -> ScoreBook:
        return {
            name: {weights: Scores(count).to(self.device) for weights in self.variants()}
            for name, count in zip(names, counts, strict=True)
        }

    def _data(self) -> SuperResolutionData:
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, SuperResolutionData):
            raise TypeError("these modules are trained on SuperResolutionData")
        return data


class Supervised(Scored):
    """Learns from ground truth.

    Args:
        network: to be trained.
        network_config: from which a checkpoint rebuilds it.
        loss: of ``(sr, hr)``, both ``(N, C, H, W)`` in [0, ``value_range``]; C = 1, luma, for a
            luma network.
        optimizer: factory, called with the parameters.
        schedule: of the learning rate.
        updates: optimiser steps of the whole training, for the schedule.
        recipe_epochs: the length that the schedule is written in.
        value_range: largest pixel value the loss sees; EDSR's recipe counts to 255.

    Attributes:
        moments: what another training's optimiser had gathered (Adam's moments), to go on with; its
            rates are not taken over.
    """

    def __init__(
        self,
        network: Network,
        network_config: Mapping[str, Any] | None = None,
        loss: nn.Module | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
        schedule: Schedule | None = None,
        updates: int = 1,
        recipe_epochs: float = 1,
        value_range: float = 255.0,
    ) -> None:
        super().__init__(network, network_config)
        self.loss = loss if loss is not None else nn.L1Loss()
        self.optimizer_factory = optimizer
        self.schedule = schedule if schedule is not None else Constant()
        self.updates, self.recipe_epochs = updates, recipe_epochs
        self.value_range = value_range
        self.moments: Mapping[int, Mapping[str, Any]] | None = None
        self._compile_mode = ""
        # By scale, and not registered: compiled ones' weights would be saved a second time.
        self._steps: dict[int, Network] = {}

    def compile_steps(self, mode: str) -> None:
        """Let training steps go through ``torch.compile``; images to score have many sizes.

        Args:
            mode: of ``torch.compile``, such as ``default`` or ``reduce-overhead``.
        """
        # What was compiled for an earlier run of this process would be taken for this one, although
        # hooks on layers may differ; and after eight of them no more is compiled.
        torch.compiler.reset()
        self._compile_mode = mode
        self._steps.clear()

    def network_for_step(self, scale: int) -> Network:
        """The network as training steps at a scale call it: itself, a view of it, or compiled."""
        if scale not in self._steps:
            step: Any = self.network.for_scale(scale)
            if self._compile_mode:
                step = torch.compile(step, mode=self._compile_mode, dynamic=False)
            self._steps[scale] = step
        return self._steps[scale]

    def trained(self) -> list[nn.Parameter]:
        """The trainable parameters."""
        return [p for p in self.network.parameters() if p.requires_grad]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser, and its schedule stepped once an update."""
        try:
            optimizer = self.optimizer_factory(self.trained())
        except (ValueError, RuntimeError) as error:  # a negative rate; fused where it cannot be
            raise UserError("optimizer-refused", "optimizer: {reason}", reason=error) from error
        if self.moments is not None:
            take_moments(optimizer, self.moments)
        rate = scheduler(optimizer, self.schedule, self.updates, self.recipe_epochs)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": rate, "interval": "step", "frequency": 1},
        }

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch of uint8 patches."""
        sr = self.predict(self.network_for_step(scale_of(batch)), batch.lr)
        truth = self.network.encode(batch.hr)
        return self.loss(sr * self.value_range, truth * self.value_range)


def scale_of(batch: Batch) -> int:
    """The scale between a batch's two sides."""
    return batch.hr.shape[-1] // batch.lr.shape[-1]
