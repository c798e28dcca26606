"""Averages of a network's weights along its training, beside the weights themselves."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from sr_experiments.data.datamodule import SuperResolutionData
from sr_experiments.models.layers.statistics import Running, running_layers
from sr_experiments.models.network import Network
from sr_experiments.training.module import Scored


class WeightAveraging(Callback, ABC):
    """Keeps an average of the weights, which is scored beside the raw ones and saved with them.

    The training itself is left as it is: its weights, optimiser and schedule never see the average.
    Before the first weights are taken there is no average, and nothing is scored or saved in its
    name. (Lightning's own callbacks score untrained weights until then, or leave the last epoch's
    out, or replace the schedule.)

    Running statistics (batch normalisation, network deconvolution) are re-estimated for the average
    at the end of each epoch, from the epoch's last ``batches`` batches: a mean of the raw
    network's would belong to other features than the averaged weights make. Batches count equally,
    and layers that draw at random, dropout, are off.

    Args:
        begin: epochs of the recipe before the first one whose weights count.
        updates: optimiser steps of the whole training.
        recipe_epochs: the length that ``begin`` is written in.
        batches: that statistics are re-estimated from; networks without any cost nothing.

    Raises:
        ValueError: averaging would begin when the training is over, or with no batches.
    """

    #: Whether the weights at the very beginning of averaging count.
    counts_start = False

    def __init__(self, begin: float, updates: int, recipe_epochs: float, batches: int = 32) -> None:
        if not 0 <= begin < recipe_epochs:
            raise ValueError(
                f"begin={begin:g}: there is nothing to average from then on, as the recipe has "
                f"{recipe_epochs:g} epochs (training.recipe_epochs)"
            )
        if batches < 1:
            raise ValueError(f"batches={batches}: at least 1")
        self.begin, self.updates, self.recipe_epochs = begin, updates, recipe_epochs
        self.batches = batches
        self.model: AveragedModel | None = None

    @abstractmethod
    def takes(self, epoch_end: bool) -> bool:
        """Whether the weights behind this update are taken in, once averaging has begun."""

    @abstractmethod
    def average(self, network: nn.Module) -> AveragedModel:
        """An empty average of a network's weights."""

    @property
    def count(self) -> int:
        """How many weights the average holds."""
        # On the host wherever the weights are, so that no update waits for it.
        return int(self.model.n_averaged) if self.model is not None else 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make room for the average before a checkpoint is read."""
        if stage == "fit" and self.model is None and isinstance(pl_module, Scored):
            self.model = self.average(pl_module.network)
            self.model.module.requires_grad_(False).eval()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follow the network to its device and its precision."""
        if self.model is not None:
            self.model.module.to(pl_module.device)
            if pl_module.dtype == torch.float64:
                self.model.module.double()
            if self.counts_start and self.begin == 0 and not trainer.global_step:
                assert isinstance(pl_module, Scored)
                self.model.update_parameters(pl_module.network)
        self._show(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the weights in when it is time; at an epoch's end, before they are scored."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not trainer.is_last_batch:
            return
        if not isinstance(pl_module, Scored) or self.model is None:
            return
        # Cross-multiplied, so that the beginning falls on an exact update.
        done, begin = trainer.global_step * self.recipe_epochs, self.begin * self.updates
        begun = done > begin or (self.counts_start and done == begin)
        if begun and self.takes(trainer.is_last_batch):
            self.model.update_parameters(pl_module.network)
        if self.count and trainer.is_last_batch:
            self._estimate(trainer, pl_module)
        self._show(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint: the average, once there is one."""
        if self.model is None or not self.count:
            return {"count": 0}
        return {"count": self.count, "network": self.model.module.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        if self.model is None or not state_dict["count"]:
            return
        if any(t.dtype == torch.float64 for t in state_dict["network"].values()):
            self.model.module.double()  # else it would be rounded here
        self.model.module.load_state_dict(state_dict["network"])
        self.model.n_averaged.fill_(state_dict["count"])

    def _show(self, module: LightningModule) -> None:
        """Let the average be scored, if there is one."""
        if self.count and self.model is not None and isinstance(module, Scored):
            network = self.model.module
            assert isinstance(network, Network)
            module.others["averaged"] = network

    @torch.no_grad()
    def _estimate(self, trainer: Trainer, module: Scored) -> None:
        assert self.model is not None
        network = self.model.module
        assert isinstance(network, Network)
        layers = running_layers(network)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not layers or not isinstance(data, SuperResolutionData) or data.stream is None:
            return
        end = trainer.global_step * trainer.accumulate_grad_batches
        first = max(0, end - self.batches)
        with _estimating(layers), torch.autocast(module.device.type, enabled=False):
            for number, t in enumerate(range(first, end)):
                batch = data.stream.batch(t, trainer.global_rank, trainer.world_size)
                for layer in layers:  # 1, 1/2, 1/3 ...: the mean over the batches
                    layer.momentum = 1 / (number + 1)
                module.predict(network, batch[0].to(module.device))


class SWA(WeightAveraging):
    """Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights of all epochs.

    ``w_swa <- (w_swa n + w) / (n + 1)`` at the end of each epoch (eq. 1 of the paper on RCAN).

    Args:
        counts_start: the weights that averaging begins with are the first model, as in Izmailov's
            algorithm 1; the equation in the paper on RCAN leaves it open.
    """

    def __init__(
        self,
        begin: float,
        updates: int,
        recipe_epochs: float,
        batches: int = 32,
        counts_start: bool = False,
    ) -> None:
        super().__init__(begin, updates, recipe_epochs, batches)
        self.counts_start = counts_start

    def takes(self, epoch_end: bool) -> bool:
        """The end of an epoch contributes."""
        return epoch_end

    def average(self, network: nn.Module) -> AveragedModel:
        """The plain mean."""
        return AveragedModel(network, multi_avg_fn=get_swa_multi_avg_fn())


class EMA(WeightAveraging):
    """Exponential moving average: ``w_ema <- decay w_ema + (1 - decay) w`` after each update.

    Args:
        decay: in [0, 1).
    """

    def __init__(
        self,
        begin: float,
        updates: int,
        recipe_epochs: float,
        decay: float = 0.999,
        batches: int = 32,
    ) -> None:
        super().__init__(begin, updates, recipe_epochs, batches)
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay}: in [0, 1)")
        self.decay = decay

    def takes(self, epoch_end: bool) -> bool:
        """Every update contributes."""
        return True

    def average(self, network: nn.Module) -> AveragedModel:
        """The exponential moving average."""
        return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(self.decay))


@contextmanager
def _estimating(layers: list[Running]) -> Iterator[None]:
    """Layers as in training, and afterwards as they were."""
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.train()
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
