"""VDSR's clipping: the bound follows the rate, and is laid on the gradients that are applied."""

from functools import partial
from itertools import pairwise

import lightning
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from sr_experiments.core.errors import UserError
from sr_experiments.data.datamodule import Batch
from sr_experiments.models.edsr import EDSR
from sr_experiments.training.callbacks.clipping import AdjustableClipping
from sr_experiments.training.module import Supervised
from sr_experiments.training.optimizers import slower_last_layer
from sr_experiments.training.schedules import MultiStep

THETA, UPDATES, RATES = 1e-3, 6, [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]


class Recorder(lightning.Callback):
    """The network's weights after each update, and the rates of it."""

    def __init__(self):
        self.weights, self.rates = [], []

    def on_train_start(self, trainer, pl_module):
        self._take(pl_module)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append([g["lr"] for g in optimizer.param_groups])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == len(self.weights):
            self._take(pl_module)

    def _take(self, module):
        self.weights.append([p.detach().clone() for p in module.network.parameters()])

    def moves(self):
        pairs = pairwise(self.weights)
        return [max(float((b - a).abs().max()) for a, b in zip(*p, strict=True)) for p in pairs]


def batches(count):
    generator = torch.Generator().manual_seed(3)

    def image(n):
        return torch.randint(0, 256, (2, 3, n, n), dtype=torch.uint8, generator=generator)

    return [Batch(image(6), image(12), t) for t in range(count)]


class Loader:
    """Batches as they are; a bare list would be taken for several loaders."""

    def __init__(self, given):
        self.given = given

    def __iter__(self):
        return iter(self.given)

    def __len__(self):
        return len(self.given)


def fit(optimizer, accumulate=1, callbacks=(), **options):
    torch.manual_seed(0)
    module = Supervised(
        EDSR(2, 1, 4),
        optimizer=optimizer,
        schedule=MultiStep([2, 4], 0.1),
        updates=UPDATES,
        recipe_epochs=UPDATES,
    )
    recorder = Recorder()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=UPDATES,
        accumulate_grad_batches=accumulate,
        callbacks=[recorder, *callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, train_dataloaders=Loader(batches(UPDATES * accumulate)))
    assert len(recorder.weights) == UPDATES + 1
    return recorder


SGD = partial(torch.optim.SGD, lr=1.0)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_each_step_is_the_papers_rule(accumulate):
    """Once more: the mean of the gradients, clipped to theta / rate, times the rate."""
    found = fit(SGD, accumulate, [AdjustableClipping(THETA)])
    assert [rate for (rate,) in found.rates] == pytest.approx(RATES)
    torch.manual_seed(0)
    network = EDSR(2, 1, 4)
    weights = list(network.parameters())
    given, early = batches(UPDATES * accumulate), []
    for update, rate in enumerate(RATES):
        parts = []
        for lr, hr, *_ in given[update * accumulate : (update + 1) * accumulate]:
            loss = (network(lr / 255) * 255 - hr).abs().mean()
            parts.append(torch.autograd.grad(loss, weights))
        with torch.no_grad():
            for i, weight in enumerate(weights):
                gradient = torch.stack([part[i] for part in parts]).mean(0)
                bound = THETA / rate
                each = torch.stack([part[i].clamp(-bound, bound) for part in parts]).mean(0)
                early.append(float((each - gradient.clamp(-bound, bound)).abs().max()))
                weight -= rate * gradient.clamp(-bound, bound)
        for weight, other in zip(weights, found.weights[update + 1], strict=True):
            torch.testing.assert_close(weight, other, rtol=1e-4, atol=1e-6)
    assert accumulate == 1 or max(early) > 1e-4, "clipping each batch would be something else"


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_no_weight_moves_further_than_theta_at_any_rate(precision):
    options = {"precision": precision}
    if precision == "16-mixed":  # Lightning takes bfloat16 for it on a CPU, without any scaling
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        options = {"plugins": MixedPrecision("16-mixed", "cpu", scaler=scaler)}
    moves = fit(SGD, 2, [AdjustableClipping(THETA)], **options).moves()
    # Reached, not only kept: scaled gradients would be clipped a thousand times too early.
    assert moves == pytest.approx([THETA] * UPDATES, rel=1e-3)
    assert min(fit(SGD, 2).moves()[:2]) > 10 * THETA


def test_each_group_has_its_own_rate():
    optimizer = partial(slower_last_layer, optimizer=SGD, factor=0.1)
    found = fit(optimizer, callbacks=[AdjustableClipping(THETA)])
    assert found.rates == [pytest.approx([r, 0.1 * r]) for r in RATES]
    assert found.moves() == pytest.approx([THETA] * UPDATES, rel=1e-3)
    last = [float((b[-2] - a[-2]).abs().max()) for a, b in pairwise(found.weights)]
    assert last == pytest.approx([THETA] * UPDATES, rel=1e-3)


def test_a_rate_of_zero_moves_nothing():
    assert (
        fit(partial(torch.optim.SGD, lr=0.0), callbacks=[AdjustableClipping(THETA)]).moves()
        == [0.0] * UPDATES
    )


def test_an_optimiser_that_unscales_by_itself_is_refused():
    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu"))
    fused = partial(torch.optim.SGD, lr=1.0, fused=True)
    with pytest.raises(UserError, match="clipping=adjustable: a fused optimiser unscales"):
        fit(fused, callbacks=[AdjustableClipping(THETA)], plugins=plugin)
