"""history.csv says what was done, whatever the schedule and the accumulation."""

import csv

import pytest
from rich.console import Console

from sr_experiments.config.compose import compose
from sr_experiments.runs.run import run


@pytest.fixture
def history(tmp_path, cache, small_photographs, monkeypatch):
    def lines(*overrides):
        monkeypatch.setenv("SR_RUNS", str(tmp_path / "runs"))
        monkeypatch.setenv("SR_CACHE", str(cache))
        common = ["budget=smoke", "logger=csv", "trainer=cpu", "trainer.progress=none"]
        outcome = run(compose([*common, *overrides]), Console(quiet=True))
        with (outcome.directory / "history.csv").open() as file:
            return list(csv.DictReader(file))

    return lines


def test_the_rate_is_that_of_the_epoch_and_not_of_the_next(history):
    # The milestone stands at two thirds: after the second of three epochs.
    rows = history("training.epochs=3", "training.lr=1e-3")
    assert [float(row["lr"]) for row in rows] == [1e-3, 1e-3, 5e-4]
    assert [int(row["update"]) for row in rows] == [4, 8, 12]


def test_the_loss_is_the_same_whether_gathered_over_batches_or_not(history):
    # At this rate nothing is learned: both see the same network on the same kind of patches.
    args = ["training.lr=1e-12", "training.epochs=1", "training.batch_size=8"]
    whole = history(*args, "training.updates_per_epoch=8")
    parts = history(*args, "training.updates_per_epoch=4", "training.accumulate=2")
    assert float(parts[0]["train_loss"]) == pytest.approx(float(whole[0]["train_loss"]), rel=1e-6)
