"""A report as Markdown whose tables also read well as plain text."""

import re
from collections.abc import Sequence

from sr_experiments.report.evidence.cost import HEAD as COST_HEAD
from sr_experiments.report.evidence.cost import LEGEND as COST_LEGEND
from sr_experiments.report.evidence.cost import cost_rows
from sr_experiments.report.evidence.table import Table
from sr_experiments.report.paper.strict import Metric
from sr_experiments.report.render.document import Document
from sr_experiments.report.render.heading import heading, standing
from sr_experiments.report.render.text import LABELS, LEGEND, Pair, blocks, column_labels
from sr_experiments.report.render.wording import LEGEND as CLAIMS_LEGEND
from sr_experiments.report.render.wording import tally, wording


def to_markdown(report: Document) -> str:
    """The whole report: verdicts, tables with heading, notes and runs, costs, remarks."""
    parts = [f"# {_prose(report.paper.reference.title)}", *_claims(report)]
    for table in report.tables:
        parts += _table(table)
        parts += _cost(table)
        parts += _bullets("### Runs of this table", [_name(n) for n in report.run_names(table)])
    parts += _bullets("## Remarks", [_prose(remark) for remark in report.paper.remarks])
    left_out = [f"{_name(folder)}: {_name(reason)}" for folder, reason in report.skipped]
    parts += _bullets("## Folders left out", left_out)
    return "\n\n".join(parts) + "\n"


def _claims(report: Document) -> list[str]:
    if not report.verdicts:
        return []
    grid = [["Claim", "Verdict", "Ours", "Paper", "On what"]]
    notes = []
    for verdict in report.verdicts:
        found = wording(verdict, report.paper)
        ours = f"{found.effect} {found.interval}".strip()
        outcome = f"{found.outcome} ({found.budget})" if found.budget else found.outcome
        basis = f"{found.basis}: {found.parts}" if found.parts else found.basis
        told = (outcome, ours, found.published, basis)
        grid.append([_prose(found.claim), *map(_name, told)])
        if found.note:
            notes.append(f"{_prose(found.claim.rstrip('.'))}: {_prose(found.note)}")
    # Claims are sentences: padding all of them to the longest would help nobody.
    lines = [f"| {' | '.join(cells)} |" for cells in [grid[0], ["---"] * 5, *grid[1:]]]
    head = [f"## Claims: {tally(report.verdicts)}", "\n".join(lines), CLAIMS_LEGEND]
    return head + _bullets("### Notes on the claims", notes)


def _table(table: Table) -> list[str]:
    budget = f", budget={table.budget}" if table.budget is not None else ""
    lines = [f"- **{label}**: {_name(text)}" for label, text in heading(table)]
    parts = [f"## {_name(table.source.title + budget)}", "\n".join(lines)]
    if table.rows:
        parts += [_scores(table), LEGEND]
    parts += [f"**{_name(standing(table))}**"]
    return parts + _bullets("### Notes", [_name(note) for note in table.notes])


def _scores(table: Table) -> str:
    metrics = table.source.metrics
    names = [f"{_name(c)} {LABELS[metric]}" for c in column_labels(table) for metric in metrics]
    grid = [["Scale", "Data set", "Source", *names]]
    for block in blocks(table):
        for line in block.lines:
            figures = [text for pair in line.pairs for text in _figures(pair, metrics)]
            grid.append([f"x{block.scale}", _name(block.dataset), line.label, *figures])
    return _pipes(grid, left=3)


def _cost(table: Table) -> list[str]:
    rows = cost_rows(table)
    return (
        [
            "### Cost",
            _pipes([list(COST_HEAD), *[[*map(_name, row)] for row in rows]], left=3),
            COST_LEGEND,
        ]
        if rows
        else []
    )


def _pipes(grid: Sequence[Sequence[str]], left: int) -> str:
    """A table with its columns padded to one width; all but the first ``left`` stand right."""
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    rule = ["-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = []
    for cells in [grid[0], rule, *grid[1:]]:
        padded = [
            f"{cell:<{width}}" if index < left else f"{cell:>{width}}"
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join(lines)


def _figures(pair: Pair, metrics: Sequence[Metric]) -> list[str]:
    found = [pair.get(metric) for metric in metrics]
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
