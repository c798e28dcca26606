"""Averaged weights: what they are, and that the training never notices them."""

import csv

import pytest
import torch
from rich.console import Console
from torch.optim.swa_utils import update_bn

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.data.datamodule import SuperResolutionData
from sr_experiments.data.sources import find_images
from sr_experiments.runs.run import run
from sr_experiments.training.callbacks.averaging import SWA
from sr_experiments.training.checkpoints import load_weights


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Of all tests here, so that a training that several need is computed once."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def train(runs, cache, small_photographs, monkeypatch):
    """The directory of a small training at a constant rate."""
    monkeypatch.setenv("SR_RUNS", str(runs))
    monkeypatch.setenv("SR_CACHE", str(cache))

    def directory(*overrides, budget="smoke"):
        common = [f"budget={budget}", "logger=csv", "trainer=cpu", "trainer.progress=none"]
        common += ["scheduler=constant", "benchmarks.save_images=false"]
        return run(compose([*common, *overrides]), Console(quiet=True)).directory

    return directory


def weights(directory, kind="weights"):
    return load_weights(directory / "checkpoints" / f"{kind}.safetensors")[0]


def lines(directory, name):
    with (directory / name).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def epochs(train):
    """Weights at the end of epochs 1 to 5. At a constant rate a longer training begins alike."""
    return [weights(train(f"training.epochs={n}")) for n in range(1, 6)]


def test_swa_is_the_mean_of_the_epochs_weights_and_changes_nothing_else(train, epochs):
    # Begins after epoch 2 of 5, which is epoch 120 of the recipe's 300.
    run = train("training.epochs=5", "averaging=swa", "averaging.begin=120")
    plain = train("training.epochs=5")
    averaged = weights(run, "weights-averaged")
    for name, value in weights(run).items():
        assert torch.equal(value, epochs[-1][name]), "the training itself"
        mean = torch.stack([epoch[name].double() for epoch in epochs[2:]]).mean(0)
        torch.testing.assert_close(averaged[name].double(), mean, rtol=1e-6, atol=1e-8)

    scores = lines(run, "scores.csv")
    raw = [line for line in scores if line["weights"] == "raw"]
    assert raw == lines(plain, "scores.csv")
    other = [line for line in scores if line["weights"] == "averaged"]
    assert len(other) == len(raw) and [o["psnr"] for o in other] != [r["psnr"] for r in raw]

    history = lines(run, "history.csv")
    for line, unaveraged in zip(history, lines(plain, "history.csv"), strict=True):
        assert {k: line[k] for k in unaveraged} == unaveraged
    averages = [line["val_psnr_y_averaged"] for line in history]
    assert averages[:2] == ["", ""], "no untrained average is scored"
    assert averages[2] == history[2]["val_psnr_y"], "one epoch's mean is that epoch"
    assert all(line["val_psnr_y_averaged"] != line["val_psnr_y"] for line in history[3:])


def test_ema_follows_every_update(train):
    # One update an epoch: the weights behind each are those of shorter trainings.
    common = ["training.updates_per_epoch=1", "training.accumulate=2"]
    steps = [weights(train(*common, f"training.epochs={n}")) for n in range(1, 5)]
    run = train(*common, "training.epochs=4", "averaging=ema", "averaging.decay=0.75")
    whole = train(
        "training.updates_per_epoch=4", *common[1:], "training.epochs=1", "averaging=ema",
        "averaging.decay=0.75",
    )  # fmt: skip
    expected = {name: value.double() for name, value in steps[0].items()}
    for step in steps[1:]:
        expected = {k: 0.75 * v + 0.25 * step[k].double() for k, v in expected.items()}
    for directory in (run, whole):
        averaged = weights(directory, "weights-averaged")
        for name, value in expected.items():
            torch.testing.assert_close(averaged[name].double(), value, rtol=1e-6, atol=1e-8)


def test_an_average_has_the_precision_of_the_training(train):
    run = train("trainer.precision=64-true", "averaging=swa", "averaging.begin=0")
    averaged, last = weights(run, "weights-averaged"), weights(run)
    first = weights(train("trainer.precision=64-true", "training.epochs=1"))
    for name, value in averaged.items():
        mean = (first[name].double() + last[name].double()) / 2  # smoke has two epochs
        torch.testing.assert_close(value.double(), mean, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "words", [["model=srresnet"], ["convolution=deconvolution"]], ids=["norm", "deconvolution"]
)
def test_statistics_are_estimated_anew_for_the_average(train, cache, words):
    run = train(*words, "averaging=swa", "averaging.begin=0", "averaging.batches=3")
    averaged, node = load_weights(run / "checkpoints" / "weights-averaged.safetensors")
    data = SuperResolutionData(
        find_images("embedded/train", cache, cache), None, [], scale=2, cache=cache,
        batch_size=2, patch_size=12, updates_per_epoch=4,
    )  # fmt: skip
    data.setup()
    batches = [data.stream.batch(t).lr for t in (5, 6, 7)]  # the last three of two epochs of four
    network = instantiate.build_network(node)
    network.load_state_dict(averaged)
    if "model=srresnet" in words:
        update_bn([network.encode(lr) for lr in batches], network)  # PyTorch's own
        expected = network.state_dict()
    else:
        network.train()
        seen = []
        for layer in network.modules():
            if hasattr(layer, "running_deconv"):
                layer.momentum = 1.0
        for lr in batches:
            network(network.encode(lr))
            seen.append({k: v.clone() for k, v in network.state_dict().items()})
        expected = {k: torch.stack([s[k].double() for s in seen]).mean(0) for k in seen[0]}
    running = [k for k in averaged if "running" in k]
    assert running
    raw = weights(run)
    for name in running:
        torch.testing.assert_close(averaged[name].double(), expected[name].double(), rtol=1e-4,
                                   atol=1e-5)  # fmt: skip
        assert not torch.equal(averaged[name], raw[name])


def test_averaging_goes_on_a_parents_last_epoch(train):
    start = "start={averaging: none, scheduler.factor: 1.0, start: null, start_optimizer: false}"
    run = train(start, "start_optimizer=true", "averaging=swa", "averaging.begin=0",
                "scheduler.factor=0.5")  # fmt: skip
    assert [float(line["lr"]) for line in lines(run, "history.csv")] == [5e-4, 5e-4]
    other = train(start, "averaging=swa", "averaging.begin=0", "scheduler.factor=0.5")
    assert run != other and not (run / "weights.safetensors").exists()
    first, second = weights(run), weights(other)
    assert any(not torch.equal(first[k], second[k]) for k in first), "the moments matter"


def test_a_beginning_behind_the_end_is_refused():
    with pytest.raises(ValueError, match="begin=80: there is nothing to average"):
        SWA(begin=80, updates=10, recipe_epochs=80)


def test_another_networks_moments_are_refused(train):
    with pytest.raises(UserError) as caught:
        train("scale=4", "start={scale: 2, start_optimizer: false}", "start_optimizer=true")
    assert caught.value.code == "moments-do-not-fit"


def test_the_weights_averaging_begins_with_count_on_request(train, epochs):
    words = ["training.epochs=3", "averaging=swa", "averaging.counts_start=true"]
    run = train(*words, "averaging.begin=100")  # a third of the recipe: behind the first epoch
    averaged = weights(run, "weights-averaged")
    for name, value in averaged.items():
        mean = torch.stack([epoch[name].double() for epoch in epochs[:3]]).mean(0)
        torch.testing.assert_close(value.double(), mean, rtol=1e-6, atol=1e-8)


def test_the_first_weights_of_all_count_on_request(train):
    words = ["averaging=swa", "averaging.begin=0", "training.epochs=1"]
    one = weights(train(*words), "weights-averaged")
    both = weights(train(*words, "averaging.counts_start=true"), "weights-averaged")
    start = weights(train("training.epochs=1", "training.lr=0"))
    for name, value in both.items():
        torch.testing.assert_close(value, (start[name] + one[name]) / 2, rtol=1e-5, atol=1e-7)
