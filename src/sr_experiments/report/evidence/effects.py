"""Effect sizes of claims, measured on our runs, with what follows from each by itself."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from sr_experiments.report.evidence.convergence import (
    Bound,
    CurveEffect,
    mean_steadiness,
    over_scales,
    speed_up,
    steadiness,
)
from sr_experiments.report.evidence.curves import Curve, read_curve
from sr_experiments.report.evidence.intervals import (
    LEVEL,
    Estimate,
    Interval,
    SeedNoise,
    Unit,
    crossed,
    holm,
    images_for,
    pooled,
    share,
)
from sr_experiments.report.evidence.pairs import (
    ComparedColumn,
    PairedScores,
    Stratum,
    means_by_seed,
    photographs,
    same_training,
)
from sr_experiments.report.paper.claims import (
    Convergence,
    CurveClaim,
    Difference,
    EffectClaim,
    NoDifference,
    NotBetter,
    PublishedEffect,
    Share,
)
from sr_experiments.report.paper.definition import PaperTable

Outcome = Literal["holds", "does not hold", "undecided", "no runs"]
#: The size of an effect beside the one in print; empty where none is printed.
Size = Literal["", "as printed", "smaller", "larger", "reversed", "undecided"]

ONE_SEED = "one seed"
OF_THIS_TRAINING = "of this training"


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
        outcome: of the direction, or bound, of the effect.
        unit: dB, %, SSIM, ``x`` (times as fast, times as steady), ``share`` (of images) or
            ``trainings`` (share of those that diverge).
        effect: ours, in ``unit``; None if it cannot be measured. A positive effect (above 1 for
            ``x``) favours the claim's ``column``.
        interval: 95 % interval of the effect; None if there are too few images or seeds.
        p: two-sided p-value of the outcome that the effect leans to; None if nothing was tested.
        adjusted: the same after Holm's correction over the claims of the paper.
        leaning: the outcome if ``p`` is small enough.
        reason: why the claim is undecided whatever ``p`` is; empty if it is not.
        scope: what an outcome is limited to.
        size: the second verdict, on the published size.
        detectable: the effect that these data would find with a chance of 80 %, in ``unit``.
        bound: whether the effect is known from one side only.
        n_images: number of photographs over all data sets; at several scales each counts once.
        seeds: those of both columns.
        seed_spread: sample standard deviation of the effect over seeds; None below two.
        win_rate: share of photographs on which the column is above the other.
        where: scales and data sets of our runs, as text.
        parts: the effect on every data set.
        notes: limitations.
    """

    outcome: Outcome
    unit: str = ""
    effect: float | None = None
    interval: Interval | None = None
    p: float | None = None
    adjusted: float | None = None
    leaning: Outcome = "undecided"
    reason: str = ""
    scope: str = ""
    size: Size = ""
    detectable: float | None = None
    bound: Bound = ""
    n_images: int = 0
    seeds: Sequence[int] = ()
    seed_spread: float | None = None
    win_rate: float | None = None
    where: str = ""
    parts: Sequence[DatasetEffect] = ()
    notes: Sequence[str] = ()

    def decided(self, p: float | None) -> Self:
        """The effect with the outcome that follows from a p-value."""
        sure = not self.reason and p is not None and p <= 1 - LEVEL
        return replace(self, outcome=self.leaning if sure else "undecided")


@dataclass(frozen=True)
class ColumnPair:
    """Two columns of a table, and the other columns that tell how much seeds matter."""

    table: PaperTable
    column: ComparedColumn
    over: ComparedColumn
    others: Sequence[ComparedColumn] = ()

    @property
    def one_training(self) -> bool:
        """Whether both columns are weights of the same runs."""
        return same_training(self.column, self.over)

    def noise(
        self, claim: EffectClaim, strata: Sequence[Stratum], factors: Sequence[float]
    ) -> SeedNoise | None:
        """The noise of seeds, pooled from the other columns, in the unit of the claim."""
        return pooled(
            [means_by_seed(self.table, c, strata, factors, claim.metric) for c in self.others]
        )


def effect_of_scores(
    claim: EffectClaim, pairs: PairedScores, comparison: ColumnPair
) -> MeasuredEffect:
    """Measure a difference of mean scores, its absence, or that a column is not better.

    All data sets are weighted equally, and in each its scales. Percentages refer to the mean score
    on the same data set.
    """
    strata = pairs.strata
    if not strata:
        return MeasuredEffect("undecided", claim.unit, notes=pairs.notes)
    factors = [100 / _base(claim, s) if claim.unit == "%" else 1.0 for s in strata]
    scaled = [(f * s.first, f * s.second) for s, f in zip(strata, factors, strict=True)]
    units = photographs(strata, scaled)
    notes = list(pairs.notes)
    one_seed = len(pairs.seeds) == 1
    noise = None
    if one_seed and not comparison.one_training:
        noise = comparison.noise(claim, strata, factors)
        if noise is not None:
            notes.append(
                f"one seed: its noise is taken to be that of other columns ({noise.degrees} "
                f"degrees of freedom, standard deviation {math.sqrt(noise.variance):.3f} "
                f"{claim.unit})"
            )
    trained = 1 if comparison.over.seedless else 2

    def estimated(of: Sequence[Unit], shared: SeedNoise | None = None) -> Estimate:
        return crossed(of, noise=shared, trained=trained)

    total = estimated(units, noise)
    margin = 0.0
    if isinstance(claim, NotBetter):
        margin = claim.tolerance * statistics.fmean(factors)
    leaning, p = _leaning(claim, total, margin)
    if isinstance(claim, Difference) and claim.each:
        leaning, p = _on_each([estimated([unit], noise) for unit in units])
    reason, scope = "", ""
    if total.variance is None:
        reason = "too few images"
    elif one_seed and comparison.one_training:
        scope = OF_THIS_TRAINING
    elif one_seed and noise is None:
        reason = ONE_SEED
        notes.append("the interval is over images only")
    by_seed = np.mean([(a - b).mean(axis=1) for a, b in units], axis=0).tolist()
    if min(by_seed) < 0 < max(by_seed):
        notes.append("the seeds disagree in direction")
    averaged = [(a - b).mean(axis=0) for a, b in units]
    n_images = sum(len(d) for d in averaged)
    return MeasuredEffect(
        outcome="undecided",
        unit=claim.unit,
        effect=total.value,
        interval=total.interval,
        p=None if reason else p,
        leaning=leaning,
        reason=reason,
        scope=scope,
        size=_size(claim.published, None if reason else total.interval),
        detectable=None if reason else total.detectable,
        n_images=n_images,
        seeds=pairs.seeds,
        seed_spread=statistics.stdev(by_seed) if len(by_seed) > 1 else None,
        win_rate=sum(int((d > 0).sum()) for d in averaged) / n_images,
        where=_where(strata),
        parts=[
            DatasetEffect(s.scale, s.dataset, part.value, part.interval, len(s.images))
            for s, unit in zip(strata, scaled, strict=True)
            if (part := estimated([unit]))
        ],
        notes=notes,
    ).decided(p)


def share_of_images(claim: Share, pairs: PairedScores, comparison: ColumnPair) -> MeasuredEffect:
    """Measure the share of photographs, over all data sets, on which a column is above the other.

    A photograph counts once, with the share of its scales; a run of each seed decides on it.
    """
    if not pairs.strata:
        return MeasuredEffect("undecided", "share", notes=pairs.notes)
    won = [(s.differences > 0).astype(np.float64) for s in pairs.strata]
    units = photographs(pairs.strata, [(wins, np.zeros_like(wins)) for wins in won])
    wins = np.concatenate([first for first, _ in units], axis=1)
    found = share(wins)
    one_seed = len(pairs.seeds) == 1 and not comparison.one_training
    notes = list(pairs.notes)
    if (enough := images_for(claim.threshold)) > wins.shape[1]:
        least = f"{100 * claim.threshold:.0f} %"
        notes.append(f"a share of {least} takes {enough} images, even if all are better")
    return MeasuredEffect(
        outcome="undecided",
        unit="share",
        effect=found.value,
        interval=found.interval,
        p=None if one_seed else found.p_value(claim.threshold),
        leaning="holds" if found.value >= claim.threshold else "does not hold",
        reason=ONE_SEED if one_seed else "",
        n_images=wins.shape[1],
        seeds=pairs.seeds,
        win_rate=found.value,
        where=_where(pairs.strata),
        notes=notes,
    ).decided(found.p_value(claim.threshold))


def effect_on_curves(claim: CurveClaim, comparison: ColumnPair) -> MeasuredEffect:
    """Measure how many times as fast, or as steady, one column trains as another.

    Intervals are Student's, over seeds and of the logarithms of their ratios. A single seed has
    none, except for the steadiness of two kinds of weights of one training.
    """
    column, over = comparison.column, comparison.over
    notes: list[str] = []
    curves: dict[int, tuple[dict[int, Curve], dict[int, Curve]]] = {}
    for scale in claim.scales:
        sides = _curves(claim, column, scale), _curves(claim, over, scale)
        if set(sides[0]) & set(sides[1]):
            curves[scale] = sides
        else:
            notes.append(f"x{scale}: no validation curves of the same seed by {claim.protocol}")
    found: CurveEffect | None = None
    seeds = sorted(
        set.intersection(*(set(s) for sides in curves.values() for s in sides)) if curves else ()
    )
    if seeds:
        paired = {
            scale: ([first[seed] for seed in seeds], [second[seed] for seed in seeds])
            for scale, (first, second) in curves.items()
        }
        measure = _speed if isinstance(claim, Convergence) else _steadiness
        found = measure(paired, seeds, comparison, notes)
    if found is None:
        return MeasuredEffect("undecided", "x", notes=notes)
    estimate, null = found.estimate, math.log(1 + claim.margin)
    above = estimate.value > null
    leaning: Outcome = "holds" if above else "does not hold"
    if isinstance(claim, Convergence) and claim.expect == "not_faster":
        leaning = "does not hold" if above else "holds"
    p_values = [p for e in found.gaps if (p := e.p_value()) is not None]
    if estimate.variance or not found.gaps:  # bounds that agree have no spread of their own
        p_values += [p for p in [estimate.p_value(null)] if p is not None]
    p = max(p_values, default=None)
    if found.bound and (found.bound == "at least") != above:
        p = 1.0  # the bound leaves both outcomes open
    scope = OF_THIS_TRAINING if len(seeds) == 1 and comparison.one_training else ""
    reason = ONE_SEED if len(seeds) == 1 and not (scope and estimate.interval) else ""
    return MeasuredEffect(
        outcome="undecided",
        unit="x",
        effect=math.exp(estimate.value),
        interval=_ratio_interval(found),
        p=None if reason else p,
        leaning=leaning,
        reason=reason,
        scope=scope,
        detectable=(
            None
            if reason or found.bound or not estimate.detectable
            else math.exp(estimate.detectable)
        ),
        bound=found.bound,
        seeds=seeds,
        seed_spread=(
            statistics.stdev(map(math.exp, found.by_seed)) if len(found.by_seed) > 1 else None
        ),
        where=", ".join(f"x{s}" for s in sorted(curves)) + f" validation by {claim.protocol}",
        notes=notes,
    ).decided(p)


def _base(claim: EffectClaim, stratum: Stratum) -> float:
    """The mean score that counts as 100 %."""
    return float((stratum.first if claim.percent_of == "column" else stratum.second).mean())


def _leaning(claim: EffectClaim, estimate: Estimate, margin: float) -> tuple[Outcome, float | None]:
    """What an estimate leans to, and the p-value of just that."""
    value = estimate.value
    match claim:
        case Difference():
            return "holds" if value > 0 else "does not hold", estimate.p_value()
        case NotBetter():
            return "holds" if value < margin else "does not hold", estimate.p_value(margin)
        case NoDifference(margin=within):
            # Within, both ends have to be excluded; without, the nearer one.
            ends = [estimate.p_value(-within), estimate.p_value(within)]
            p = max((end for end in ends if end is not None), default=None)
            return "holds" if abs(value) < within else "does not hold", p


def _on_each(estimates: Sequence[Estimate]) -> tuple[Outcome, float | None]:
    """Of a claim about each data set: all have to bear it out, a single reversal refutes it.

    That all do is as sure as the least sure of them; that one does not is one of several chances,
    so its p-value is Holm's.
    """
    p_values = [estimate.p_value() for estimate in estimates]
    known = [p for p in p_values if p is not None]
    if len(known) < len(p_values):
        return "undecided", None
    if all(estimate.value > 0 for estimate in estimates):
        return "holds", max(known)
    adjusted = holm(known)
    reversed_ = [p for p, e in zip(adjusted, estimates, strict=True) if e.value <= 0]
    return "does not hold", min(reversed_)


def _size(published: PublishedEffect | None, interval: Interval | None) -> Size:
    """Whether the whole interval is about as large as what is printed, or wholly is not."""
    if published is None or published.value == 0:
        return ""
    if interval is None:
        return "undecided"
    sign = math.copysign(1, published.value)
    low, high = sorted(sign * end for end in interval)
    smallest, largest = (
        abs(published.value) / published.factor,
        abs(published.value) * published.factor,
    )
    if high < 0:
        return "reversed"
    if high < smallest:
        return "smaller"
    if low > largest:
        return "larger"
    return "as printed" if smallest <= low and high <= largest else "undecided"


def _speed(
    curves: dict[int, tuple[list[Curve], list[Curve]]],
    seeds: Sequence[int],
    comparison: ColumnPair,
    notes: list[str],
) -> CurveEffect | None:
    scales = []
    for scale, (first, second) in curves.items():
        found = speed_up(first, second)
        if found is None:
            notes.append(f"x{scale}: the curves have too little in common")
            continue
        scales.append(found)
        if found.bound:
            behind = comparison.over if found.bound == "at least" else comparison.column
            notes.append(f"x{scale}: {behind.label} never reaches the other's first validation")
    if not scales:
        return None
    combined = over_scales(scales)
    if combined is None:
        notes.append("the scales disagree")
    return combined


def _steadiness(
    curves: dict[int, tuple[list[Curve], list[Curve]]],
    seeds: Sequence[int],
    comparison: ColumnPair,
    notes: list[str],
) -> CurveEffect | None:
    by_seed: dict[int, list[Estimate]] = {}
    for scale, (first, second) in curves.items():
        for seed, one, two in zip(seeds, first, second, strict=True):
            found = steadiness(one, two)
            if found is None:
                notes.append(f"x{scale} seed {seed}: the curves have too little in common")
            else:
                by_seed.setdefault(seed, []).append(found)
    return mean_steadiness(by_seed) if by_seed else None


def _ratio_interval(found: CurveEffect) -> Interval | None:
    """The interval of a ratio; a bound has one end only, and needs no spread for it."""
    interval = found.estimate.interval
    if found.bound and interval is None:
        interval = found.estimate.value, found.estimate.value
    if interval is None:
        return None
    low, high = (math.exp(end) for end in interval)
    return (
        0.0 if found.bound == "at most" else low,
        math.inf if found.bound == "at least" else high,
    )


def _curves(claim: CurveClaim, column: ComparedColumn, scale: int) -> dict[int, Curve]:
    return {
        seed: curve
        for seed, run in column.by_seed(scale).items()
        if (curve := read_curve(run, claim.protocol, column.weights)) is not None
    }


def _where(strata: Sequence[Stratum]) -> str:
    scales: dict[int, list[str]] = {}
    for stratum in strata:
        scales.setdefault(stratum.scale, []).append(stratum.dataset)
    return "; ".join(f"x{scale} {', '.join(names)}" for scale, names in scales.items())
