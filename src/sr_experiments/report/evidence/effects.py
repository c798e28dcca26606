"""Effect sizes of claims, measured on our runs, with the outcome that follows."""

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

#: Allowed ratio of the speeds of two trainings of one recipe, which a single seed cannot estimate.
#: With a standard deviation of 10 % per training, two of equal speed would be judged different in
#: a fifth of the cases without this allowance, and in 1 % with it.
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
    """The effect that a claim is about, measured on our runs.

    Attributes:
        outcome: what follows from the effect and its interval.
        unit: dB, %, SSIM, ``x`` (times as fast, times as steady) or ``share`` (of images).
        effect: ours, in ``unit``; None if it cannot be measured. A positive effect (above 1 for
            ``x``) favours the claim's ``column``.
        interval: 95 % interval of the effect; None if there are too few images or seeds.
        n_images: number of images over all data sets and scales.
        seeds: those of both columns.
        seed_spread: sample standard deviation of the effect over seeds; None below two.
        win_rate: share of images on which the column is above the other.
        where: scales and data sets of our runs, as text.
        parts: the effect on every data set.
        notes: limitations.
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
    """Measure a difference of mean scores, its absence, or that a column is not better.

    All data sets and scales are weighted equally. Percentages refer to the mean score on the same
    data set.
    """
    strata = pairs.strata
    if not strata:
        return MeasuredEffect("undecided", claim.unit, notes=pairs.notes)
    units = [100 / _base(claim, stratum) if claim.unit == "%" else 1.0 for stratum in strata]
    scaled = [s.differences * unit for s, unit in zip(strata, units, strict=True)]
    total = paired_bootstrap(scaled)
    parts = [
        DatasetEffect(s.scale, s.dataset, part.value, part.interval, len(differences))
        for s, differences in zip(strata, scaled, strict=True)
        if (part := paired_bootstrap([differences]))
    ]
    intervals = [total.interval]
    if isinstance(claim, Difference) and claim.each:
        intervals = [part.interval for part in parts]
    seeds = pairs.seeds
    by_seed = [
        statistics.fmean(s.by_seed[seed] * unit for s, unit in zip(strata, units, strict=True))
        for seed in seeds
    ]
    notes = [*pairs.notes, *_seed_notes(by_seed)]
    if total.interval is None:
        notes.append("too few images for an interval")
    return MeasuredEffect(
        outcome=_combined([_decide(claim, interval) for interval in intervals]),
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
    """Measure the share of images, over all data sets, on which a column is above the other."""
    if not pairs.strata:
        return MeasuredEffect("undecided", "share", notes=pairs.notes)
    n_images = sum(len(stratum.differences) for stratum in pairs.strata)
    wins = _wins(pairs.strata)
    low, high = share_interval(wins, n_images)
    outcome: Outcome = "undecided"
    if low >= claim.threshold:
        outcome = "holds"
    elif high < claim.threshold:
        outcome = "does not hold"
    return MeasuredEffect(
        outcome=outcome,
        unit="share",
        effect=wins / n_images,
        interval=(low, high),
        n_images=n_images,
        seeds=pairs.seeds,
        win_rate=wins / n_images,
        where=_where(pairs.strata),
        notes=pairs.notes,
    )


def effect_on_curves(
    claim: CurveClaim, column: ComparedColumn, over: ComparedColumn
) -> MeasuredEffect:
    """Measure how many times as fast, or as steady, one column trains as another.

    With several seeds the interval is Student's, over the logarithms of their ratios. With one
    seed it is the range over PSNR levels, widened by :data:`ONE_SEED`, or for stability a
    bootstrap interval over epochs.
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
            seed_ratios = _ratios(claim, first[seed], second[seed])
            if seed_ratios is None:
                notes.append(f"x{scale} seed {seed}: the curves have too little in common")
                continue
            ratios.setdefault(seed, []).extend(seed_ratios)
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
        outcome=_decide_curves(claim, interval),
        unit="x",
        effect=math.exp(logarithm),
        interval=interval,
        seeds=sorted(ratios),
        seed_spread=statistics.stdev(map(math.exp, by_seed)) if len(by_seed) > 1 else None,
        where=", ".join(f"x{s}" for s in sorted(set(scales))) + f" validation by {claim.protocol}",
        notes=notes,
    )


def _base(claim: EffectClaim, stratum: Stratum) -> float:
    """The mean score that counts as 100 %."""
    own = claim.percent_of == "column"
    return stratum.base + float(stratum.differences.mean()) if own else stratum.base


def _decide(claim: EffectClaim, interval: Interval | None) -> Outcome:
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


def _combined(outcomes: Sequence[Outcome]) -> Outcome:
    """Outcome of a claim about each data set: a single reversal refutes it."""
    if "does not hold" in outcomes:
        return "does not hold"
    return "holds" if set(outcomes) == {"holds"} else "undecided"


def _decide_curves(claim: CurveClaim, interval: Interval) -> Outcome:
    low, high = interval
    bound = 1 + claim.margin
    above, below = low > bound, high < bound
    if isinstance(claim, Convergence) and claim.expect == "not_faster":
        above, below = below, above
    return "holds" if above else "does not hold" if below else "undecided"


def _curves(claim: CurveClaim, column: ComparedColumn, scale: int) -> dict[int, Curve]:
    return {
        seed: curve
        for seed, run in column.by_seed(scale).items()
        if (curve := read_curve(run, claim.protocol, column.weights)) is not None
    }


def _ratios(claim: CurveClaim, first: Curve, second: Curve) -> list[float] | None:
    if isinstance(claim, Convergence):
        fast, slow = ((c.updates.astype(np.float64), c.psnr) for c in (first, second))
        ratios = speed_ups(fast, slow)
    else:
        common = np.intersect1d(first.updates, second.updates)
        steady, restless = (np.diff(c.psnr[np.isin(c.updates, common)]) for c in (first, second))
        ratios = steadiness(steady, restless)
    return None if ratios is None else ratios.tolist()


def _wins(strata: Sequence[Stratum]) -> int:
    return sum(int((stratum.differences > 0).sum()) for stratum in strata)


def _where(strata: Sequence[Stratum]) -> str:
    scales: dict[int, list[str]] = {}
    for stratum in strata:
        scales.setdefault(stratum.scale, []).append(stratum.dataset)
    return "; ".join(f"x{scale} {', '.join(names)}" for scale, names in scales.items())


def _seed_notes(effects: Sequence[float]) -> list[str]:
    if len(effects) < 2:
        return ["one seed: the noise between seeds is not in the interval"]
    if min(effects) < 0 < max(effects):
        return ["the seeds disagree in direction"]
    return []
