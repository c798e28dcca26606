"""The effect that a claim is about, measured on our runs, and what follows from it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sr_experiments.report.evidence.curves import Curve, read_curve
from sr_experiments.report.evidence.intervals import (
    Interval,
    mean_interval,
    paired_bootstrap,
    share_interval,
    speed_ups,
    steadiness,
)
from sr_experiments.report.evidence.pairs import ComparedColumn, PairedScores, Stratum
from sr_experiments.report.paper.claims import (
    Convergence,
    CurveClaim,
    Difference,
    EffectClaim,
    NoDifference,
    NotBetter,
    Share,
)

#: How far two trainings of one recipe may lie apart in speed: no seed tells it alone. Were it 10 %
#: (standard deviation) a training, one pair of equal speed would pass for faster in a fifth of the
#: cases without this allowance, and in 1 % with it.
ONE_SEED = 1.25

Outcome = Literal["holds", "does not hold", "undecided", "no runs"]


@dataclass(frozen=True)
class DatasetEffect:
    """The effect on one data set at one scale."""

    scale: int
    dataset: str
    effect: float
    interval: Interval | None
    n_images: int


@dataclass(frozen=True)
class MeasuredEffect:
    """An effect and what follows from it.

    Attributes:
        outcome: what follows from the effect and its interval.
        unit: dB, %, SSIM, ``x`` (times as fast, times as steady) or ``share`` (of images).
        effect: ours, in ``unit``; None where it cannot be had. Positive (above 1 for ``x``) speaks
            for the claim's ``column``.
        interval: 95 % interval of the effect; None where there is too little to have one.
        n_images: over all data sets and scales.
        seeds: that both columns have.
        seed_spread: sample standard deviation of the effect over the seeds; None below two.
        win_rate: share of images on which the column is above the other.
        where: the scales and data sets of ours, in words.
        parts: the effect on every data set.
        notes: what else has to be known.
    """

    outcome: Outcome
    unit: str = ""
    effect: float | None = None
    interval: Interval | None = None
    n_images: int = 0
    seeds: Sequence[int] = ()
    seed_spread: float | None = None
    win_rate: float | None = None
    where: str = ""
    parts: Sequence[DatasetEffect] = ()
    notes: Sequence[str] = ()


def effect_of_scores(claim: EffectClaim, pairs: PairedScores) -> MeasuredEffect:
    """A difference, its absence, or that a column is not better: by the mean over data sets.

    Every data set at every scale has equal weight. A percentage is of the mean score on the same
    data set.
    """
    strata = pairs.strata
    if not strata:
        return MeasuredEffect("undecided", claim.unit, notes=pairs.notes)
    factors = [100 / _base(claim, stratum) if claim.unit == "%" else 1.0 for stratum in strata]
    scaled = [s.differences * factor for s, factor in zip(strata, factors, strict=True)]
    total = paired_bootstrap(scaled)
    parts = [
        DatasetEffect(s.scale, s.dataset, part.value, part.interval, len(differences))
        for s, differences in zip(strata, scaled, strict=True)
        if (part := paired_bootstrap([differences]))
    ]
    intervals = [total.interval]
    if isinstance(claim, Difference) and claim.each:
        intervals = [part.interval for part in parts]
    outcomes = [_decided(claim, interval) for interval in intervals]
    seeds = pairs.seeds
    by_seed = [
        statistics.fmean(s.by_seed[seed] * f for s, f in zip(strata, factors, strict=True))
        for seed in seeds
    ]
    notes = [*pairs.notes, *_on_seeds(by_seed)]
    if total.interval is None:
        notes.append("too few images for an interval")
    return MeasuredEffect(
        outcome=_joined(outcomes),
        unit=claim.unit,
        effect=total.value,
        interval=total.interval,
        n_images=sum(part.n_images for part in parts),
        seeds=seeds,
        seed_spread=statistics.stdev(by_seed) if len(by_seed) > 1 else None,
        win_rate=_wins(strata) / sum(part.n_images for part in parts),
        where=_where(strata),
        parts=parts,
        notes=notes,
    )


def share_of_images(claim: Share, pairs: PairedScores) -> MeasuredEffect:
    """The share of images, all data sets together, on which a column is above the other."""
    if not pairs.strata:
        return MeasuredEffect("undecided", "share", notes=pairs.notes)
    of = sum(len(stratum.differences) for stratum in pairs.strata)
    wins = _wins(pairs.strata)
    low, high = share_interval(wins, of)
    outcome: Outcome = "undecided"
    if low >= claim.threshold:
        outcome = "holds"
    elif high < claim.threshold:
        outcome = "does not hold"
    return MeasuredEffect(
        outcome=outcome,
        unit="share",
        effect=wins / of,
        interval=(low, high),
        n_images=of,
        seeds=pairs.seeds,
        win_rate=wins / of,
        where=_where(pairs.strata),
        notes=pairs.notes,
    )


def effect_on_curves(
    claim: CurveClaim, column: ComparedColumn, over: ComparedColumn
) -> MeasuredEffect:
    """How many times as fast, or as steady, a column trains as another.

    With several seeds the interval is Student's, over the logarithms of their ratios. One seed
    gives its range over the PSNR levels that are asked for, widened by :data:`ONE_SEED`, or a
    bootstrap of its epochs.
    """
    ratios: dict[int, list[float]] = {}
    notes: list[str] = []
    scales: list[int] = []
    for scale in claim.scales:
        first, second = _curves(claim, column, scale), _curves(claim, over, scale)
        common = sorted(set(first) & set(second))
        if not common:
            notes.append(f"x{scale}: no validation curves of the same seed by {claim.protocol}")
        for seed in common:
            found = _ratios(claim, first[seed], second[seed])
            if found is None:
                notes.append(f"x{scale} seed {seed}: the curves have too little in common")
                continue
            ratios.setdefault(seed, []).extend(found)
            scales.append(scale)
    if not ratios:
        return MeasuredEffect("undecided", "x", notes=notes)
    by_seed = [statistics.fmean(map(math.log, values)) for values in ratios.values()]
    logarithm = statistics.fmean(by_seed)
    over_seeds = mean_interval(by_seed)
    if over_seeds is not None:
        interval = (math.exp(over_seeds[0]), math.exp(over_seeds[1]))
    else:
        (values,) = ratios.values()
        allowance = ONE_SEED if isinstance(claim, Convergence) else 1.0
        interval = min(values) / allowance, max(values) * allowance
        notes.append("one seed: the noise between seeds is not known")
    return MeasuredEffect(
        outcome=_faster(claim, interval),
        unit="x",
        effect=math.exp(logarithm),
        interval=interval,
        seeds=sorted(ratios),
        seed_spread=statistics.stdev(map(math.exp, by_seed)) if len(by_seed) > 1 else None,
        where=", ".join(f"x{s}" for s in sorted(set(scales))) + f" validation by {claim.protocol}",
        notes=notes,
    )


def _base(claim: EffectClaim, stratum: Stratum) -> float:
    """The mean score that is 100 %."""
    own = claim.percent_of == "column"
    return stratum.base + float(stratum.differences.mean()) if own else stratum.base


def _decided(claim: EffectClaim, interval: Interval | None) -> Outcome:
    if interval is None:
        return "undecided"
    low, high = interval
    match claim:
        case Difference():
            return "holds" if low > 0 else "does not hold" if high < 0 else "undecided"
        case NoDifference(margin=margin):
            if -margin < low and high < margin:
                return "holds"
            return "does not hold" if low > margin or high < -margin else "undecided"
        case NotBetter(margin=margin):
            return "holds" if high <= margin else "does not hold" if low > margin else "undecided"


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """Of a claim on every single data set: one reversal is enough against it."""
    if "does not hold" in outcomes:
        return "does not hold"
    return "holds" if set(outcomes) == {"holds"} else "undecided"


def _faster(claim: CurveClaim, interval: Interval) -> Outcome:
    low, high = interval
    bound = 1 + claim.margin
    gains, gains_not = low > bound, high < bound
    if isinstance(claim, Convergence) and claim.expect == "not_faster":
        gains, gains_not = gains_not, gains
    return "holds" if gains else "does not hold" if gains_not else "undecided"


def _curves(claim: CurveClaim, side: ComparedColumn, scale: int) -> dict[int, Curve]:
    found = {
        seed: read_curve(run, claim.protocol, side.weights)
        for seed, run in side.by_seed(scale).items()
    }
    return {seed: curve for seed, curve in found.items() if curve is not None}


def _ratios(claim: CurveClaim, first: Curve, second: Curve) -> list[float] | None:
    if isinstance(claim, Convergence):
        pairs = [(c.updates.astype(np.float64), c.psnr) for c in (first, second)]
        found = speed_ups(pairs[0], pairs[1])
    else:
        both = np.intersect1d(first.updates, second.updates)
        steps = [np.diff(c.psnr[np.isin(c.updates, both)]) for c in (first, second)]
        found = steadiness(steps[0], steps[1])
    return None if found is None else found.tolist()


def _wins(strata: Sequence[Stratum]) -> int:
    return sum(int((stratum.differences > 0).sum()) for stratum in strata)


def _where(strata: Sequence[Stratum]) -> str:
    scales: dict[int, list[str]] = {}
    for stratum in strata:
        scales.setdefault(stratum.scale, []).append(stratum.dataset)
    return "; ".join(f"x{scale} {', '.join(names)}" for scale, names in scales.items())


def _on_seeds(effects: Sequence[float]) -> list[str]:
    if len(effects) < 2:
        return ["one seed: the noise between seeds is not in the interval"]
    if min(effects) < 0 < max(effects):
        return ["the seeds disagree in direction"]
    return []
