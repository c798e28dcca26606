"""What the report promises, by simulation: coverage, few false verdicts, effects that are found.

``benchmarks/verdicts.py`` is the same at full length; its README holds the figures.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

PATH = Path(__file__).resolve().parents[3] / "benchmarks" / "verdicts.py"
REPEATS = 400
#: Three standard errors of a share of 5 % in so many repeats.
ERROR = 0.033


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verdict_bench", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("seeds", "sets", "power"),
    [
        (1, (100,), 0.45),
        (3, (4,), 0.2),
        (3, (14,), 0.56),
        (3, (5, 14, 100, 100), 0.56),
        (5, (100,), 0.96),
        (10, (14,), 0.95),
    ],
)
def test_equal_recipes_stay_undecided_and_a_tenth_of_a_decibel_is_found(
    bench: ModuleType, seeds: int, sets: tuple[int, ...], power: float
) -> None:
    noise = bench.NOISES["as measured"]
    equal = bench.simulate(noise, seeds, sets, 0.0, REPEATS)
    assert equal.decided <= 0.06 + ERROR
    assert 0.94 - ERROR <= equal.covered <= 0.98 + ERROR
    for effect, found, missed in ((0.1, "above", "below"), (-0.1, "below", "above")):
        planted = bench.simulate(noise, seeds, sets, effect, REPEATS // 4)
        assert getattr(planted, found) >= power - 0.1
        assert getattr(planted, missed) <= 0.02


@pytest.mark.parametrize(
    "name", ["mostly per image", "mostly together", "one column three times", "a shared beginning"]
)
def test_other_kinds_of_noise(bench: ModuleType, name: str) -> None:
    assert bench.simulate(bench.NOISES[name], 3, (14,), 0.0, REPEATS).decided <= 0.06 + ERROR


def test_an_interval_over_images_alone_promises_too_much(bench: ModuleType) -> None:
    """The simulation sees the mistake that it is there to exclude."""
    alone = bench.over_images_alone(bench.NOISES["as measured"], 1, (100,), 200)
    assert alone.decided > 0.5


@pytest.mark.parametrize("noises", [(0.002, 0.002), (0.1, 0.002), (0.002, 0.1)])
def test_a_noisy_curve_is_not_a_fast_one(bench: ModuleType, noises: tuple[float, float]) -> None:
    equal = bench.simulate_curves(1.0, noises, 3, 150)
    assert equal.decided <= 0.06 + 2 * ERROR
    assert bench.simulate_curves(1.5, noises, 3, 60).above > 0.9
    assert bench.simulate_curves(1 / 1.5, noises, 3, 60).below > 0.9


def test_by_hand(bench: ModuleType) -> None:
    """Two seeds and two data sets of two images each, beside sums on paper."""
    first = [np.array([[31.0, 33.0], [32.0, 36.0]]), np.array([[30.0, 30.0], [31.0, 33.0]])]
    second = [np.zeros((2, 2)), np.zeros((2, 2))]
    found = bench.crossed(list(zip(first, second, strict=True)))
    assert found.value == pytest.approx(32.0)
    between = ((31.0 - 32.0) ** 2 + (33.0 - 32.0) ** 2) / 1 / 2  # means by seed: 31 and 33
    images = ((31.5 - 34.5) ** 2 / 2 / 2 + (30.5 - 31.5) ** 2 / 2 / 2) / 4
    residual = (4 * 0.5**2 / 1 / 4 + 4 * 0.5**2 / 1 / 4) / 4
    assert found.variance == pytest.approx(between + images - residual)
