"""Effects of claims on trainings rather than scores: what they cost, and whether they diverge."""

import math
import re
import statistics
from collections.abc import Mapping
from typing import assert_never

from scipy.special import bdtr

from sr_experiments.report.evidence.cost import timing
from sr_experiments.report.evidence.effects import ONE_SEED, MeasuredEffect, Outcome
from sr_experiments.report.evidence.intervals import Interval, mean_difference
from sr_experiments.report.evidence.pairs import ComparedColumn
from sr_experiments.report.paper.claims import CostClaim, Divergence, Quantity
from sr_experiments.runs.records import Run

LABELS: Mapping[Quantity, str] = {
    "seconds_per_update": "seconds per update",
    "training_seconds": "seconds of training",
    "peak_memory": "peak memory",
    "multiply_adds": "multiply-adds",
    "parameters": "parameters",
}
#: Follow from the network alone; the others are measured, and have noise.
EXACT: tuple[Quantity, ...] = ("multiply_adds", "parameters")
#: Depend on the processor as well, which runs did not name at first.
TIMES: tuple[Quantity, ...] = ("seconds_per_update", "training_seconds")
UNNAMED = re.compile(r"cpu \(\d+ threads\)")


def effect_of_cost(
    claim: CostClaim, column: ComparedColumn, over: ComparedColumn
) -> MeasuredEffect:
    """Measure how many times as much a column costs, from what its runs recorded.

    Measured costs are compared between runs of one seed and one device, times only where its
    processor is named; their 95 % interval is
    Student's over the logarithms of the seeds' ratios, and one seed decides nothing.
    """
    notes: list[str] = []
    scales: list[int] = []
    ratios: dict[int, list[float]] = {}
    for scale in claim.scales:
        first, second = column.by_seed(scale), over.by_seed(scale)
        common = sorted(set(first) & set(second))
        if not common:
            notes.append(f"x{scale}: no runs of the same seed")
        for seed in common:
            ratio = _ratio(claim.quantity, first[seed], second[seed])
            if ratio is None:
                why = "not recorded by both, on two devices or on an unnamed processor"
                notes.append(f"x{scale} seed {seed}: {why}")
                continue
            ratios.setdefault(seed, []).append(ratio)
            scales.append(scale)
    if not ratios:
        return MeasuredEffect("undecided", "x", notes=notes)
    by_seed = [statistics.fmean(map(math.log, values)) for values in ratios.values()]
    estimate = mean_difference(by_seed, [0.0] * len(by_seed))
    exact = claim.quantity in EXACT
    leaning, null = _leaning(claim, estimate.value)
    p = None if exact else estimate.p_value(null)
    measured = MeasuredEffect(
        outcome=leaning,
        unit="x",
        effect=math.exp(estimate.value),
        interval=_ratios(estimate.interval) if not exact else None,
        p=p,
        leaning=leaning,
        reason="" if exact or p is not None else ONE_SEED,
        seeds=sorted(ratios),
        seed_spread=statistics.stdev(map(math.exp, by_seed)) if len(by_seed) > 1 else None,
        where=", ".join(f"x{s}" for s in sorted(set(scales))) + f" {LABELS[claim.quantity]}",
        notes=notes,
    )
    return measured if exact else measured.decided(p)


def effect_of_divergence(
    claim: Divergence, column: ComparedColumn, over: ComparedColumn
) -> MeasuredEffect:
    """Measure how much more of the trainings of ``over`` diverge than of ``column``.

    A training is that of a seed, at whichever scale it diverged. That more of them do is Fisher's
    exact test. That they do not is a sign test: fewer than half of those of ``over`` diverge, or
    more than half of those of ``column`` as well. One seed decides nothing.
    """
    (bad, of), (bad_over, of_over) = (_diverged(claim, arm) for arm in (column, over))
    effect = bad_over / of_over - bad / of
    leaning: Outcome = "holds" if effect > 0 and bad_over > of_over / 2 else "does not hold"
    if leaning == "holds":
        p = fisher(bad_over, of_over, bad, of)
    else:
        mostly = bad_over > of_over / 2  # and then with what should prevent it as well
        k, n = (bad, of) if mostly else (bad_over, of_over)
        p = min(1.0, 2 * float(bdtr(min(k, n - k), n, 0.5)))
    alone = min(of, of_over) < 2
    measured = MeasuredEffect(
        outcome="undecided",
        unit="trainings",
        effect=effect,
        p=None if alone else p,
        leaning=leaning,
        reason=ONE_SEED if alone else "",
        seeds=sorted({run.seed for arm in (column, over) for run in arm.runs}),
        where=f"diverged: {over.label} {bad_over} of {of_over}, {column.label} {bad} of {of}",
    )
    return measured.decided(measured.p)


def _ratio(quantity: Quantity, first: Run, second: Run) -> float | None:
    if quantity not in EXACT and first.device != second.device:
        return None
    if quantity in TIMES and UNNAMED.fullmatch(first.device):
        return None
    ours, other = _cost(quantity, first), _cost(quantity, second)
    if ours is None or other is None or min(ours, other) <= 0:
        return None
    return ours / other


def _cost(quantity: Quantity, run: Run) -> float | None:
    training, network = run.training, run.network
    milliseconds = timing(run)[1]
    match quantity:
        case "seconds_per_update":
            return milliseconds
        case "training_seconds":
            return milliseconds * training.updates if milliseconds and training else None
        case "peak_memory":
            return training.peak_memory if training is not None else None
        case "multiply_adds":
            return network.multiply_adds if network is not None else None
        case "parameters":
            return network.parameters if network is not None else None
        case _:
            assert_never(quantity)


def _ratios(interval: Interval | None) -> Interval | None:
    return None if interval is None else (math.exp(interval[0]), math.exp(interval[1]))


def _leaning(claim: CostClaim, logarithm: float) -> tuple[Outcome, float]:
    """What the logarithm of a ratio leans to, and the one at which that turns."""
    bound = math.log(1 + claim.margin)
    match claim.expect:
        case "more":
            return "holds" if logarithm > bound else "does not hold", bound
        case "less":
            return "holds" if logarithm < -bound else "does not hold", -bound
        case "little_more":
            return "holds" if logarithm <= bound else "does not hold", bound


def fisher(first: int, of_first: int, second: int, of_second: int) -> float:
    """The two-sided p-value of Fisher's exact test of two counts.

    `scipy.stats` has it, and takes a second to import.
    """
    both, of = first + second, of_first + of_second
    ways = [
        math.comb(of_first, k) * math.comb(of_second, both - k)
        for k in range(max(0, both - of_second), min(of_first, both) + 1)
    ]
    seen = math.comb(of_first, first) * math.comb(of_second, second)
    return sum(way for way in ways if way <= seen) / math.comb(of, both)


def _diverged(claim: Divergence, arm: ComparedColumn) -> tuple[int, int]:
    """Seeds whose training diverged, and all of them."""
    runs = [run for run in arm.runs if run.scale in claim.scales]
    return len({run.seed for run in runs if run.diverged}), len({run.seed for run in runs})
