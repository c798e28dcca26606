"""A table as text cells, before any layout: what all renderings have in common."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sr_experiments.report.evidence.cells import Cells
from sr_experiments.report.evidence.table import Row, Table
from sr_experiments.report.paper.strict import Metric

SSIM_DIGITS = 4
LABELS: Mapping[Metric, str] = {"psnr": "PSNR", "ssim": "SSIM"}
ABSENT = "-"
OURS, SPREAD, SEEDS, PUBLISHED, DIFFERENCE = "ours", "spread", "seeds", "published", "difference"

LEGEND = (
    "Bold: the best variants of a row, at the digits shown; bicubic is a reference. Difference: "
    "ours less published, before rounding. Spread: sample standard deviation over seeds. n: "
    "number of seeds."
)


@dataclass(frozen=True)
class Figure:
    """A number as it is shown."""

    text: str
    best: bool = False


Pair = Mapping[Metric, Figure]


@dataclass(frozen=True)
class Line:
    """One line of a row: its name and the figures of every column, bicubic's first."""

    label: str
    pairs: Sequence[Pair]

    @property
    def kind(self) -> str:
        """The label without the number of seeds."""
        return self.label.partition(",")[0]


@dataclass(frozen=True)
class Block:
    """A data set at a scale with its lines: ours, spread, published, difference."""

    scale: int
    dataset: str
    lines: Sequence[Line]


def column_labels(table: Table) -> list[str]:
    """Names of the columns; bicubic comes first where its scores are at hand."""
    reference = ["Bicubic"] if _has_bicubic(table) else []
    return [*reference, *(column.label for column in table.source.columns)]


def blocks(table: Table) -> list[Block]:
    """Every row of a table as lines of text."""
    lines = _Lines(table)
    return [Block(row.scale, row.dataset, lines.of(row)) for row in table.rows]


def digits(table: Table) -> dict[Metric, int]:
    """How many decimals a score has: those that the paper prints."""
    return {"psnr": table.source.psnr_digits, "ssim": SSIM_DIGITS}


def fixed(value: float, digits: int, sign: bool = False) -> str:
    """A number with a fixed count of digits; a negative zero loses its sign."""
    if math.isfinite(value):
        value = round(value, digits) + 0.0
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _has_bicubic(table: Table) -> bool:
    """A reference for ours: where we have no score it refers to nothing."""
    return any(row.bicubic and row.ours for row in table.rows)


class _Lines:
    """The lines of a table's rows."""

    def __init__(self, table: Table) -> None:
        self.ids = [column.id for column in table.source.columns]
        self.metrics = table.source.metrics
        self.digits = digits(table)
        self.bicubic = _has_bicubic(table)

    def of(self, row: Row) -> list[Line]:
        """Ours, published and their difference, as far as there are any."""
        lines = []
        if row.ours:
            lines += self._ours(row)
        if row.published:
            values = [row.published.get(key, {}) for key in self.ids]
            lines.append(self._line(PUBLISHED, {}, self._scores(values)))
        if row.ours and row.published:
            pairs = [self._difference(row, key) for key in self.ids]
            lines.append(self._line(DIFFERENCE, {}, pairs))
        return lines

    def _ours(self, row: Row) -> list[Line]:
        cells: list[Cells] = [row.ours.get(key, {}) for key in self.ids]
        means = [{metric: cell.mean for metric, cell in part.items()} for part in cells]
        counts = {cell.n for part in cells for cell in part.values()}
        label = f"{OURS}, n={counts.pop()}" if len(counts) == 1 else OURS
        bicubic = {m: Figure(fixed(c.mean, self.digits[m])) for m, c in row.bicubic.items()}
        lines = [self._line(label, bicubic, self._scores(means))]
        if any(cell.n > 1 for part in cells for cell in part.values()):
            lines.append(self._line(SPREAD, {}, [self._spread(part) for part in cells]))
        if counts:  # more than one number of seeds in this row: each cell tells its own
            numbers = [{m: Figure(str(c.n)) for m, c in part.items()} for part in cells]
            lines.append(self._line(SEEDS, {}, numbers))
        return lines

    def _line(self, label: str, bicubic: Pair, pairs: Sequence[Pair]) -> Line:
        return Line(label, [bicubic, *pairs] if self.bicubic else pairs)

    def _spread(self, cells: Cells) -> Pair:
        """A spread is smaller than the digits of a score: it has one more."""
        return {
            m: Figure(ABSENT if (spread := c.spread) is None else fixed(spread, self.digits[m] + 1))
            for m, c in cells.items()
        }

    def _difference(self, row: Row, key: str) -> Pair:
        theirs, ours = row.published.get(key, {}), row.ours.get(key, {})
        return {
            m: Figure(
                fixed(ours[m].mean - theirs[m], self.digits[m], sign=True)
                if m in ours and m in theirs
                else ABSENT
            )
            for m in self.metrics
        }

    def _scores(self, values: Sequence[Mapping[Metric, float]]) -> Sequence[Pair]:
        """Scores of the variants; the best are marked as they are shown, so equal texts tie."""
        pairs: list[dict[Metric, Figure]] = [{} for _ in values]
        for metric in self.metrics:
            places = self.digits[metric]
            shown = [fixed(v[metric], places) if metric in v else ABSENT for v in values]
            known = [float(text) for text in shown if text != ABSENT]
            top = max(known) if len(known) > 1 else math.nan
            for pair, text in zip(pairs, shown, strict=True):
                pair[metric] = Figure(text, best=text != ABSENT and float(text) == top)
        return pairs
