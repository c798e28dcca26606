"""How fast and how steadily validation curves rise, from isotonic fits of them.

The first passage of a level favours the noisier curve, whose noise crosses it early: with 0.1 dB of
noise on one of two equal curves it called that one faster in 44 % of cases. A rising fit pools what
goes up and down, and has no first passage before its time.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import isotonic_regression

from sr_experiments.report.evidence.curves import Curve
from sr_experiments.report.evidence.intervals import Estimate, Values, mean_difference

#: Where an effect is known from one side only.
Bound = Literal["", "at least", "at most"]
#: PSNR levels at which two columns are compared.
LEVELS = 9


def rising_fit(updates: Values, psnr: Values) -> tuple[Values, Values]:
    """Fit a curve that never falls (isotonic regression).

    Args:
        updates: ``(n,)``, rising.
        psnr: ``(n,)`` in dB.

    Returns:
        For each block of equal fitted values, the mean update of its points and the value. A
        block's value is that of its middle: taken at its first update it would come too early.
    """
    fit = isotonic_regression(psnr)
    edges = fit.blocks
    times = np.add.reduceat(updates.astype(np.float64), edges[:-1]) / np.diff(edges)
    return times, fit.x[edges[:-1]]


@dataclass(frozen=True)
class SpeedUp:
    """Logarithm of how many times as fast one column is as another, at one scale or over several.

    Attributes:
        first: mean logarithm of the updates to reach the levels, for each seed.
        second: of the other column.
        bound: "at least" or "at most" if a column never reaches the other's first value.
        gap: in dB, by which that value lies above, or below if negative; None without a bound.
    """

    first: Values
    second: Values
    bound: Bound = ""
    gap: Estimate | None = None


def speed_up(first: Sequence[Curve], second: Sequence[Curve]) -> SpeedUp | None:
    """Compare how many updates two columns need for the same PSNR, at one scale.

    The levels are evenly spaced between the highest first and the lowest last value of all fits,
    the ends excluded, so that every curve reaches each of them. Where every first value of a column
    lies above all last ones of the other, that other never gets there: the ratio is at least that
    of its length to the updates of the first value.

    Args:
        first: the curves of a column, by seed.
        second: of the other column, of the same seeds.

    Returns:
        None if the curves have no range in common for any other reason, as where one seed failed.
    """
    fits = [[rising_fit(c.updates, c.psnr) for c in side] for side in (first, second)]
    starts = [np.array([psnr[0] for _, psnr in side]) for side in fits]
    ends = [np.array([psnr[-1] for _, psnr in side]) for side in fits]
    low, high = max(map(np.max, starts)), min(map(np.min, ends))
    if low < high:
        levels = np.linspace(low, high, LEVELS + 2)[1:-1]
        times = [
            np.array([np.log(np.interp(levels, psnr, at)).mean() for at, psnr in side])
            for side in fits
        ]
        return SpeedUp(times[0], times[1])
    begun = [np.log([float(at[0]) for at, _ in side]) for side in fits]
    length = [np.log([float(c.updates[-1]) for c in side]) for side in (first, second)]
    if starts[0].min() > ends[1].max():
        gap = mean_difference(starts[0].tolist(), ends[1].tolist())
        return SpeedUp(begun[0], length[1], "at least", gap)
    if starts[1].min() > ends[0].max():
        gap = mean_difference(ends[0].tolist(), starts[1].tolist())
        return SpeedUp(length[0], begun[1], "at most", gap)
    return None


@dataclass(frozen=True)
class CurveEffect:
    """A logarithm of a ratio over seeds, whether it is a bound, and the gaps that bound it."""

    estimate: Estimate
    by_seed: Sequence[float]
    bound: Bound = ""
    gaps: Sequence[Estimate] = ()


def over_scales(scales: Sequence[SpeedUp]) -> CurveEffect | None:
    """Combine scales with equal weight; None if one is bounded from below and one from above."""
    bounds = {scale.bound for scale in scales} - {""}
    if len(bounds) > 1:
        return None
    first, second = (
        np.mean([getattr(scale, side) for scale in scales], axis=0) for side in ("first", "second")
    )
    return CurveEffect(
        mean_difference(second.tolist(), first.tolist()),
        (second - first).tolist(),
        bounds.pop() if bounds else "",
        [scale.gap for scale in scales if scale.gap is not None],
    )


def steadiness(steady: Curve, restless: Curve, resamples: int = 999) -> Estimate | None:
    """Logarithm of the ratio of the mean absolute changes of ``restless`` to those of ``steady``.

    Changes are between successive validations that both have. The variance is that of a bootstrap
    over them, of both curves together.

    Returns:
        None below eight changes, or if one of the curves never changes.
    """
    common = np.intersect1d(steady.updates, restless.updates)
    first, second = (
        np.abs(np.diff(c.psnr[np.isin(c.updates, common)])) for c in (steady, restless)
    )
    n = len(first)
    if n < 8 or first.mean() == 0 or second.mean() == 0:
        return None
    shares = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=resamples)
    sums = shares @ second, shares @ first
    drawn = np.log(sums[0] / sums[1])[(sums[0] > 0) & (sums[1] > 0)]
    return Estimate(math.log(second.mean() / first.mean()), float(drawn.var()), n - 1)


def mean_steadiness(by_seed: Mapping[int, Sequence[Estimate]]) -> CurveEffect:
    """Combine seeds; a single one keeps the interval over its validations."""
    values = [float(np.mean([e.value for e in estimates])) for estimates in by_seed.values()]
    if len(values) > 1:
        return CurveEffect(mean_difference(values, [0.0] * len(values)), values)
    (estimates,) = by_seed.values()
    variance = sum(e.variance or 0.0 for e in estimates) / len(estimates) ** 2
    degrees = min(e.degrees for e in estimates)
    return CurveEffect(Estimate(values[0], variance, degrees), values)
