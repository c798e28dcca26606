"""A report on the terminal."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from sr_experiments.report.evidence.table import Table
from sr_experiments.report.paper.strict import Metric
from sr_experiments.report.render.document import Document
from sr_experiments.report.render.heading import heading, standing
from sr_experiments.report.render.text import (
    LABELS,
    LEGEND,
    Block,
    Pair,
    blocks,
    column_labels,
    digits,
)
from sr_experiments.report.render.wording import LEGEND as CLAIMS_LEGEND
from sr_experiments.report.render.wording import tally, wording


def show(report: Document, console: Console) -> None:
    """Print what became of a paper's claims, every table with its heading, and the remarks.

    Columns that do not fit the width of the console go to a second block below the first.
    """
    _claims(report, console)
    for table in report.tables:
        console.print()
        if not table.rows:
            _pairs([("Table", table.source.title)], console)
            _paragraph(standing(table), console)
            continue
        _pairs([(label, text) for label, text in heading(table)], console)
        _grids(table, console)
        _paragraph(LEGEND, console, style="dim")
        _paragraph(standing(table), console, style="bold")
        _bullets("Notes", table.notes, console)
    _bullets("Remarks", report.paper.remarks, console)


def _claims(report: Document, console: Console) -> None:
    """Those that have runs; of the others there is nothing to say but their number."""
    judged = [wording(v, report.paper) for v in report.verdicts if v.outcome != "no runs"]
    if not judged:
        return
    console.print()
    console.print(Text(f"Claims of {report.paper.name}: {tally(report.verdicts)}", style="bold"))
    console.print()
    grid = Grid.grid(padding=(0, 2, 1, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for found in judged:
        about = Text(found.claim)
        ours = f"{found.effect} {found.interval}".strip()
        paper = found.published and f"paper {found.published}"
        told = [part for part in (ours, paper, found.budget, found.basis) if part]
        about.append("\n" + "; ".join(told), style="dim")
        grid.add_row(Text(found.outcome, style="bold"), about)
    console.print(grid)
    _paragraph(CLAIMS_LEGEND, console, style="dim")


def _grids(table: Table, console: Console) -> None:
    rows, labels = blocks(table), column_labels(table)
    if not rows:
        return
    names = [f"x{block.scale} {block.dataset}" for block in rows]
    sources = [line.label for block in rows for line in block.lines]
    taken = max(map(len, names)) + max(map(len, sources), default=0) + 2
    widths = _widths(table)
    each = sum(widths.values()) + len(widths) - 1
    # A single score leaves little room for the name above it.
    each = max(each, min(12, max(map(len, labels))))
    fitting = max(1, (console.width - taken) // (each + 1))
    for start in range(0, len(labels), fitting):
        chosen = range(start, min(start + fitting, len(labels)))
        console.print(_grid(rows, names, [labels[i] for i in chosen], chosen, widths, each))
        console.print()


def _widths(table: Table) -> dict[Metric, int]:
    """Characters of a score with its sign: -10.56 of PSNR, -0.0123 of SSIM."""
    places = digits(table)
    whole: dict[Metric, int] = {"psnr": 4, "ssim": 3}
    return {metric: whole[metric] + places[metric] for metric in table.source.metrics}


def _grid(
    rows: Sequence[Block],
    names: list[str],
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
        # A long name is cut, never the figures below it.
        head = Text(f"{label:^{each}.{each}}\n{metrics:>{each}}")
        grid.add_column(head, no_wrap=True, min_width=each, max_width=each)
    scale = None
    for name, block in zip(names, rows, strict=True):
        if scale not in (None, block.scale):
            grid.add_section()
        scale = block.scale
        for number, line in enumerate(block.lines):
            figures = [_figures(line.pairs[i], widths, each) for i in chosen]
            grid.add_row(Text(name if number == 0 else ""), Text(line.label), *figures)
    return grid


def _figures(pair: Pair, widths: Mapping[Metric, int], each: int) -> Text:
    text = Text()
    text.append(" " * (each - sum(widths.values()) - len(widths) + 1))
    for number, (metric, width) in enumerate(widths.items()):
        figure = pair.get(metric)
        shown = figure.text if figure is not None else ""
        text.append(" " * (number > 0) + " " * (width - len(shown)))
        text.append(shown, style="bold" if figure is not None and figure.best else "")
    return text


def _pairs(lines: Sequence[tuple[str, str]], console: Console) -> None:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in lines:
        grid.add_row(Text(label, style="bold"), Text(text))
    console.print(Padding(grid, (0, 0, 1, 0)))


def _paragraph(text: str, console: Console, style: str = "") -> None:
    console.print(Text(text, style=style))


def _bullets(title: str, texts: Sequence[str], console: Console) -> None:
    if not texts:
        return
    console.print()
    console.print(Text(title, style="bold"))
    grid = Grid.grid(padding=(0, 1, 0, 0))
    for text in texts:
        grid.add_row("-", Text(text, overflow="fold"))
    console.print(grid)
