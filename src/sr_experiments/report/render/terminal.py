"""A report on the terminal."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from sr_experiments.report.evidence.anchors import LEGEND as ANCHORS_LEGEND
from sr_experiments.report.evidence.table import Table
from sr_experiments.report.paper.strict import Metric
from sr_experiments.report.render.design_text import power, recipe_deviations
from sr_experiments.report.render.document import Document
from sr_experiments.report.render.provenance import disclaimer, heading
from sr_experiments.report.render.table_text import (
    EMPTY,
    LABELS,
    LEGEND,
    Block,
    ColumnText,
    blocks,
    column_labels,
    digits,
)
from sr_experiments.report.render.verdict_text import LEGEND as VERDICTS_LEGEND
from sr_experiments.report.render.verdict_text import tally, verdict_text


def show(report: Document, console: Console) -> None:
    """Print the verdicts on a paper's claims, every table with its heading, and the remarks.

    Columns that do not fit the width of the console are wrapped into further blocks.
    """
    _anchors(report, console)
    _claims(report, console)
    for table in report.tables:
        console.print()
        if not table.rows:
            _pairs([("Table", table.source.title)], console)
            console.print(Text(disclaimer(table)))
            continue
        _pairs(heading(table), console)
        _grids(table, console)
        console.print(Text(LEGEND, style="dim"))
        console.print(Text(disclaimer(table), style="bold"))
        _bullets("Notes", table.notes, console)
        _bullets("Deviations from the paper's recipe", recipe_deviations(table), console)
    _bullets("Remarks", report.paper.remarks, console)


def _anchors(report: Document, console: Console) -> None:
    if not report.anchors:
        return
    grid = Grid(box=SIMPLE_HEAD, show_edge=False)
    for number, name in enumerate(report.anchors[0]):
        grid.add_column(Text(name, overflow="fold"), justify="left" if number < 4 else "right")
    for row in report.anchors[1:]:
        grid.add_row(*map(Text, row))
    console.print()
    console.print(Text(f"Reference scores of {report.paper.name}", style="bold"))
    console.print(grid)
    console.print(Text(ANCHORS_LEGEND, style="dim"))


def _claims(report: Document, console: Console) -> None:
    """Verdicts on the claims that have runs; the others are only counted."""
    tested = [verdict_text(v, report.paper) for v in report.verdicts if v.outcome != "no runs"]
    if not tested:
        return
    console.print()
    console.print(Text(f"Claims of {report.paper.name}: {tally(report.verdicts)}", style="bold"))
    console.print()
    grid = Grid.grid(padding=(0, 2, 1, 0))
    grid.add_column(max_width=18)
    grid.add_column(overflow="fold")
    for text in tested:
        ours = f"{text.effect} {text.interval}".strip()
        paper = text.published and f"paper {text.published}"
        details = [part for part in (text.aside, ours, paper, text.budget, text.evidence) if part]
        claim = Text(text.claim).append("\n" + "; ".join(details), style="dim")
        grid.add_row(Text(text.verdict, style="bold", overflow="fold"), claim)
    console.print(grid)
    console.print(Text(VERDICTS_LEGEND, style="dim"))
    _bullets("What these runs could have shown", power(report.verdicts), console)


def _grids(table: Table, console: Console) -> None:
    rows, labels = blocks(table), column_labels(table)
    sources = [line.label for block in rows for line in block.lines]
    taken = max(len(block.name) for block in rows) + max(map(len, sources), default=0) + 2
    widths = _widths(table)
    each = sum(widths.values()) + len(widths) - 1
    # A single score leaves little room for the name above it.
    each = max(each, min(12, max(map(len, labels))))
    fitting = max(1, (console.width - taken) // (each + 1))
    for start in range(0, len(labels), fitting):
        chosen = range(start, min(start + fitting, len(labels)))
        console.print(_grid(rows, [labels[i] for i in chosen], chosen, widths, each))
        console.print()


def _widths(table: Table) -> dict[Metric, int]:
    """Characters of a score with its sign: -10.56 of PSNR, -0.0123 of SSIM."""
    places = digits(table)
    whole: dict[Metric, int] = {"psnr": 4, "ssim": 3}
    return {metric: whole[metric] + places[metric] for metric in table.source.metrics}


def _grid(
    rows: Sequence[Block],
    labels: list[str],
    chosen: range,
    widths: Mapping[Metric, int],
    each: int,
) -> Grid:
    # The box itself sets one space between columns.
    grid = Grid(box=SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    grid.add_column(Text("\nData set"), no_wrap=True)
    grid.add_column("", no_wrap=True)
    metrics = " ".join(f"{LABELS[metric]:>{width}}" for metric, width in widths.items())
    for label in labels:
        # A long name is cut, never the numbers below it.
        head = Text(f"{label:^{each}.{each}}\n{metrics:>{each}}")
        grid.add_column(head, no_wrap=True, min_width=each, max_width=each)
    scale = None
    for block in rows:
        if scale not in (None, block.scale):
            grid.add_section()
        scale = block.scale
        for number, line in enumerate(block.lines):
            cells = [_cells(line.columns[i], widths, each) for i in chosen]
            grid.add_row(Text(block.name if number == 0 else ""), Text(line.label), *cells)
    return grid


def _cells(column: ColumnText, widths: Mapping[Metric, int], each: int) -> Text:
    text = Text(" " * (each - sum(widths.values()) - len(widths) + 1))
    for number, (metric, width) in enumerate(widths.items()):
        cell = column.get(metric, EMPTY)
        text.append(" " * (number > 0) + " " * (width - len(cell.text)))
        text.append(cell.text, style="bold" if cell.best else "")
    return text


def _pairs(lines: Sequence[tuple[str, str]], console: Console) -> None:
    grid = _two_columns((0, 2, 0, 0))
    for label, text in lines:
        grid.add_row(Text(label, style="bold"), Text(text))
    console.print(Padding(grid, (0, 0, 1, 0)))


def _two_columns(padding: tuple[int, int, int, int]) -> Grid:
    grid = Grid.grid(padding=padding)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _bullets(title: str, texts: Sequence[str], console: Console) -> None:
    if not texts:
        return
    console.print()
    console.print(Text(title, style="bold"))
    grid = Grid.grid(padding=(0, 1, 0, 0))
    for text in texts:
        grid.add_row("-", Text(str(text), overflow="fold"))
    console.print(grid)
