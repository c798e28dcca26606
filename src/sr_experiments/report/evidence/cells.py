"""The cells of one data set: means over images, then over seeds."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sr_experiments.report.paper.definition import ProtocolPair
from sr_experiments.report.paper.strict import METRICS, Metric
from sr_experiments.runs.records import ImageScore, Run, ScoreKey


@dataclass(frozen=True)
class Cell:
    """One score of one variant: a value for each seed."""

    by_seed: Mapping[int, float]

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.by_seed)

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.by_seed.values())

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the seeds; None below two, or beside an infinite PSNR."""
        values = list(self.by_seed.values())
        if len(values) < 2 or not all(map(math.isfinite, values)):
            return None
        return statistics.stdev(values)


Cells = Mapping[Metric, Cell]


@dataclass(frozen=True)
class ColumnRuns:
    """The runs of a column at one scale, and which of their weights are read."""

    weights: str
    runs: Sequence[Run]


def fill(
    dataset: str,
    rules: ProtocolPair,
    columns: Mapping[str, ColumnRuns],
    notes: list[str],
    images: frozenset[str] = frozenset(),
) -> tuple[dict[str, Cells], frozenset[str]]:
    """Cells of one data set, all of them of the same images.

    Args:
        dataset: its name in the scores.
        rules: the protocols of PSNR and SSIM.
        columns: where the scores of each column come from.
        notes: gets a line for every run that is left out.
        images: names of the images to be scored; without, the largest set that a run has.

    Returns:
        The cells of the columns that have any, and the names of the images.
    """
    scored = [
        (column, run, frozenset(names))
        for column, source in columns.items()
        for run in sorted(source.runs, key=lambda run: run.ended)
        if (names := _scores(run, dataset, source.weights, rules.psnr))
    ]
    if not images:
        found = (seen for _, _, seen in scored)
        images = max(found, key=lambda seen: (len(seen), sorted(seen)), default=images)
    taken: dict[str, dict[int, Run]] = {}
    for column, run, seen in scored:
        place = f"x{run.scale} {dataset}: {run.directory.name}"
        if seen != images:
            notes.append(
                f"{place} is left out: it scored {len(seen)} images, not the same as the "
                f"{len(images)} of this row"
            )
            continue
        seeds = taken.setdefault(column, {})
        if run.seed in seeds:
            older = seeds[run.seed].directory.name
            notes.append(f"{place} stands for {older}, which has the same choices and seed")
        seeds[run.seed] = run
    cells = {}
    for column, seeds in taken.items():
        weights = columns[column].weights
        cells[column] = _cells(sorted(seeds.items()), dataset, weights, rules)
    return cells, images


def mean_cells(parts: Sequence[Cells]) -> Cells:
    """The mean over data sets, for the seeds that every one of them has."""
    cells: dict[Metric, Cell] = {}
    for metric in METRICS:
        found = [part[metric] for part in parts if metric in part]
        seeds = set.intersection(*(set(cell.by_seed) for cell in found)) if found else set()
        if len(found) == len(parts) and seeds:
            cells[metric] = Cell(
                {seed: statistics.fmean(c.by_seed[seed] for c in found) for seed in sorted(seeds)}
            )
    return cells


def _scores(run: Run, dataset: str, weights: str, protocol: str) -> Mapping[str, ImageScore]:
    return run.scores.get(ScoreKey(dataset, weights, protocol), {})


def _cells(
    seeds: Sequence[tuple[int, Run]], dataset: str, weights: str, rules: ProtocolPair
) -> Cells:
    psnr: dict[int, float] = {}
    ssim: dict[int, float] = {}
    for seed, run in seeds:
        psnr[seed] = statistics.fmean(
            score.psnr for score in _scores(run, dataset, weights, rules.psnr).values()
        )
        if rules.ssim is None:
            continue
        values = [score.ssim for score in _scores(run, dataset, weights, rules.ssim).values()]
        known = [value for value in values if value is not None]
        if known and len(known) == len(values):
            ssim[seed] = statistics.fmean(known)
    cells: dict[Metric, Cell] = {"psnr": Cell(psnr)}
    if ssim:
        cells["ssim"] = Cell(ssim)
    return cells
