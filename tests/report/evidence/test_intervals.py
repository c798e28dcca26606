"""Intervals that cover what they promise, and crossings computed by hand."""

import math

import numpy as np
import pytest

from sr_experiments.report.evidence.intervals import (
    mean_interval,
    paired_bootstrap,
    share_interval,
    speed_ups,
    steadiness,
    updates_to_reach,
)

TRUTH = 0.05


def noise(kind: str, n: int, generator: np.random.Generator) -> np.ndarray:
    """Differences of ``n`` images around the truth, of a spread that real ones have."""
    if kind == "normal":
        return TRUTH + 0.1 * generator.normal(size=n)
    if kind == "heavy":  # a few images decide
        return TRUTH + 0.06 * generator.standard_t(3, size=n)
    return TRUTH + 0.1 * (generator.exponential(size=n) - 1)


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed"])
@pytest.mark.parametrize("sizes", [(5,), (14,), (30,), (5, 14)])
def test_the_interval_covers_the_truth(kind: str, sizes: tuple[int, ...]) -> None:
    generator = np.random.default_rng(len(kind) * 100 + sum(sizes))
    covered, simulations = 0, 1000
    for _ in range(simulations):
        strata = [noise(kind, n, generator) for n in sizes]
        interval = paired_bootstrap(strata, resamples=2000).interval
        assert interval is not None
        covered += interval[0] <= TRUTH <= interval[1]
    assert 0.90 <= covered / simulations <= 0.995


def test_of_many_images_the_interval_is_the_usual_one() -> None:
    differences = np.random.default_rng(0).normal(0.02, 0.1, size=400)
    estimate = paired_bootstrap([differences])
    half = 1.966 * differences.std(ddof=1) / math.sqrt(400)
    assert estimate.value == pytest.approx(differences.mean())
    assert estimate.interval == pytest.approx(
        (differences.mean() - half, differences.mean() + half), abs=0.05 * half
    )


def test_data_sets_have_equal_weight_and_draw_on_their_own() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.normal(0.3, 0.1, 100), generator.normal(0.1, 0.1, 100)
    both = paired_bootstrap([first, second])
    few = paired_bootstrap([first[:20], second])
    assert few.value == pytest.approx((first[:20].mean() + second.mean()) / 2)
    # Two sets of one size must not be resampled alike: their errors add as squares.
    alike = paired_bootstrap([first, first + 1]).interval
    assert alike is not None
    half = 1.97 * first.std(ddof=1) / 10 / np.sqrt(2)
    assert alike[1] - alike[0] == pytest.approx(2 * half, rel=0.06)
    assert paired_bootstrap([first, second]) == both
    assert paired_bootstrap([first, second], seed=1).interval != both.interval


@pytest.mark.parametrize(
    ("differences", "interval"),
    [([0.1], None), ([0.1, 0.2, 0.3], None), ([0.1] * 3, None), ([0.1] * 5, (0.1, 0.1))],
)
def test_too_few_images_have_no_interval(differences: list[float], interval: object) -> None:
    estimate = paired_bootstrap([np.array(differences)])
    assert estimate.value == pytest.approx(np.mean(differences))
    assert estimate.interval == (interval if interval is None else pytest.approx(interval))


@pytest.mark.parametrize(
    ("wins", "of", "interval"),
    [(8, 10, (0.4902, 0.9433)), (0, 10, (0.0, 0.2775)), (4, 4, (0.5101, 1.0))],
)
def test_shares(wins: int, of: int, interval: tuple[float, float]) -> None:
    """Wilson's interval, beside values of a statistics table."""
    assert share_interval(wins, of) == pytest.approx(interval, abs=1e-4)


@pytest.mark.parametrize(("n", "quantile"), [(2, 12.706), (3, 4.303), (5, 2.776), (31, 2.042)])
def test_means_of_seeds(n: int, quantile: float) -> None:
    values = list(range(n))
    interval = mean_interval(values)
    assert interval is not None
    half = quantile * np.std(values, ddof=1) / math.sqrt(n)
    assert interval == pytest.approx((np.mean(values) - half, np.mean(values) + half), rel=1e-3)
    assert mean_interval(values[:1]) is None


UPDATES = np.array([100.0, 200.0, 300.0, 400.0])


@pytest.mark.parametrize(
    ("level", "update"),
    [(29.0, 100.0), (30.0, 100.0), (30.25, 125.0), (32.0, 250.0), (33.1, None)],
)
def test_updates_to_reach(level: float, update: float | None) -> None:
    psnr = np.array([30.0, 31.0, 33.0, 32.5])
    assert updates_to_reach(UPDATES, psnr, level) == update


def test_a_curve_that_is_stretched_is_as_many_times_slower() -> None:
    psnr = np.array([30.0, 31.0, 31.5, 31.7])
    twice = speed_ups((UPDATES, psnr), (2 * UPDATES, psnr))
    assert twice == pytest.approx(np.full(9, 2.0))
    # A higher end does not count as speed, nor a level that one of the two never reaches.
    higher = np.array([30.0, 31.0, 31.5, 40.0])
    ratios = speed_ups((UPDATES, higher), (UPDATES, psnr))
    assert ratios is not None
    assert ratios.min() == pytest.approx(1.0)
    assert ratios.max() < 1.5
    assert speed_ups((UPDATES, psnr), (UPDATES, psnr - 5)) is None


def test_steadiness_is_the_ratio_of_the_changes() -> None:
    changes = np.random.default_rng(0).normal(size=40)
    found = steadiness(changes / 3, changes)
    assert found == pytest.approx([3.0, 3.0, 3.0])
    other = np.random.default_rng(1).normal(size=40)
    found = steadiness(changes, other)
    assert found is not None
    assert found[0] < np.abs(other).mean() / np.abs(changes).mean() < found[2]
    assert steadiness(changes[:7], other[:7]) is None
