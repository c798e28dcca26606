"""Effects of claims on cost: how many times as much one column costs as another."""

import math
import statistics
from collections.abc import Mapping
from typing import assert_never

from sr_experiments.report.evidence.cost import timing
from sr_experiments.report.evidence.effects import MeasuredEffect, Outcome
from sr_experiments.report.evidence.intervals import Estimate, Interval
from sr_experiments.report.evidence.pairs import ComparedColumn
from sr_experiments.report.paper.claims import CostClaim, Quantity
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


def effect_of_cost(
    claim: CostClaim, column: ComparedColumn, over: ComparedColumn
) -> MeasuredEffect:
    """Measure how many times as much a column costs, from what its runs recorded.

    Measured costs are compared between runs of one seed and one device; their 95 % interval is
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
                notes.append(f"x{scale} seed {seed}: not recorded by both, or on two devices")
                continue
            ratios.setdefault(seed, []).append(ratio)
            scales.append(scale)
    if not ratios:
        return MeasuredEffect("undecided", "x", notes=notes)
    by_seed = [statistics.fmean(map(math.log, values)) for values in ratios.values()]
    effect = math.exp(statistics.fmean(by_seed))
    interval: Interval | None = None
    if claim.quantity in EXACT:
        outcome = _decide(claim, (effect, effect))
    elif len(by_seed) > 1:
        variance = statistics.variance(by_seed) / len(by_seed)
        low, high = Estimate(0.0, variance, len(by_seed) - 1).interval or (0.0, 0.0)
        interval = (effect * math.exp(low), effect * math.exp(high))
        outcome = _decide(claim, interval)
    else:
        outcome = "undecided"
        notes.append("one seed: the noise of the measurement is not known")
    return MeasuredEffect(
        outcome=outcome,
        unit="x",
        effect=effect,
        interval=interval,
        seeds=sorted(ratios),
        seed_spread=statistics.stdev(map(math.exp, by_seed)) if len(by_seed) > 1 else None,
        where=", ".join(f"x{s}" for s in sorted(set(scales))) + f" {LABELS[claim.quantity]}",
        notes=notes,
    )


def _ratio(quantity: Quantity, first: Run, second: Run) -> float | None:
    if quantity not in EXACT and first.device != second.device:
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


def _decide(claim: CostClaim, interval: Interval) -> Outcome:
    """The bounds are those of the claim; a ratio within them both ways decides nothing."""
    low, high = interval
    bound = 1 + claim.margin
    match claim.expect:
        case "more":
            return "holds" if low > bound else "does not hold" if high < bound else "undecided"
        case "less":
            low, high = 1 / high, 1 / low
            return "holds" if low > bound else "does not hold" if high < bound else "undecided"
        case "little_more":
            return "holds" if high <= bound else "does not hold" if low > bound else "undecided"
