"""Scores of two columns, paired by image and by seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sr_experiments.report.evidence.intervals import Unit, Values
from sr_experiments.report.paper.claims import Claim
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


def same_training(column: ComparedColumn, over: ComparedColumn) -> bool:
    """Whether the two are weights of the same runs: raw and averaged."""
    return {run.identity for run in column.runs} == {run.identity for run in over.runs}


@dataclass(frozen=True)
class Stratum:
    """One data set at one scale.

    Attributes:
        scale: the scale.
        dataset: the data set.
        images: their names.
        seeds: those of both columns, in the order of the scores.
        first: scores of the column, ``(seeds, images)``.
        second: scores of the other.
    """

    scale: int
    dataset: str
    images: Sequence[str]
    seeds: Sequence[int]
    first: Values
    second: Values

    @property
    def differences(self) -> Values:
        """Of the scores, ``(seeds, images)``."""
        return self.first - self.second


@dataclass(frozen=True)
class PairedScores:
    """All strata of a claim, of the same seeds; ``notes`` name what is missing."""

    strata: Sequence[Stratum]
    notes: Sequence[str]

    @property
    def seeds(self) -> list[int]:
        """The seeds that both columns have in every stratum."""
        return list(self.strata[0].seeds) if self.strata else []

    @property
    def units(self) -> list[Unit]:
        """The scores by data set; a photograph at several scales is one, with its mean score."""
        return photographs(self.strata, [(s.first, s.second) for s in self.strata])


def photographs(strata: Sequence[Stratum], values: Sequence[Unit]) -> list[Unit]:
    """Average over scales what belongs to one photograph.

    Args:
        strata: what the values are of.
        values: a pair for each stratum, each ``(seeds, images)``.

    Returns:
        A pair for each data set. Images that not all of its scales have are left out; a data set
        whose scales have no image in common is as many as it has scales.
    """
    sets: dict[str, list[int]] = {}
    for index, stratum in enumerate(strata):
        sets.setdefault(stratum.dataset, []).append(index)
    units: list[Unit] = []
    for members in sets.values():
        common = set.intersection(*(set(strata[i].images) for i in members))
        if not common:
            units += [values[i] for i in members]
            continue
        at = {i: [k for k, name in enumerate(strata[i].images) if name in common] for i in members}
        first, second = (
            np.mean([values[i][side][:, at[i]] for i in members], axis=0) for side in (0, 1)
        )
        units.append((first, second))
    return units


def pair_scores(
    table: PaperTable,
    claim: Claim,
    column: ComparedColumn,
    over: ComparedColumn,
    metric: Metric = "psnr",
) -> PairedScores:
    """Pair the scores of two columns.

    The data sets are those of the claim (or of its table) that both columns were scored on; if
    there is none, all others that both were scored on.

    Args:
        table: of the claim; it names the protocols.
        claim: it names scales and data sets.
        column: what the claim is about.
        over: what it is compared with.
        metric: the score.
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
            stratum = _stratum(table, metric, scale, name, (column, over), sides, notes)
            if stratum is not None:
                strata.append(stratum)
    return PairedScores(_of_common_seeds(strata, notes), list(dict.fromkeys(notes)))


def means_by_seed(
    table: PaperTable,
    column: ComparedColumn,
    strata: Sequence[Stratum],
    factors: Sequence[float],
    metric: Metric,
) -> list[float]:
    """Mean score of every seed of a column, on the data sets and images of some strata.

    Args:
        table: it names the protocols.
        column: any of the table.
        strata: the data sets, scales and images.
        factors: of each stratum, on its scores.
        metric: the score.

    Returns:
        Of the seeds that have all these scores; none if there is none.
    """
    tables: list[dict[int, list[float]]] = []
    for stratum, factor in zip(strata, factors, strict=True):
        protocol = getattr(table.protocols(stratum.dataset), metric)
        key = ScoreKey(stratum.dataset, column.weights, protocol)
        found: dict[int, list[float]] = {}
        for seed, run in column.by_seed(stratum.scale).items():
            scores = run.scores.get(key, {})
            values = [getattr(scores[i], metric) for i in stratum.images if i in scores]
            if len(values) == len(stratum.images) and all(map(_finite, values)):
                found[seed] = [factor * value for value in values]
        tables.append(found)
    seeds = sorted(set.intersection(*(set(found) for found in tables)))
    if not seeds:
        return []
    values = [np.array([found[seed] for seed in seeds]) for found in tables]
    units = photographs(strata, [(v, v) for v in values])
    return [float(x) for x in np.mean([first.mean(axis=1) for first, _ in units], axis=0)]


def _of_common_seeds(strata: Sequence[Stratum], notes: list[str]) -> list[Stratum]:
    if not strata:
        return []
    common = sorted(set.intersection(*(set(stratum.seeds) for stratum in strata)))
    if not common:
        notes.append("no seed is common to all scales and data sets")
        return []
    if any(len(stratum.seeds) > len(common) for stratum in strata):
        notes.append(f"of {len(common)} seeds, those common to all scales and data sets")
    found = []
    for stratum in strata:
        at = [stratum.seeds.index(seed) for seed in common]
        first, second = stratum.first[at], stratum.second[at]
        found.append(replace(stratum, seeds=common, first=first, second=second))
    return found


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
    return Stratum(scale, dataset, usable, seeds, first, second)


def _finite(score: float | None) -> bool:
    return score is not None and math.isfinite(score)
