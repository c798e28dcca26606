"""Planted costs, and what a claim on cost makes of them; and the mean of several columns."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sr_experiments.report.evidence.collect import collect
from sr_experiments.report.evidence.verdicts import Verdict, judge
from sr_experiments.report.paper.load import load_paper

Writer = Callable[..., Path]
SCORES = {"Set5": {f"i{k}": (30.0 + k, 0.9) for k in range(5)}}


def costly(write_run: Writer, activation: str, seed: int, device: str = "cpu", **cost: Any) -> None:
    path = write_run(SCORES, activation=activation, seed=seed) / "result.json"
    result = json.loads(path.read_text()) | {"device": device}
    result["training"] |= {"updates_timed": 100} | cost
    path.write_text(json.dumps(result))


def verdict(tmp_path: Path, claim: str, paper: str = "activation") -> Verdict:
    runs = collect(tmp_path / "runs").runs
    (found,) = [v for v in judge(load_paper(paper), runs) if v.claim.id == claim]
    return found


@pytest.mark.parametrize(
    ("factors", "outcome"),
    [
        ((1.30, 1.32, 1.31), "holds"),
        ((1.00, 1.01, 0.99), "does not hold"),  # "more" means by a margin of 5 %
        ((1.00, 1.60, 1.30), "undecided"),
        ((1.31,), "undecided"),  # one seed decides nothing
    ],
)
def test_a_planted_cost_is_found_and_its_noise_seen(
    tmp_path: Path, write_run: Writer, factors: tuple[float, ...], outcome: str
) -> None:
    for seed, factor in enumerate(factors):
        # Validation takes long, and as long in both: it must not blur the ratio.
        costly(write_run, "relu", seed, seconds=4.0 + 50, validation_seconds=50.0)
        costly(write_run, "mish", seed, seconds=4.0 * factor + 50, validation_seconds=50.0)
    found = verdict(tmp_path, "mish_costs_more_than_relu")
    assert found.outcome == outcome
    assert found.effect is not None and min(factors) <= found.effect * 1.0001
    assert found.effect <= max(factors) * 1.0001
    assert found.unit == "x"
    assert found.where == "x2 seconds per update"
    assert (found.interval is None) == (len(factors) == 1)
    assert (found.reason == "one seed") == (len(factors) == 1)


# Both processors of the second pair may be any: runs did not name theirs at first.
@pytest.mark.parametrize("devices", [("cpu", "GPU"), ("cpu (1 threads)", "cpu (1 threads)")])
def test_times_of_two_devices_are_not_compared(
    tmp_path: Path, write_run: Writer, devices: tuple[str, str]
) -> None:
    for seed in (0, 1):
        costly(write_run, "relu", seed, device=devices[0], seconds=4.0)
        costly(write_run, "mish", seed, device=devices[1], seconds=1.0)
    found = verdict(tmp_path, "mish_costs_more_than_relu")
    assert (found.outcome, found.effect) == ("undecided", None)
    assert "two devices" in "; ".join(found.notes)


@pytest.mark.parametrize(
    ("growth", "outcome"), [(1.02, "holds"), (1.5, "does not hold"), (None, "undecided")]
)
def test_little_more_memory(
    tmp_path: Path, write_run: Writer, growth: float | None, outcome: str
) -> None:
    for seed in (0, 1):
        for averaging, factor, share in (("none", 1.0, 1.0), ("swa", 0.5, growth)):
            path = write_run(
                SCORES,
                seed=seed,
                choices={"model": "rcan", "averaging": averaging, "scheduler": "constant"},
                settings={"scheduler.factor": factor, "training.epochs": 200 * factor},
                updates=round(200 * factor),
                network="RCAN",
                experiment="swa_sweep",
            )
            result = json.loads((path / "result.json").read_text())
            if share is not None:
                result["training"]["peak_memory"] = round(share * 1e9)
            (path / "result.json").write_text(json.dumps(result))
    assert verdict(tmp_path, "little_memory", "swa").outcome == outcome


def test_parameters_are_exact_and_need_one_seed(tmp_path: Path, write_run: Writer) -> None:
    for size, parameters in (("32x256", 40_729_603), ("16x64", 1_369_859)):
        choices = {"budget": "paper"}
        write_run(
            SCORES,
            size=size,
            parameters=parameters,
            choices=choices,
            experiment="distillation_sweep",
        )
    found = verdict(tmp_path, "teacher_size", "distillation")
    assert (found.outcome, found.interval) == ("holds", None)
    assert found.effect == pytest.approx(29.73, abs=0.01)  # and not the 27.1 in print
    assert found.published is not None and found.published.value == 27.1


def test_a_column_beside_the_mean_of_several(tmp_path: Path, write_run: Writer) -> None:
    """The paper's 2.99 % is the mean of the three percentages, seed by seed and image by image."""
    losses = {"relu": 0.0, "leaky_relu": 3.0, "swish": 0.3, "mish": -0.3}
    for seed in (0, 1):
        for activation, loss in losses.items():
            shifted = {"Set5": {i: (p - loss, 0.9) for i, (p, _) in SCORES["Set5"].items()}}
            write_run(shifted, activation=activation, seed=seed)
    write_run(SCORES, activation="swish", seed=7)  # a seed that the others do not have
    found = verdict(tmp_path, "relu_best_x2")
    assert found.unit == "%"
    assert found.effect == pytest.approx(100 * 1.0 / 32)  # of ReLU's mean, 32 dB
    assert found.seeds == [0, 1]
    assert found.n_images == 5
