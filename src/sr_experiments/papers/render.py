"""A table as text cells, before any layout: what the terminal, Markdown and HTML have in common."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sr_experiments.papers.cells import Cells
from sr_experiments.papers.schema import METRICS, Metric
from sr_experiments.papers.table import Row, Table

DIGITS: Mapping[Metric, int] = {"psnr": 2, "ssim": 4}
#: A spread is smaller than the digits of a score.
SPREAD_DIGITS: Mapping[Metric, int] = {"psnr": 3, "ssim": 5}
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
    """One line of a row: its name and a pair of figures for bicubic and for every column."""

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
    """Names of the columns, bicubic first."""
    return ["Bicubic", *(column.label for column in table.source.columns)]


def blocks(table: Table) -> list[Block]:
    """Every row of a table as lines of text."""
    ids = [column.id for column in table.source.columns]
    return [Block(row.scale, row.dataset, _lines(row, ids)) for row in table.rows]


def fixed(value: float, digits: int, sign: bool = False) -> str:
    """A number with a fixed count of digits; a negative zero loses its sign."""
    if math.isfinite(value):
        value = round(value, digits) + 0.0
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _lines(row: Row, ids: Sequence[str]) -> list[Line]:
    lines = []
    if row.ours or row.bicubic:
        lines += _our_lines(row, ids)
    if row.published:
        values = [row.published.get(key, {}) for key in ids]
        lines.append(Line(PUBLISHED, [{}, *_scores(values)]))
    if row.ours and row.published:
        pairs: list[Pair] = [{}]
        for key in ids:
            theirs, ours = row.published.get(key, {}), row.ours.get(key, {})
            pairs.append(
                {
                    m: Figure(
                        fixed(ours[m].mean - theirs[m], DIGITS[m], sign=True)
                        if m in ours and m in theirs
                        else ABSENT
                    )
                    for m in METRICS
                }
            )
        lines.append(Line(DIFFERENCE, pairs))
    return lines


def _our_lines(row: Row, ids: Sequence[str]) -> list[Line]:
    cells: list[Cells] = [row.ours.get(key, {}) for key in ids]
    means = [{metric: cell.mean for metric, cell in part.items()} for part in cells]
    counts = {cell.n for part in cells for cell in part.values()}
    label = f"{OURS}, n={counts.pop()}" if len(counts) == 1 else OURS
    bicubic = {m: Figure(fixed(c.mean, DIGITS[m])) for m, c in row.bicubic.items()}
    lines = [Line(label, [bicubic, *_scores(means)])]
    if any(cell.n > 1 for part in cells for cell in part.values()):
        spreads: list[Pair] = [
            {
                m: Figure(
                    ABSENT if (spread := c.spread) is None else fixed(spread, SPREAD_DIGITS[m])
                )
                for m, c in part.items()
            }
            for part in cells
        ]
        lines.append(Line(SPREAD, [{}, *spreads]))
    if counts:  # more than one number of seeds in this row: each cell tells its own
        numbers: list[Pair] = [{m: Figure(str(c.n)) for m, c in part.items()} for part in cells]
        lines.append(Line(SEEDS, [{}, *numbers]))
    return lines


def _scores(values: Sequence[Mapping[Metric, float]]) -> Sequence[Pair]:
    """Scores of the variants; the best are marked as they are shown, so equal texts tie."""
    pairs: list[dict[Metric, Figure]] = [{} for _ in values]
    for metric in METRICS:
        shown = [fixed(v[metric], DIGITS[metric]) if metric in v else ABSENT for v in values]
        known = [float(text) for text in shown if text != ABSENT]
        top = max(known) if len(known) > 1 else math.nan
        for pair, text in zip(pairs, shown, strict=True):
            pair[metric] = Figure(text, best=text != ABSENT and float(text) == top)
    return pairs
