"""A table as text cells, before any layout: what all renderings have in common."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sr_experiments.report.evidence.cells import MEAN_ERROR, Cell, Cells
from sr_experiments.report.evidence.table import Row, Table
from sr_experiments.report.paper.strict import Metric

SSIM_DIGITS = 4
LABELS: Mapping[Metric, str] = {"psnr": "PSNR", "ssim": "SSIM"}
ABSENT = "-"

LEGEND = (
    "Bold: the best variants of a row, at the digits shown; bicubic is a reference only. "
    "Difference: ours minus published, before rounding. Spread: sample standard deviation over "
    "seeds. n: number of seeds. Mean error: SR minus HR, in grey levels of 255, as PSNR takes them."
)


@dataclass(frozen=True)
class CellText:
    """A number as it is shown."""

    text: str
    best: bool = False


EMPTY = CellText("")
ColumnText = Mapping[Metric, CellText]


@dataclass(frozen=True)
class Line:
    """One line of a row: its label and the cells of every column, bicubic's first."""

    kind: str
    label: str
    columns: Sequence[ColumnText]

    def cells(self, metrics: Sequence[Metric]) -> list[CellText]:
        """The cells of all columns one after another; one without a number is empty."""
        return [column.get(metric, EMPTY) for column in self.columns for metric in metrics]


@dataclass(frozen=True)
class Block:
    """A data set at a scale with its lines: ours, mean error, spread, seeds, published, ..."""

    scale: int
    dataset: str
    lines: Sequence[Line]

    @property
    def name(self) -> str:
        """``x2 Set5``."""
        return f"x{self.scale} {self.dataset}"


def column_labels(table: Table) -> list[str]:
    """Names of the columns; bicubic comes first where its scores are at hand."""
    reference = ["Bicubic"] if _has_bicubic(table) else []
    return [*reference, *(column.label for column in table.source.columns)]


def blocks(table: Table) -> list[Block]:
    """Every row of a table as lines of text."""
    layout = _Layout(table)
    return [Block(row.scale, row.dataset, layout.lines(row)) for row in table.rows]


def digits(table: Table) -> dict[Metric, int]:
    """How many decimals a score has: those that the paper prints."""
    return {"psnr": table.source.psnr_digits, "ssim": SSIM_DIGITS}


def fixed(value: float, digits: int, sign: bool = False) -> str:
    """A number with a fixed count of digits; a negative zero loses its sign."""
    if math.isfinite(value):
        value = round(value, digits) + 0.0
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _has_bicubic(table: Table) -> bool:
    """Bicubic is a reference for our scores: a table of published numbers goes without."""
    return any(row.bicubic and row.ours for row in table.rows)


def _mean_error(cells: Cells) -> ColumnText:
    """It stands below PSNR, with the decimals that tell a shift of brightness from noise."""
    known = cells.get(MEAN_ERROR)
    return {"psnr": CellText(ABSENT if known is None else fixed(known.mean, 2, sign=True))}


class _Layout:
    """What the rows of a table share: columns, metrics, digits, and whether bicubic is shown."""

    def __init__(self, table: Table) -> None:
        self.ids = [column.id for column in table.source.columns]
        self.metrics = table.source.metrics
        self.digits = digits(table)
        self.bicubic = _has_bicubic(table)
        self.mean_error = table.source.mean_error

    def lines(self, row: Row) -> list[Line]:
        """Ours, published and their difference, as far as there are any."""
        lines = self._ours(row) if row.ours else []
        if row.published:
            scores = self._scores([row.published.get(key, {}) for key in self.ids])
            lines.append(self._line("published", scores))
        if row.ours and row.published:
            lines.append(self._line("difference", [self._difference(row, k) for k in self.ids]))
        return lines

    def _ours(self, row: Row) -> list[Line]:
        found = [row.ours.get(key, {}) for key in self.ids]
        columns = [{m: cells[m] for m in self.metrics if m in cells} for cells in found]
        means = [{metric: cell.mean for metric, cell in cells.items()} for cells in columns]
        counts = {cell.n for cells in columns for cell in cells.values()}
        label = f"ours, n={min(counts)}" if len(counts) == 1 else "ours"
        bicubic = {
            m: CellText(fixed(row.bicubic[m].mean, self.digits[m]))
            for m in self.metrics
            if m in row.bicubic
        }
        lines = [self._line("ours", self._scores(means), label, bicubic)]
        if self.mean_error and any(MEAN_ERROR in cells for cells in found):
            errors = [_mean_error(cells) for cells in (row.bicubic, *found)]
            lines.append(self._line("error", errors[1:], "mean error", errors[0]))
        if max(counts) > 1:
            lines.append(self._line("spread", [self._spread(cells) for cells in columns]))
        if len(counts) > 1:
            seeds = [{m: CellText(str(c.n)) for m, c in cells.items()} for cells in columns]
            lines.append(self._line("seeds", seeds))
        return lines

    def _line(
        self,
        kind: str,
        columns: Sequence[ColumnText],
        label: str | None = None,
        bicubic: ColumnText | None = None,
    ) -> Line:
        return Line(kind, label or kind, [bicubic or {}, *columns] if self.bicubic else columns)

    def _spread(self, cells: Mapping[Metric, Cell]) -> ColumnText:
        """A spread is smaller than the digits of a score: it has one more."""
        return {
            m: CellText(
                ABSENT if (spread := c.spread) is None else fixed(spread, self.digits[m] + 1)
            )
            for m, c in cells.items()
        }

    def _difference(self, row: Row, key: str) -> ColumnText:
        published, ours = row.published.get(key, {}), row.ours.get(key, {})
        return {
            m: CellText(
                fixed(ours[m].mean - published[m], self.digits[m], sign=True)
                if m in ours and m in published
                else ABSENT
            )
            for m in self.metrics
        }

    def _scores(self, columns: Sequence[Mapping[Metric, float]]) -> Sequence[ColumnText]:
        """Scores of the variants; the best are marked as they are shown, so equal texts tie."""
        shown: list[dict[Metric, CellText]] = [{} for _ in columns]
        for metric in self.metrics:
            places = self.digits[metric]
            texts = [fixed(c[metric], places) if metric in c else ABSENT for c in columns]
            known = [float(text) for text in texts if text != ABSENT]
            top = max(known) if len(known) > 1 else math.nan
            for cells, text in zip(shown, texts, strict=True):
                cells[metric] = CellText(text, best=text != ABSENT and float(text) == top)
        return shown
