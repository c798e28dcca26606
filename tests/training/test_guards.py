"""Guards skip what would spoil a training, or stop it, and say where."""

import json
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor, nn

from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.runs.run import run
from sr_experiments.training.callbacks.guards import FiniteLoss, LossSpikes, WorldSize


def trainer(accumulate: int = 1) -> SimpleNamespace:
    return SimpleNamespace(
        accumulate_grad_batches=accumulate,
        datamodule=None,
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.1}])],
        strategy=SimpleNamespace(reduce=lambda value, reduce_op: value),
    )


@pytest.mark.parametrize(("accumulate", "update"), [(1, 6), (2, 3), (3, 2)])
def test_the_failing_update_is_named_whatever_is_accumulated(accumulate, update):
    guard = FiniteLoss(every=8)
    with pytest.raises(UserError) as caught:
        for number in range(8):
            loss = torch.tensor(torch.nan if number >= 5 else 1.0)
            guard.on_train_batch_end(
                trainer(accumulate), None, {"loss": loss}, SimpleNamespace(number=number), number
            )
    assert caught.value.code == "loss-not-finite"
    assert caught.value.message.fields["update"] == update


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("running", [1, 2, 4])
def test_fewer_processes_than_requested_do_not_train(devices, nodes, running):
    guard = WorldSize(devices, nodes)
    if running == devices * nodes:
        guard.on_fit_start(SimpleNamespace(world_size=running), None)
        return
    with pytest.raises(UserError) as caught:
        guard.on_fit_start(SimpleNamespace(world_size=running), None)
    assert caught.value.code == "world-size-differs"


class Spiked(nn.L1Loss):
    """L1 whose sixth value is multiplied."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.calls = factor, 0

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(input, target) * (self.factor if self.calls == 6 else 1.0)


@pytest.fixture
def spiked_run(tmp_path, cache, small_photographs, monkeypatch):
    monkeypatch.setenv("SR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SR_CACHE", str(cache))

    def directory(factor: float, *words: str):
        monkeypatch.setattr(nn, "L1Loss", lambda: Spiked(factor))
        common = ["budget=smoke", "logger=csv", "trainer=cpu", "trainer.progress=none"]
        common += ["optimizer=momentum", "training.lr=1e-5", f"paths.runs={tmp_path / str(factor)}"]
        return run(compose([*common, *words]), Console(quiet=True)).directory

    return directory


def test_a_spike_changes_no_weight_and_is_counted(spiked_run):
    found = spiked_run(1e29)
    silent = spiked_run(0.0, "training.spike=null")
    one, other = (load_file(d / "checkpoints/weights.safetensors") for d in (found, silent))
    assert all(torch.equal(one[k], other[k]) for k in one)
    skipped = [
        json.loads((d / "result.json").read_text())["training"]["skipped_batches"]
        for d in (found, silent)
    ]
    assert skipped == [1, None]
    with pytest.raises(UserError) as caught:
        spiked_run(1e29, "training.spike=null")
    assert caught.value.code == "loss-not-finite"


def test_a_run_that_has_too_few_processes_stops(spiked_run, monkeypatch):
    monkeypatch.setattr(WorldSize, "__init__", lambda guard, *_: setattr(guard, "wanted", 2))
    with pytest.raises(UserError) as caught:
        spiked_run(1.0)
    assert caught.value.code == "world-size-differs"


def losses_of(guard: LossSpikes, values: list[float], process: SimpleNamespace) -> list[float]:
    """The factor on the gradient of each of an epoch's losses."""
    factors = []
    for value in values:
        weight = torch.ones((), requires_grad=True)
        loss = weight * value
        guard.on_before_backward(process, None, loss)
        loss.backward()
        factors.append(weight.grad.item() / value)
    guard.on_train_epoch_end(process, None)
    return factors


def test_a_spike_is_measured_by_the_epoch_before_and_by_any_process():
    process = SimpleNamespace(strategy=trainer().strategy, current_epoch=4)
    guard = LossSpikes(10)
    assert losses_of(guard, [2.0, -4.0, -31.0, 29.0], process) == [1, 1, 0, 1]
    assert losses_of(guard, [120.0, 110.0, 40.0], process) == [0, 1, 1]  # 10 times 35 / 3
    assert guard.skipped == 2
    resumed = LossSpikes(10)
    resumed.load_state_dict(guard.state_dict())
    assert losses_of(resumed, [740.0, 760.0], process) == [1, 0] and resumed.skipped == 3
    elsewhere = SimpleNamespace(
        strategy=SimpleNamespace(reduce=lambda value, reduce_op: torch.ones_like(value)),
        current_epoch=4,
    )
    with pytest.raises(UserError, match="every batch of epoch 5 is above 10 times"):
        losses_of(guard, [1.0, 1.0], elsewhere)
