"""The cells of one data set: scores averaged over images, by seed."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sr_experiments.report.paper.definition import ProtocolPair
from sr_experiments.report.paper.strict import METRICS
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


#: Signed, SR minus HR in grey levels of 255, under the protocol of PSNR.
MEAN_ERROR = "mean_error"
#: By metric, and the mean error where runs recorded it.
Cells = Mapping[str, Cell]


@dataclass(frozen=True)
class ColumnRuns:
    """The runs of a column at one scale, and the weights whose scores count (raw, averaged)."""

    weights: str
    runs: Sequence[Run]


def dataset_cells(
    dataset: str,
    protocols: ProtocolPair,
    columns: Mapping[str, ColumnRuns],
    notes: list[str],
    images: frozenset[str] = frozenset(),
) -> tuple[dict[str, Cells], frozenset[str]]:
    """Compute the cells of one data set, all of them over the same images.

    Args:
        dataset: its name in ``scores.csv``.
        protocols: of PSNR and SSIM.
        columns: the runs of each column.
        notes: a line is appended for every run that is left out.
        images: names of the images to average over; the largest set that any run scored if empty.

    Returns:
        The cells of the columns that have scores, and the names of the images.
    """
    scored = [
        (name, run, frozenset(scores))
        for name, column in columns.items()
        for run in sorted(column.runs, key=lambda run: run.ended)
        if (scores := _scores(run, dataset, column.weights, protocols.psnr))
    ]
    if not images:
        image_sets = (names for _, _, names in scored)
        images = max(image_sets, key=lambda names: (len(names), sorted(names)), default=images)
    runs: dict[str, dict[int, Run]] = {}
    for name, run, names in scored:
        place = f"x{run.scale} {dataset}: {run.directory.name}"
        if names != images:
            notes.append(
                f"{place} is left out: it scored {len(names)} images, not the same as the "
                f"{len(images)} of this row"
            )
            continue
        by_seed = runs.setdefault(name, {})
        if run.seed in by_seed:
            older = by_seed[run.seed].directory.name
            notes.append(f"{place} replaces {older}, an earlier run of the same choices and seed")
        by_seed[run.seed] = run
    cells = {
        name: _cells(sorted(by_seed.items()), dataset, columns[name].weights, protocols)
        for name, by_seed in runs.items()
    }
    return cells, images


def mean_cells(datasets: Sequence[Cells]) -> Cells:
    """The mean over data sets, for the metrics and seeds that all of them have."""
    means: dict[str, Cell] = {}
    for metric in (*METRICS, MEAN_ERROR):
        cells = [dataset[metric] for dataset in datasets if metric in dataset]
        seeds = set.intersection(*(set(cell.by_seed) for cell in cells)) if cells else set()
        if len(cells) == len(datasets) and seeds:
            means[metric] = Cell(
                {seed: statistics.fmean(c.by_seed[seed] for c in cells) for seed in sorted(seeds)}
            )
    return means


def _scores(run: Run, dataset: str, weights: str, protocol: str) -> Mapping[str, ImageScore]:
    return run.scores.get(ScoreKey(dataset, weights, protocol), {})


def _cells(
    runs: Sequence[tuple[int, Run]], dataset: str, weights: str, protocols: ProtocolPair
) -> Cells:
    rules = {"psnr": protocols.psnr, MEAN_ERROR: protocols.psnr}
    if protocols.ssim is not None:
        rules["ssim"] = protocols.ssim
    cells: dict[str, Cell] = {}
    for quantity, protocol in rules.items():
        by_seed: dict[int, float] = {}
        for seed, run in runs:
            scores = _scores(run, dataset, weights, protocol).values()
            values = [getattr(score, quantity) for score in scores]
            if values and None not in values:
                by_seed[seed] = statistics.fmean(values)
        if by_seed:
            cells[quantity] = Cell(by_seed)
    return cells
