"""A report as Markdown whose tables also read well as plain text."""

import re
from collections.abc import Sequence

from sr_experiments.papers.document import Document
from sr_experiments.papers.heading import heading, standing
from sr_experiments.papers.render import LABELS, LEGEND, Pair, blocks, column_labels
from sr_experiments.papers.schema import METRICS
from sr_experiments.papers.table import Table


def to_markdown(report: Document) -> str:
    """The whole report: heading, tables, notes, remarks, runs."""
    parts = [f"# {_prose(report.paper.reference.title)}"]
    for table in report.tables:
        parts += _table(table)
        parts += _bullets("### Runs of this table", [_name(run) for run in report.runs(table)])
    parts += _bullets("## Remarks", [_prose(remark) for remark in report.paper.remarks])
    left_out = [f"{_name(folder)}: {_name(reason)}" for folder, reason in report.skipped]
    parts += _bullets("## Folders left out", left_out)
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> list[str]:
    budget = f", budget={table.budget}" if table.budget is not None else ""
    lines = [f"- **{label}**: {_name(text)}" for label, text in heading(table)]
    parts = [f"## {_name(table.source.title + budget)}", "\n".join(lines), _pipes(table)]
    parts += [f"{LEGEND}", f"**{_name(standing(table))}**"]
    return parts + _bullets("### Notes", [_name(note) for note in table.notes])


def _pipes(table: Table) -> str:
    """The table with its columns padded to one width; scores stand to the right."""
    names = [f"{_name(c)} {LABELS[metric]}" for c in column_labels(table) for metric in METRICS]
    grid = [["Scale", "Data set", "Source", *names]]
    for block in blocks(table):
        for line in block.lines:
            figures = [text for pair in line.pairs for text in _figures(pair)]
            grid.append([f"x{block.scale}", _name(block.dataset), line.label, *figures])
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    rule = ["-" * widths[i] if i < 3 else "-" * (widths[i] - 1) + ":" for i in range(len(widths))]
    return "\n".join(_row(cells, widths) for cells in [grid[0], rule, *grid[1:]])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        f"{cell:<{width}}" if index < 3 else f"{cell:>{width}}"
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def _figures(pair: Pair) -> list[str]:
    found = [pair.get(metric) for metric in METRICS]
    return [
        "" if figure is None else f"**{figure.text}**" if figure.best else figure.text
        for figure in found
    ]


def _bullets(title: str, lines: Sequence[str]) -> list[str]:
    return [title, "\n".join(f"- {line}" for line in lines)] if lines else []


def _prose(text: str) -> str:
    """Text of a paper's file: code spans stay, nothing else is markup."""
    return re.sub(r"([\\|*<\[\]])", r"\\\1", " ".join(text.split())).replace("&", "&amp;")


def _name(text: str) -> str:
    """Text that others chose, such as the name of a folder: nothing in it is markup."""
    return _prose(text).replace("`", "\\`")
