"""Estimates, shares, corrections and rising fits, beside sums by hand and other libraries."""

import math

import numpy as np
import pytest
from scipy import stats

from sr_experiments.report.evidence.convergence import (
    over_scales,
    rising_fit,
    speed_up,
    steadiness,
)
from sr_experiments.report.evidence.curves import Curve
from sr_experiments.report.evidence.intervals import (
    ShareEstimate,
    crossed,
    holm,
    mean_difference,
    pooled,
    share,
)


def test_one_seed_over_images_is_students() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(30, 2, (2, 1, 14))
    found = crossed([(first, second)])
    test = stats.ttest_rel(first[0], second[0])
    assert found.interval == pytest.approx(tuple(test.confidence_interval()))
    assert found.p_value() == pytest.approx(test.pvalue)


def test_images_without_a_part_leave_the_paired_test_over_seeds() -> None:
    """Seeds shift all images alike, and the columns differ by the same on every image."""
    generator = np.random.default_rng(1)
    image = generator.normal(30, 2, 50)
    shifts = generator.normal(0, 0.1, (2, 5)) + np.array([[0.1], [0.0]])
    first, second = (image + shift[:, None] for shift in shifts)
    found = crossed([(first, second), (first[:, :20], second[:, :20])])
    test = stats.ttest_rel(*shifts)
    assert found.interval == pytest.approx(tuple(test.confidence_interval()))
    assert found.p_value() == pytest.approx(test.pvalue)
    assert mean_difference(*shifts.tolist()).p_value() == pytest.approx(test.pvalue)


def test_data_sets_weigh_equally() -> None:
    generator = np.random.default_rng(2)
    small, large = generator.normal(0.3, 0.1, (3, 20)), generator.normal(0.1, 0.1, (3, 100))
    found = crossed([(d, np.zeros_like(d)) for d in (small, large)], trained=1)
    assert found.value == pytest.approx((small.mean() + large.mean()) / 2)


def test_what_can_be_seen_is_found_in_four_of_five() -> None:
    generator = np.random.default_rng(3)
    found = 0
    for _ in range(400):
        first = generator.normal(0, 1, (1, 30))
        planted = crossed([(first, np.zeros_like(first))]).detectable
        assert planted is not None
        again = generator.normal(planted, 1, (1, 30))
        p = crossed([(again, np.zeros_like(again))]).p_value()
        assert p is not None
        found += p <= 0.05
    assert 0.7 <= found / 400 <= 0.9


@pytest.mark.parametrize(
    ("differences", "interval"),
    [([0.1], None), ([0.1, 0.2, 0.3], None), ([0.1] * 3, None), ([0.1] * 5, (0.1, 0.1))],
)
def test_too_few_images_have_no_interval(differences: list[float], interval: object) -> None:
    first = np.array([differences])
    found = crossed([(first, np.zeros_like(first))])
    assert found.value == pytest.approx(np.mean(differences))
    assert found.interval == (interval if interval is None else pytest.approx(interval))


def test_noise_of_seeds_is_pooled_only_from_enough_of_them() -> None:
    columns = [[1.0, 3.0, 2.0], [5.0, 5.0, 5.0], [0.0, 2.0, 1.0], [7.0, 7.0, 7.0]]
    assert pooled(columns[:3]) is None
    assert pooled([*columns[:3], [7.0]]) is None  # a single seed adds nothing
    found = pooled(columns)
    assert found is not None
    assert (found.variance, found.degrees) == (pytest.approx(0.5), 8)
    one = np.zeros((1, 100))
    alone, known = crossed([(one + 1, one)]), crossed([(one + 1, one)], noise=found)
    assert alone.variance == 0
    assert (known.variance, known.degrees) == (pytest.approx(1.0), pytest.approx(8))
    assert crossed([(one + 1, one)], noise=found, trained=1).variance == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("value", "of", "interval"),
    [(0.8, 10, (0.4902, 0.9433)), (0.0, 10, (0.0, 0.2775)), (1.0, 4, (0.5101, 1.0))],
)
def test_shares(value: float, of: int, interval: tuple[float, float]) -> None:
    """Wilson's interval, beside values of a statistics table, and the test that it inverts."""
    found = ShareEstimate(value, of)
    assert found.interval == pytest.approx(interval, abs=1e-4)
    for end in found.interval:
        if 0 < end < 1:
            assert found.p_value(end) == pytest.approx(0.05, abs=1e-6)


def test_seeds_that_disagree_on_a_share_make_it_worth_fewer_images() -> None:
    wins = np.repeat([[1.0], [1.0], [0.0]], 30, axis=1)
    assert share(wins).images < 3
    alike = np.tile(np.arange(30) < 20, (3, 1)).astype(float)
    assert share(alike).images == 30


def test_holms_correction() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


UPDATES = np.arange(25, 1025, 25)


def curve(psnr: np.ndarray, updates: np.ndarray = UPDATES) -> Curve:
    return Curve(0, updates // 25, updates, psnr)


def test_a_rising_fit_pools_what_falls_and_stands_in_its_middle() -> None:
    times, values = rising_fit(
        np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([1.0, 3.0, 2.0, 4.0, 3.0])
    )
    assert times == pytest.approx([1.0, 2.5, 4.5])
    assert values == pytest.approx([1.0, 2.5, 3.5])


RISE = 33 - 4 * np.exp(-UPDATES / 200)


def test_a_curve_that_is_stretched_is_as_many_times_slower() -> None:
    found = speed_up([curve(RISE)] * 2, [curve(RISE, 2 * UPDATES)] * 2)
    assert found is not None and found.bound == ""
    effect = over_scales([found])
    assert effect is not None
    assert math.exp(effect.estimate.value) == pytest.approx(2.0)
    same = speed_up([curve(RISE)], [curve(RISE)])
    assert same is not None
    assert same.first == pytest.approx(same.second)


def test_a_column_that_never_gets_there_is_a_bound() -> None:
    low = 25 + 0.5 * (RISE - 29)
    ahead = speed_up([curve(RISE)] * 3, [curve(low - 0.1 * k) for k in range(3)])
    behind = speed_up([curve(low - 0.1 * k) for k in range(3)], [curve(RISE)] * 3)
    assert ahead is not None and behind is not None
    assert (ahead.bound, behind.bound) == ("at least", "at most")
    effect = over_scales([ahead])
    assert effect is not None
    assert math.exp(effect.estimate.value) == pytest.approx(1000 / 25)
    (gap,) = effect.gaps
    assert gap.value == pytest.approx(RISE[0] - (low[-1] - 0.1))
    assert over_scales([ahead, behind]) is None
    # A seed that failed beside seeds that overlap bounds nothing.
    failed = [curve(RISE), curve(low)]
    assert speed_up([curve(RISE)] * 2, failed) is None


def test_steadiness_is_the_ratio_of_the_changes() -> None:
    generator = np.random.default_rng(0)
    changes = generator.normal(size=40)
    psnr = 30 + np.cumsum(changes)
    found = steadiness(curve(psnr / 3), curve(psnr))
    assert found is not None and found.variance is not None
    assert math.exp(found.value) == pytest.approx(3.0)
    assert found.variance == pytest.approx(0.0, abs=1e-12)
    other = 30 + np.cumsum(np.concatenate([changes[:1], generator.permutation(changes[1:])]))
    found = steadiness(curve(psnr), curve(other))
    assert found is not None and found.interval is not None
    assert found.value == pytest.approx(0.0)
    assert found.interval[0] < -0.1 < 0.1 < found.interval[1]
    assert steadiness(curve(psnr[:8], UPDATES[:8]), curve(other[:8], UPDATES[:8])) is None
