"""Means with intervals that know of images and of seeds, shares, and Holm's correction.

Two columns are compared on the same images and over the same seeds. A difference varies with the
image, with the seed, and with their combination; images and seeds are crossed. Seeds are paired, as
runs of one seed begin alike and see the same patches in the same order: at x4 the activations' runs
of a seed correlate by 0.96 and more. Where they do not, pairing costs some power and no coverage.
A bootstrap over images alone called two equal recipes different in three of four cases.
``benchmarks/verdicts.py`` measures coverage, false verdicts and power of what stands here.
All intervals are 95 % intervals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtridf, stdtrit

Values = NDArray[np.float64]
Interval = tuple[float, float]
#: Scores of the two columns on the images of one data set, each ``(seeds, images)``.
Unit = tuple[Values, Values]

LEVEL = 0.95
#: Chance of finding a difference of the size that :attr:`Estimate.detectable` names.
POWER = 0.8
#: Of a pooled variance between seeds; with fewer it is too uncertain to decide for one seed.
MIN_DEGREES = 8
_TAIL = (1 + LEVEL) / 2
#: So many degrees of freedom are as good as infinitely many.
_MANY = 1e6


@dataclass(frozen=True)
class Estimate:
    """A mean, the variance of that mean (None: too few values for one), and Student's degrees."""

    value: float
    variance: float | None = None
    degrees: float = _MANY

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval."""
        if self.variance is None:
            return None
        half = float(stdtrit(self.degrees, _TAIL)) * math.sqrt(self.variance)
        return self.value - half, self.value + half

    def p_value(self, null: float = 0.0) -> float | None:
        """Two-sided p of the mean being ``null``."""
        if self.variance is None:
            return None
        distance = abs(self.value - null)
        if self.variance == 0:
            return 1.0 if distance == 0 else 0.0
        return float(2 * stdtr(self.degrees, -distance / math.sqrt(self.variance)))

    @property
    def detectable(self) -> float | None:
        """The difference that such data find with a chance of :data:`POWER`, without Holm."""
        if self.variance is None:
            return None
        quantiles = stdtrit(self.degrees, _TAIL) + stdtrit(self.degrees, POWER)
        return float(quantiles) * math.sqrt(self.variance)


@dataclass(frozen=True)
class SeedNoise:
    """Variance between the trainings of one recipe, pooled over columns, and its degrees."""

    variance: float
    degrees: int


def pooled(columns: Sequence[Sequence[float]]) -> SeedNoise | None:
    """Pool the variance between seeds of several columns; None below :data:`MIN_DEGREES`.

    Args:
        columns: for each, the mean score of every seed.
    """
    degrees = sum(len(values) - 1 for values in columns if values)
    if degrees < MIN_DEGREES:
        return None
    squares = sum(float(np.var(values)) * len(values) for values in columns if values)
    return SeedNoise(squares / degrees, degrees)


def crossed(
    units: Sequence[Unit],
    *,
    noise: SeedNoise | None = None,
    trained: int = 2,
) -> Estimate:
    """Estimate the mean difference of two columns over data sets, images and seeds.

    With ``d`` the differences, ``A`` their mean for each seed, ``K`` data sets of ``n`` images and
    ``S`` seeds: ``V = max(Vs + Vi - Ve, Vs, Vi)``; ``Vs = var(A) / S`` with ``S - 1`` degrees,
    ``Vi`` the sum of ``var_i(mean_s d) / n`` and ``Ve`` that of the mean squares of the two-way
    residuals over ``S n``, both over ``K^2``: it is in ``Vs`` and in ``Vi``.
    The quantile is the mean of Student's for seeds and images, weighted by ``Vs`` and ``Vi``
    (Cochran and Cox 1957, section 4.14), the degrees of a sum of variances are Satterthwaite's.

    Args:
        units: the data sets, all of the same seeds; data sets weigh equally.
        noise: of seeds, for columns of a single one; without it the interval of a single seed is
            over images alone.
        trained: how many of the two columns vary with the seed; bicubic does not.

    Returns:
        The estimate; without a variance if a data set has one image, or all together less than 4.

    Raises:
        ValueError: no data set, or an empty one.
    """
    if not units or any(first.size == 0 for first, _ in units):
        raise ValueError("a difference needs scores in every data set")
    differences = [first - second for first, second in units]
    value = float(np.mean([d.mean() for d in differences]))
    counts = [d.shape[1] for d in differences]
    if min(counts) < 2 or sum(counts) < 4:
        return Estimate(value)
    sets, seeds = len(units), differences[0].shape[0]
    images, image_degrees = _summed(
        [
            (float(d.mean(axis=0).var(ddof=1)) / (n * sets**2), n - 1)
            for d, n in zip(differences, counts, strict=True)
        ]
    )
    if seeds > 1:
        by_seed = np.mean([d.mean(axis=1) for d in differences], axis=0)
        between, degrees = float(by_seed.var(ddof=1)) / seeds, float(seeds - 1)
        residual = _residual(differences)
    else:
        between, degrees, residual = 0.0, _MANY, 0.0
        if noise is not None:
            between, degrees = trained * noise.variance, float(noise.degrees)
    # Rounding of equal scores is no variance.
    tiny = (1e-12 * max(float(np.abs(side).max()) for unit in units for side in unit)) ** 2
    variance = max(between + images - residual, between, images)
    if variance <= tiny:
        return Estimate(value, 0.0)
    quantile = (between * stdtrit(degrees, _TAIL) + images * stdtrit(image_degrees, _TAIL)) / (
        between + images
    )
    return Estimate(value, variance, min(_MANY, float(stdtridf(_TAIL, quantile))))


def _residual(scores: Sequence[Values]) -> float:
    """The part of the variance of a mean over data sets that seeds and images share."""
    total = 0.0
    for values in scores:
        seeds, n = values.shape
        left = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
        total += float((left**2).sum()) / ((seeds - 1) * (n - 1) * seeds * n)
    return total / len(scores) ** 2


def _summed(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """A sum of variances and its degrees (Satterthwaite 1946)."""
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return 0.0, _MANY
    return total, total**2 / sum(variance**2 / degrees for variance, degrees in parts)


def mean_difference(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Estimate the difference of two means over the same seeds; no variance below two seeds.

    Args:
        first: a value for each seed.
        second: of the other column.
    """
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    value, seeds = float(differences.mean()), len(differences)
    if seeds < 2:
        return Estimate(value)
    return Estimate(value, float(differences.var(ddof=1)) / seeds, seeds - 1)


@dataclass(frozen=True)
class ShareEstimate:
    """A share of images, and how many images it is worth once seeds are allowed for."""

    value: float
    images: float

    @property
    def interval(self) -> Interval:
        """Wilson's score interval (Wilson 1927), which stays within [0, 1]."""
        z2 = float(ndtri(_TAIL)) ** 2
        middle = (self.value + z2 / (2 * self.images)) / (1 + z2 / self.images)
        inner = self.value * (1 - self.value) / self.images + z2 / (4 * self.images**2)
        half = math.sqrt(z2 * inner) / (1 + z2 / self.images)
        return max(0.0, middle - half), min(1.0, middle + half)

    def p_value(self, null: float) -> float:
        """Two-sided p of the share being ``null``: the test that the interval inverts."""
        spread = math.sqrt(null * (1 - null) / self.images)
        distance = abs(self.value - null)
        if spread == 0:
            return 1.0 if distance == 0 else 0.0
        return float(2 * stdtr(_MANY, -distance / spread))


def share(wins: Values) -> ShareEstimate:
    """Estimate a share of photographs.

    Args:
        wins: 1 where a run does better on a photograph, ``(seeds, photographs)``; a fraction where
            the photograph counts at several scales.

    Raises:
        ValueError: no photograph.
    """
    if wins.size == 0:
        raise ValueError("the share of no images is undefined")
    value, n = float(wins.mean()), wins.shape[1]
    binomial = value * (1 - value)
    seeds = crossed([(wins, np.zeros_like(wins))], trained=1)
    # Seeds that disagree make the images count less; that images agree does not make them more.
    if seeds.variance is None or seeds.variance * (n - 1) <= binomial * (1 + 1e-9) or binomial == 0:
        return ShareEstimate(value, n)
    narrower = (float(ndtri(_TAIL)) / float(stdtrit(seeds.degrees, _TAIL))) ** 2
    return ShareEstimate(value, binomial / seeds.variance * narrower)


def images_for(threshold: float) -> int:
    """The fewest photographs that can show a share above a threshold, below 1.

    Wilson's interval of ``n`` out of ``n`` ends at ``n / (n + z^2)``.
    """
    z = float(ndtri(_TAIL))
    return math.floor(z * z * threshold / (1 - threshold)) + 1


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given; at most 1."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, largest)
    return adjusted
