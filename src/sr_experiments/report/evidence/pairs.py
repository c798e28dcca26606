"""Scores of two columns, paired by image."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sr_experiments.report.evidence.intervals import Values
from sr_experiments.report.paper.claims import ScoreClaim
from sr_experiments.report.paper.definition import PaperTable
from sr_experiments.report.paper.strict import Metric
from sr_experiments.runs.records import Run, ScoreKey


@dataclass(frozen=True)
class ComparedColumn:
    """The runs of a column at the scales of a claim, and the weights whose scores count."""

    name: str
    label: str
    weights: str
    runs: Sequence[Run]
    #: Bicubic has no seed: its score is paired with those of every seed.
    seedless: bool = False

    def by_seed(self, scale: int) -> dict[int, Run]:
        """The run of each seed at a scale; of several, the one that ended last."""
        runs = sorted((run for run in self.runs if run.scale == scale), key=lambda run: run.ended)
        return {run.seed: run for run in runs}


@dataclass(frozen=True)
class Stratum:
    """One data set at one scale.

    Attributes:
        scale: the scale.
        dataset: the data set.
        differences: scores of the column minus those of the other, averaged over seeds,
            ``(images,)``.
        base: mean score of the other column.
        by_seed: mean difference of each seed.
    """

    scale: int
    dataset: str
    differences: Values
    base: float
    by_seed: Mapping[int, float]


@dataclass(frozen=True)
class PairedScores:
    """All strata of a claim; ``notes`` name what is missing."""

    strata: Sequence[Stratum]
    notes: Sequence[str]

    @property
    def seeds(self) -> list[int]:
        """The seeds that both columns have in every stratum."""
        common = [set(stratum.by_seed) for stratum in self.strata]
        return sorted(set.intersection(*common)) if common else []


def pair_scores(
    table: PaperTable, claim: ScoreClaim, column: ComparedColumn, over: ComparedColumn
) -> PairedScores:
    """Pair the scores of two columns.

    The data sets are those of the claim (or of its table) that both columns were scored on; if
    there is none, all others that both were scored on.

    Args:
        table: of the claim; it names the protocols.
        claim: it names metric, scales and data sets.
        column: what the claim is about.
        over: what it is compared with.
    """
    wanted = claim.datasets or list(table.datasets)
    strata: list[Stratum] = []
    notes: list[str] = []
    for scale in claim.scales:
        sides = column.by_seed(scale), over.by_seed(scale)
        if not all(sides):
            notes.append(f"no run at x{scale}")
            continue
        scored = [{key.dataset for run in side.values() for key in run.scores} for side in sides]
        common = scored[0] & scored[1]
        chosen = [name for name in wanted if name in common]
        missing = [name for name in wanted if name not in common]
        if not chosen:
            chosen = sorted(common - set(wanted))
            if chosen:
                notes.append(f"x{scale}: on {', '.join(chosen)} in place of {', '.join(wanted)}")
        elif missing:
            notes.append(f"x{scale}: without {', '.join(missing)}")
        for name in chosen:
            stratum = _stratum(table, claim.metric, scale, name, (column, over), sides, notes)
            if stratum is not None:
                strata.append(stratum)
    return PairedScores(strata, list(dict.fromkeys(notes)))


def _stratum(
    table: PaperTable,
    metric: Metric,
    scale: int,
    dataset: str,
    sides: tuple[ComparedColumn, ComparedColumn],
    runs: tuple[Mapping[int, Run], Mapping[int, Run]],
    notes: list[str],
) -> Stratum | None:
    protocol = getattr(table.protocols(dataset), metric)
    place = f"x{scale} {dataset}"
    if protocol is None:
        notes.append(f"{place}: no protocol for SSIM")
        return None
    scores: list[dict[int, dict[str, float | None]]] = []
    for side, members in zip(sides, runs, strict=True):
        key = ScoreKey(dataset, side.weights, protocol)
        by_seed = {seed: run.scores.get(key, {}) for seed, run in members.items()}
        values = {
            seed: {image: getattr(score, metric) for image, score in images.items()}
            for seed, images in by_seed.items()
            if images
        }
        if not values:
            notes.append(f"{place}: {side.label} has no scores of its {side.weights} weights")
            return None
        scores.append(values)
    above, below = scores
    if sides[1].seedless:
        below = dict.fromkeys(above, next(reversed(below.values())))
    seeds = sorted(set(above) & set(below))
    if not seeds:
        notes.append(f"{place}: the two have no seed in common")
        return None
    by_run = [side[seed] for seed in seeds for side in (above, below)]
    images = set.union(*(set(values) for values in by_run))
    usable = [i for i in sorted(images) if all(_finite(values.get(i)) for values in by_run)]
    if len(usable) < len(images):
        notes.append(f"{place}: {len(usable)} of {len(images)} images, those scored by all")
    if not usable:
        return None
    first, second = (
        np.array([[side[seed][image] for image in usable] for seed in seeds], dtype=np.float64)
        for side in (above, below)
    )
    means = (first - second).mean(axis=1)
    return Stratum(
        scale=scale,
        dataset=dataset,
        differences=(first - second).mean(axis=0),
        base=float(second.mean()),
        by_seed=dict(zip(seeds, means.tolist(), strict=True)),
    )


def _finite(score: float | None) -> bool:
    return score is not None and math.isfinite(score)
