"""A report as Markdown whose tables also read well as plain text."""

import re
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment

from sr_experiments.report.evidence.cost import HEAD as COST_HEAD
from sr_experiments.report.evidence.table import Table
from sr_experiments.report.render.document import Document
from sr_experiments.report.render.jinja import Verbatim, environment
from sr_experiments.report.render.table_text import LABELS, blocks, column_labels
from sr_experiments.report.render.verdict_text import verdict_text


def to_markdown(report: Document) -> str:
    """The whole report: verdicts, tables with heading, notes and runs, costs, remarks."""
    template = _environment().get_template("report.md.j2")
    texts = [verdict_text(verdict, report.paper) for verdict in report.verdicts]
    return template.render(report=report, paper=report.paper, texts=texts).rstrip("\n") + "\n"


def summary_markdown(reports: Sequence[Document]) -> str:
    """All papers on one screen: verdicts by number, and the main claims of each."""
    template = _environment().get_template("summary.md.j2")
    return template.render(reports=reports).rstrip("\n") + "\n"


@cache
def _environment() -> Environment:
    made = environment(_plain)
    made.filters |= {
        "anchors": _anchors,
        "prose": _prose,
        "costs": _costs,
        "headline": lambda report: [verdict_text(v, report.paper) for v in report.headline],
        "scores": _scores,
        "verbatim": Verbatim,
    }
    return made


def _scores(table: Table) -> Verbatim:
    metrics = table.source.metrics
    names = [f"{_plain(c)} {LABELS[metric]}" for c in column_labels(table) for metric in metrics]
    grid = [["Scale", "Data set", "Source", *names]]
    for block in blocks(table):
        for line in block.lines:
            cells = [f"**{c.text}**" if c.best else c.text for c in line.cells(metrics)]
            grid.append([f"x{block.scale}", _plain(block.dataset), line.label, *cells])
    return _pipes(grid, left=3)


def _anchors(grid: Sequence[Sequence[str]]) -> Verbatim:
    return _pipes([[_plain(cell) for cell in row] for row in grid], left=4)


def _costs(rows: Sequence[Sequence[str]]) -> Verbatim:
    return _pipes([COST_HEAD, *([_plain(cell) for cell in row] for row in rows)], left=3)


def _pipes(grid: Sequence[Sequence[str]], left: int) -> Verbatim:
    """A table padded to equal widths; the first ``left`` columns are aligned left, others right."""
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    rule = ["-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = []
    for cells in [grid[0], rule, *grid[1:]]:
        padded = [
            f"{cell:<{width}}" if index < left else f"{cell:>{width}}"
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(padded)} |")
    return Verbatim("\n".join(lines))


def _prose(text: str) -> Verbatim:
    """Text of a paper's file: code spans stay, nothing else is markup."""
    escaped = re.sub(r"([\\|*<\[\]])", r"\\\1", " ".join(text.split()))
    return Verbatim(escaped.replace("&", "&amp;"))


def _plain(text: str) -> str:
    """Text from outside, such as the name of a folder: nothing in it is markup."""
    return _prose(text).replace("`", "\\`")
