"""Learning rates fall on the update that the recipe names, at every budget and after a resume."""

import copy
from functools import partial

import pytest
import torch

from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir
from sr_experiments.models.edsr import EDSR
from sr_experiments.training.module import Supervised
from sr_experiments.training.schedules import Constant, Cosine, MultiStep, scheduler

BUDGETS = sorted(p.stem for p in (conf_dir() / "budget").glob("*.yaml"))


def rates(schedule, updates, recipe_epochs, count, state=None):
    """The rate of each of ``count`` updates, and the state after them."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.8)
    rate = scheduler(optimizer, schedule, updates, recipe_epochs)
    if state is not None:
        optimizer.load_state_dict(state[0])
        rate.load_state_dict(state[1])
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        rate.step()
    return found, copy.deepcopy((optimizer.state_dict(), rate.state_dict()))


def test_a_milestone_falls_on_its_update():
    # 12 updates for 300 epochs: epoch 200 is over after update 8, epoch 250 after update 10.
    found, _ = rates(MultiStep([200, 250], 0.5), 12, 300, 12)
    assert found == [0.8] * 8 + [0.4] * 2 + [0.2] * 2
    # Between two updates, the first that follows it: epoch 100 of 300 is update 3.33 of 10.
    found, _ = rates(MultiStep([100], 0.1), 10, 300, 10)
    assert found == pytest.approx([0.8] * 4 + [0.08] * 6)
    assert rates(MultiStep([0], 0.5), 4, 300, 4)[0] == [0.4] * 4
    assert rates(MultiStep([300], 0.5), 4, 300, 4)[0] == [0.8] * 4
    assert rates(Constant(), 4, 300, 4)[0] == [0.8] * 4


@pytest.mark.parametrize("last", [0.0, 0.1])
def test_the_cosine_is_that_of_pytorch(last):
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.8)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12, eta_min=0.8 * last)
    wanted = []
    for _ in range(12):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert rates(Cosine(last), 12, 300, 12)[0] == pytest.approx(wanted)


@pytest.mark.parametrize("budget", BUDGETS)
def test_milestones_are_exact_at_every_budget(budget):
    training = compose([f"budget={budget}"]).training
    updates = training.epochs * training.updates_per_epoch
    for milestone in (1, 50, 100, 200, 299):
        schedule = MultiStep([milestone], 0.5)
        # In whole numbers: the first update of which milestone / 300 of all are done.
        first = -(-milestone * updates // 300)
        around = [u for u in (first - 1, first, first + 1) if 0 <= u < updates]
        halved = [schedule(u, updates, training.recipe_epochs) == 0.5 for u in around]
        assert halved == [u >= first for u in around]


def test_milestones_are_exact_for_any_number_of_updates():
    for updates in range(1, 400):
        for milestone in (1, 7, 200):
            first = -(-milestone * updates // 300)
            assert MultiStep([milestone], 0.5)(first, updates, 300.0) == 0.5
            assert MultiStep([milestone], 0.5)(first - 1, updates, 300.0) == 1


@pytest.mark.parametrize("at", range(13))
def test_a_resumed_rate_is_the_straight_one(at):
    schedule = MultiStep([100, 200], 0.5)
    straight, end = rates(schedule, 12, 300, 12)
    before, state = rates(schedule, 12, 300, at)
    after, resumed = rates(schedule, 12, 300, 12 - at, state)
    assert before + after == straight and len(set(straight)) == 3
    assert resumed[1]["last_epoch"] == end[1]["last_epoch"]
    assert resumed[0]["param_groups"][0]["lr"] == end[0]["param_groups"][0]["lr"]


@pytest.mark.parametrize(("milestones", "gamma"), [([-1], 0.5), ([200], 0), ([200], -0.5)])
def test_schedules_that_make_no_sense_are_refused(milestones, gamma):
    with pytest.raises(ValueError, match="must be positive"):
        MultiStep(milestones, gamma)


def test_the_module_steps_its_rate_once_an_update():
    module = Supervised(
        EDSR(2, 1, 4),
        optimizer=partial(torch.optim.SGD, lr=0.8),
        schedule=MultiStep([150], 0.5),
        updates=4,
        recipe_epochs=300,
    )
    made = module.configure_optimizers()
    assert made["lr_scheduler"]["interval"] == "step" and made["lr_scheduler"]["frequency"] == 1
    found = []
    for _ in range(4):
        found.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
    assert found == [0.8, 0.8, 0.4, 0.4]
    assert len(made["optimizer"].param_groups[0]["params"]) == len(list(module.parameters()))


def test_constants_that_an_optimiser_refuses_are_a_users_mistake():
    module = Supervised(EDSR(2, 1, 4), optimizer=partial(torch.optim.Adam, lr=-1.0))
    with pytest.raises(UserError, match=r"optimizer: Invalid learning rate: -1\.0"):
        module.configure_optimizers()
