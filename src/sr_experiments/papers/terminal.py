"""A report on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from sr_experiments.papers.document import Document
from sr_experiments.papers.heading import heading, standing
from sr_experiments.papers.render import LABELS, LEGEND, Block, Pair, blocks, column_labels
from sr_experiments.papers.schema import METRICS, Metric
from sr_experiments.papers.table import Table

#: Characters of a PSNR (-10.56) and of an SSIM (-0.0123).
WIDTHS: dict[Metric, int] = {"psnr": 6, "ssim": 7}
PAIR = sum(WIDTHS.values()) + 1


def show(report: Document, console: Console) -> None:
    """Print every table of a paper with its heading, then the remarks.

    Columns that do not fit the width of the console go to a second block below the first.
    """
    for table in report.tables:
        console.print()
        _pairs([(label, text) for label, text in heading(table)], console)
        _grids(table, console)
        _paragraph(LEGEND, console, style="dim")
        _paragraph(standing(table), console, style="bold")
        _bullets("Notes", table.notes, console)
    _bullets("Remarks", report.paper.remarks, console)


def _grids(table: Table, console: Console) -> None:
    rows, labels = blocks(table), column_labels(table)
    names = [f"x{block.scale} {block.dataset}" for block in rows]
    sources = [line.label for block in rows for line in block.lines]
    taken = max(map(len, names), default=0) + max(map(len, sources), default=0) + 2
    fitting = max(1, (console.width - taken) // (PAIR + 1))
    for start in range(0, len(labels), fitting):
        chosen = range(start, min(start + fitting, len(labels)))
        console.print(_grid(rows, names, [labels[i] for i in chosen], chosen))
        console.print()


def _grid(rows: Sequence[Block], names: list[str], labels: list[str], chosen: range) -> Grid:
    # The box itself sets one space between columns.
    grid = Grid(box=SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    grid.add_column(Text("\nData set"), no_wrap=True)
    grid.add_column("", no_wrap=True)
    metrics = " ".join(f"{LABELS[metric]:>{WIDTHS[metric]}}" for metric in METRICS)
    for label in labels:
        # A long name is cut, never the figures below it.
        head = Text(f"{label:^{PAIR}.{PAIR}}\n{metrics}")
        grid.add_column(head, no_wrap=True, min_width=PAIR, max_width=PAIR)
    scale = None
    for name, block in zip(names, rows, strict=True):
        if scale not in (None, block.scale):
            grid.add_section()
        scale = block.scale
        for number, line in enumerate(block.lines):
            figures = [_figures(line.pairs[i]) for i in chosen]
            grid.add_row(Text(name if number == 0 else ""), Text(line.label), *figures)
    return grid


def _figures(pair: Pair) -> Text:
    text = Text()
    for metric in METRICS:
        figure = pair.get(metric)
        shown = figure.text if figure is not None else ""
        text.append(" " * (metric != METRICS[0]) + " " * (WIDTHS[metric] - len(shown)))
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
