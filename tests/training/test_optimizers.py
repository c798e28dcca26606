"""Each word of the groups of training is the paper's recipe, and changes what is trained."""

import json

import pytest
import torch
from torch import nn

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.models.edsr import EDSR
from sr_experiments.runs.plan import plan
from sr_experiments.runs.run import run
from sr_experiments.training.checkpoints import load_weights
from sr_experiments.training.module import Supervised
from sr_experiments.training.optimizers import take_moments


def optimizer_of(*words):
    config = compose(["training.lr=0.5", *words])
    factory = instantiate.build(config.optimizer, "optimizer")
    module = Supervised(EDSR(2, 1, 4), optimizer=factory)
    return module.configure_optimizers()["optimizer"], module


@pytest.mark.parametrize(
    ("word", "kind", "constants"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0, "weight_decay": 0}),
        ("momentum", torch.optim.SGD, {"momentum": 0.9, "nesterov": False, "weight_decay": 0}),
        ("vdsr", torch.optim.SGD, {"momentum": 0.9, "weight_decay": 1e-4}),
        ("srcnn", torch.optim.SGD, {"momentum": 0.9}),
        ("adagrad", torch.optim.Adagrad, {"lr_decay": 0, "weight_decay": 0}),
        ("adam", torch.optim.Adam, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0}),
        ("adamw", torch.optim.AdamW, {"weight_decay": 0.01}),
    ],
)
def test_words_are_the_papers_optimisers(word, kind, constants):
    made, module = optimizer_of(f"optimizer={word}", "budget=paper")
    assert type(made) is kind
    group = made.param_groups[0]
    assert group["lr"] == 0.5
    found = {k: tuple(v) if isinstance(v, list) else v for k, v in group.items()}
    assert {k: found[k] for k in constants} == constants
    count = sum(len(g["params"]) for g in made.param_groups)
    assert count == len(list(module.network.parameters()))


def test_weight_decay_is_a_key():
    made, _ = optimizer_of("optimizer=momentum", "optimizer.weight_decay=1e-4")
    assert made.param_groups[0]["weight_decay"] == 1e-4


def test_the_last_layer_is_slower():
    made, module = optimizer_of("optimizer=srcnn", "budget=paper")
    slow = {id(p) for p in made.param_groups[1]["params"]}
    names = [k for k, p in module.network.named_parameters() if id(p) in slow]
    assert names == ["tail.1.weight", "tail.1.bias"]
    assert [g["lr"] for g in made.param_groups] == [0.5, pytest.approx(0.05)]
    bare = nn.Sequential(nn.Conv2d(1, 2, 3), nn.PReLU(), nn.Conv2d(2, 1, 3, bias=False))
    config = compose(["optimizer=srcnn"]).optimizer
    made = instantiate.build(config, "optimizer")(bare.parameters())
    assert [len(g["params"]) for g in made.param_groups] == [3, 1]
    assert made.param_groups[1]["params"][0] is bare[2].weight


def test_a_factor_that_makes_no_sense_is_a_users_mistake():
    with pytest.raises(UserError, match=r"optimizer: factor=0: must be above 0"):
        optimizer_of("optimizer=srcnn", "optimizer.factor=0")


@pytest.mark.parametrize(
    ("word", "epochs", "factors"),
    [
        ("constant", 300, {0: 1, 299: 1}),
        ("multistep", 300, {199: 1, 200: 0.5, 299: 0.5}),
        ("vdsr", 80, {19: 1, 20: 0.1, 39: 0.1, 40: 0.01, 59: 0.01, 60: 1e-3, 79: 1e-3}),
        ("swa_baseline", 250, {199: 1, 200: 0.5, 249: 0.5}),
    ],
)
def test_words_are_the_papers_schedules(word, epochs, factors):
    config = compose([f"scheduler={word}"])
    assert config.training.recipe_epochs == epochs
    schedule = instantiate.build(config.scheduler, "scheduler")
    for epoch, factor in factors.items():
        for updates in (1, 3, 1000):  # an epoch
            found = schedule(epoch * updates, epochs * updates, config.training.recipe_epochs)
            assert found == pytest.approx(factor), epoch


def test_a_budget_shrinks_a_schedule_with_its_own_recipe():
    config = compose(["scheduler=vdsr", "budget=quick"])
    training = config.training
    updates = training.epochs * training.updates_per_epoch
    schedule = instantiate.build(config.scheduler, "scheduler")
    falls = [
        u
        for u in range(1, updates)
        if schedule(u, updates, training.recipe_epochs)
        < schedule(u - 1, updates, training.recipe_epochs)
    ]
    assert falls == [updates // 4, updates // 2, 3 * updates // 4]
    kept = compose(["scheduler=vdsr", "training.recipe_epochs=40"])
    assert kept.training.recipe_epochs == 40


SMOKE = ["budget=smoke", "logger=csv", "trainer=cpu", "trainer.progress=none", "data=embedded"]
SMOKE += ["training.updates_per_epoch=2", "benchmarks.sets=[embedded/val]", "training.epochs=2"]
SMOKE += ["trainer.threads=1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache):
    """The directory and the weights of a run of these words, in this process."""
    folder = tmp_path_factory.mktemp("words")
    places = [f"paths.{k}={folder / k}" for k in ("data", "runs", "report")]

    def call(*words):
        cfg = compose([*SMOKE, *places, f"paths.cache={cache}", *words])
        outcome = run(cfg)
        assert outcome.directory.name.endswith(plan(cfg).identity[:8])
        state, _ = load_weights(outcome.directory / "checkpoints" / "weights.safetensors")
        return outcome.directory, state

    return call


@pytest.mark.parametrize(
    "word",
    [
        "convolution=deconvolution",
        "init=normal",
        "init=xavier",
        "init=he",
        "optimizer=sgd",
        "optimizer=momentum",
        "optimizer=srcnn",
        "optimizer=adagrad",
        "optimizer=adamw",
        "scheduler=vdsr",
        "scheduler=swa_baseline",
    ],
)
def test_every_word_trains_something_of_its_own(word, trained):
    _, usual = trained()
    directory, state = trained(word)
    name = word.split("=")[1]
    assert f"-{name}-smoke" in directory.name
    result = json.loads((directory / "result.json").read_text())
    assert result["training"]["updates"] == 4
    changed = [k for k, v in state.items() if k not in usual or not torch.equal(v, usual[k])]
    assert changed, "the word has no effect"
    assert all(bool(v.isfinite().all()) for v in state.values())


def test_clipping_reaches_the_updates(trained):
    words = ["optimizer=sgd", "scheduler=constant", "training.lr=1"]
    _, before = trained(*words, "training.epochs=0")
    directory, after = trained(*words, "clipping=adjustable", "clipping.value=1e-4")
    assert "-adjustable-smoke" in directory.name
    move = max(float((after[k] - before[k]).abs().max()) for k in before)
    assert 2e-4 < move < 4.01e-4, "four updates of at most theta"


def test_dropout_draws_the_same_after_a_resume(trained, monkeypatch, tmp_path):
    words = ["model.dropout=0.5", "training.checkpoint_every=1"]
    _, straight = trained(*words)
    _, other = trained(*words, "seed=1")
    assert not torch.equal(straight["body.1.weight"], other["body.1.weight"])

    from sr_experiments.training.callbacks.last_checkpoint import LastCheckpoint

    save = LastCheckpoint.on_train_batch_end

    def killed(self, trainer, *rest):
        save(self, trainer, *rest)
        if trainer.global_step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LastCheckpoint, "on_train_batch_end", killed)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            trained(*words, f"paths.runs={tmp_path}")
    torch.manual_seed(99)
    _, resumed = trained(*words, f"paths.runs={tmp_path}")
    assert all(torch.equal(v, straight[k]) for k, v in resumed.items())


def test_words_of_all_groups_go_together_in_a_sweep(command, tmp_path):
    done = command(
        *SMOKE,
        *("optimizer=momentum,srcnn", "convolution=plain,deconvolution", "-m"),
        *("init=he", "clipping=adjustable", "scheduler=vdsr"),
        *("model.dropout=0.1", "model.batch_norm=true"),
    )
    assert done.returncode == 0, done.stderr
    states = [json.loads(p.read_text())["state"] for p in tmp_path.glob("runs/*/*/status.json")]
    assert states == ["finished"] * 4


def test_moments_are_taken_over_and_rates_are_not():
    def updates(parameter, optimizer, count):
        for t in range(count):
            parameter.grad = torch.sin(parameter.detach() * (t + 1))
            optimizer.step()

    one = nn.Parameter(torch.linspace(-1, 1, 7))
    first = torch.optim.Adam([one], lr=0.1)
    updates(one, first, 5)
    other = nn.Parameter(one.detach().clone())
    second = torch.optim.Adam([other], lr=0.03)
    take_moments(second, first.state_dict()["state"])
    first.param_groups[0]["lr"] = 0.03
    updates(one, first, 3)
    updates(other, second, 3)
    assert torch.equal(one, other) and second.param_groups[0]["lr"] == 0.03
