"""Scores of two columns set against each other image by image."""

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
    """The runs of a column at the scales of a claim, and which of their weights are read."""

    name: str
    label: str
    weights: str
    runs: Sequence[Run]
    #: Bicubic has no seed: its one score stands beside those of every seed.
    seedless: bool = False

    def by_seed(self, scale: int) -> dict[int, Run]:
        """The run of each seed at a scale; of several the one that ended last."""
        runs = sorted((run for run in self.runs if run.scale == scale), key=lambda run: run.ended)
        return {run.seed: run for run in runs}


@dataclass(frozen=True)
class Stratum:
    """One data set at one scale.

    ``differences`` are the column's less the other's, ``(images,)``, of scores that are means over
    the seeds; ``base`` is the other's mean score; ``by_seed`` has the mean difference of each seed.
    """

    scale: int
    dataset: str
    differences: Values
    base: float
    by_seed: Mapping[int, float]


@dataclass(frozen=True)
class PairedScores:
    """All strata of a claim; ``notes`` say what is missing."""

    strata: Sequence[Stratum]
    notes: Sequence[str]

    @property
    def seeds(self) -> list[int]:
        """The seeds that every stratum has of both sides."""
        common = [set(stratum.by_seed) for stratum in self.strata]
        return sorted(set.intersection(*common)) if common else []


def pair_scores(
    table: PaperTable, claim: ScoreClaim, column: ComparedColumn, over: ComparedColumn
) -> PairedScores:
    """Pair the scores of two columns.

    The claim's data sets are taken, or all of the table's, as far as both columns have been scored
    on them; only where there is none of them, whatever else both were scored on.

    Args:
        table: of the claim; its protocols count.
        claim: for its metric, scales and data sets.
        column: what the claim is about.
        over: what it is set against.
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
        there = scored[0] & scored[1]
        chosen = [name for name in wanted if name in there]
        lacking = [name for name in wanted if name not in there]
        if not chosen:
            chosen = sorted(there - set(wanted))
            if chosen:
                notes.append(f"x{scale}: on {', '.join(chosen)} in place of {', '.join(wanted)}")
        elif lacking:
            notes.append(f"x{scale}: without {', '.join(lacking)}")
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
    rules = table.protocols(dataset)
    protocol = rules.psnr if metric == "psnr" else rules.ssim
    place = f"x{scale} {dataset}"
    if protocol is None:
        notes.append(f"{place}: no protocol for SSIM")
        return None
    scores: list[dict[int, dict[str, float | None]]] = []
    for side, members in zip(sides, runs, strict=True):
        key = ScoreKey(dataset, side.weights, protocol)
        by_seed = {seed: run.scores.get(key, {}) for seed, run in members.items()}
        found = {
            seed: {image: getattr(score, metric) for image, score in images.items()}
            for seed, images in by_seed.items()
            if images
        }
        if not found:
            notes.append(f"{place}: {side.label} has no scores of its {side.weights} weights")
            return None
        scores.append(found)
    above, below = scores
    if sides[1].seedless:
        below = dict.fromkeys(above, next(reversed(below.values())))
    seeds = sorted(set(above) & set(below))
    if not seeds:
        notes.append(f"{place}: the two have no seed in common")
        return None
    tables = [side[seed] for seed in seeds for side in (above, below)]
    images = sorted(set.intersection(*(set(table) for table in tables)))
    everything = set.union(*(set(table) for table in tables))
    usable = [i for i in images if all(_finite(table[i]) for table in tables)]
    if len(usable) < len(everything):
        notes.append(f"{place}: {len(usable)} of {len(everything)} images, those scored by all")
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
