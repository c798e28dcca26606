"""Guards stop a training that cannot succeed, and name where it failed."""

from types import SimpleNamespace

import pytest
import torch

from sr_experiments.core.errors import UserError
from sr_experiments.training.callbacks.guards import FiniteLoss, WorldSize


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
