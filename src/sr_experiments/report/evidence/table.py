"""A paper's table: published numbers beside the scores of our runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sr_experiments.core.errors import UserError
from sr_experiments.report.evidence.cells import Cell, Cells, ColumnRuns, dataset_cells, mean_cells
from sr_experiments.report.evidence.groups import BICUBIC_RUNS, Group, budget_rank, holds, split
from sr_experiments.report.paper.claims import BICUBIC
from sr_experiments.report.paper.definition import Paper, PaperTable
from sr_experiments.report.paper.strict import METRICS, Metric
from sr_experiments.runs.records import Run


@dataclass(frozen=True)
class Row:
    """A data set at a scale: published scores and ours, by column.

    ``images`` is the number of images that ours average; None for the average over data sets and
    where we have no score.
    """

    scale: int
    dataset: str
    published: Mapping[str, Mapping[Metric, float]]
    ours: Mapping[str, Cells]
    bicubic: Cells
    images: int | None = None


@dataclass(frozen=True)
class Table:
    """Rows of one budget, network and recipe; ``notes`` say what was left out, and why."""

    paper: Paper
    source: PaperTable
    rows: Sequence[Row]
    group: Group
    notes: Sequence[str] = field(default_factory=list)

    @property
    def budget(self) -> str | None:
        """The budget of our runs; None without runs."""
        return self.group.members[0].budget if self.group.members else None


def build_tables(paper: Paper, runs: Sequence[Run], budget: str | None = None) -> list[Table]:
    """Build the tables of a paper: one for each budget, network and recipe, the largest first.

    Args:
        paper: the published side.
        runs: finished runs; those that match no column are left out.
        budget: use only runs of this budget.

    Returns:
        At least one table for each of the paper's; without runs it has published numbers only.

    Raises:
        UserError: no run of the paper has this budget.
    """
    bicubic = [run for run in runs if holds(run, BICUBIC_RUNS)]
    matched = [
        {column.id: [run for run in runs if holds(run, column.where)] for column in source.columns}
        for source in paper.tables
    ]
    if budget is not None:
        members = [run for by_column in matched for found in by_column.values() for run in found]
        present = sorted({run.budget for run in members}, key=budget_rank)
        if not present:
            raise UserError(
                "paper-without-runs",
                "no run of {paper} has budget={budget}; there are no runs, so run its experiments",
                paper=paper.name,
                budget=budget,
            )
        if budget not in present:
            raise UserError(
                "budget-without-runs",
                "no run of {paper} has budget={budget}; there are runs of {budgets}",
                paper=paper.name,
                budget=budget,
                budgets=", ".join(present),
            )
        matched = [
            {column: [r for r in found if r.budget == budget] for column, found in m.items()}
            for m in matched
        ]
    tables: list[Table] = []
    for source, by_column in zip(paper.tables, matched, strict=True):
        for group in split(source, by_column) or [Group({}, {})]:
            tables.append(_table(paper, source, group, bicubic))
    return tables


def _table(paper: Paper, source: PaperTable, group: Group, bicubic: Sequence[Run]) -> Table:
    notes = list(group.notes)
    rows: list[Row] = []
    for scale in sorted({*source.published, *(run.scale for run in group.members)}):
        columns = {
            column.id: ColumnRuns(
                column.weights,
                [r for r in group.runs.get(column.id, ()) if r.scale == scale and not r.diverged],
            )
            for column in source.columns
        }
        reference = [run for run in bicubic if run.scale == scale]
        rows += _rows(source, scale, columns, reference, notes)
    notes += [
        f"{column.label}, {run.diverged}"
        for column in source.columns
        for run in group.runs.get(column.id, ())
        if run.diverged
    ]
    return Table(paper, source, rows, group, list(dict.fromkeys(notes)))


def _rows(
    source: PaperTable,
    scale: int,
    columns: Mapping[str, ColumnRuns],
    reference: Sequence[Run],
    notes: list[str],
) -> list[Row]:
    published = source.published.get(scale, {})
    scored = {key.dataset for c in columns.values() for run in c.runs for key in run.scores}
    rows: list[Row] = []
    for name in [name for name in source.datasets if name in published or name in scored]:
        row = _row(source, scale, name, columns, reference, notes)
        size = source.datasets[name].images
        if row.ours and size is not None and row.images != size:
            notes.append(f"x{scale} {name}: ours are of {row.images} images, the set has {size}")
        rows.append(row)
    if source.average is not None and source.average.label in published:
        rows.append(_average(source, scale, rows, notes))
    rows += [
        _row(source, scale, name, columns, reference, notes)
        for name in sorted(scored - set(source.datasets))
    ]
    return rows


def _row(
    source: PaperTable,
    scale: int,
    name: str,
    columns: Mapping[str, ColumnRuns],
    reference: Sequence[Run],
    notes: list[str],
) -> Row:
    protocols = source.protocols(name)
    ours, images = dataset_cells(name, protocols, columns, notes)
    # Bicubic has no seed and no training: the newest run that scored these images counts.
    bicubic: Cells = {}
    for run in sorted(reference, key=lambda run: run.ended):
        cells, names = dataset_cells(
            name, protocols, {BICUBIC: ColumnRuns("raw", [run])}, [], images
        )
        if cells:
            bicubic = {metric: Cell({0: cell.mean}) for metric, cell in cells[BICUBIC].items()}
            images = names
    for column in source.columns:
        mean = ours[column.id]["psnr"].mean if column.id in ours else None
        if mean is not None and "psnr" in bicubic and mean < bicubic["psnr"].mean:
            notes.append(f"x{scale} {name}: {column.label} is below bicubic")
    return Row(
        scale=scale,
        dataset=name,
        published=_published(source, scale, name),
        ours=ours,
        bicubic=bicubic,
        images=len(images) or None,
    )


def _published(source: PaperTable, scale: int, name: str) -> dict[str, dict[Metric, float]]:
    cells = source.published.get(scale, {}).get(name, {})
    return {
        column: {m: v for m, v in zip(METRICS, pair, strict=True) if v is not None}
        for column, pair in cells.items()
    }


def _average(source: PaperTable, scale: int, rows: Sequence[Row], notes: list[str]) -> Row:
    """The mean over data sets; of ours, only for columns and seeds that have all of them."""
    assert source.average is not None  # checked by the caller
    label, over = source.average.label, source.average.over
    by_name = {row.dataset: row for row in rows}
    missing = [name for name in over if name not in by_name or not by_name[name].ours]
    if 0 < len(missing) < len(over):
        notes.append(f"x{scale} {label}: not given for ours, without {', '.join(missing)}")
    chosen = [by_name[name] for name in over if name in by_name]
    ours = {c.id: mean_cells([row.ours.get(c.id, {}) for row in chosen]) for c in source.columns}
    complete = len(chosen) == len(over)
    return Row(
        scale=scale,
        dataset=label,
        published=_published(source, scale, label),
        ours={column: cells for column, cells in ours.items() if cells and complete},
        bicubic=mean_cells([row.bicubic for row in chosen]) if complete else {},
    )
