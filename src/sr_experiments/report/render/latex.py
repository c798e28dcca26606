"""A table in LaTeX with booktabs, to be pasted into a paper as it is."""

import re

from sr_experiments.report.evidence.table import Table
from sr_experiments.report.paper.strict import Metric
from sr_experiments.report.render.caption import essentials
from sr_experiments.report.render.document import Document
from sr_experiments.report.render.heading import standing
from sr_experiments.report.render.text import LABELS, Pair, blocks, column_labels

#: What LaTeX would take for a command.
SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",  # after a line's end it would be a length
    "]": "{]}",
}


def to_latex(report: Document) -> str:
    """All tables of a paper; a comment says what the preamble needs."""
    head = f"% {' '.join(report.paper.reference.title.split())}\n% Needs \\usepackage{{booktabs}}."
    return (
        "\n\n".join([head, *(table_latex(t, n) for n, t in enumerate(report.tables, 1) if t.rows)])
        + "\n"
    )


def table_latex(table: Table, number: int) -> str:
    """One table; ``number`` makes its label unique within the paper."""
    metrics, labels = table.source.metrics, column_labels(table)
    width = len(metrics)
    tops = " & ".join(rf"\multicolumn{{{width}}}{{c}}{{{escape(name)}}}" for name in labels)
    rules = "".join(
        rf"\cmidrule(lr){{{3 + width * i}-{2 + width * (i + 1)}}}" for i in range(len(labels))
    )
    units = " & ".join(LABELS[metric] for _ in labels for metric in metrics)
    caption = f"{table.source.title}. {essentials(table)}. {standing(table)}"
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{table.paper.name}-{table.source.id}-{number}}}",
        rf"\begin{{tabular}}{{ll{'r' * (width * len(labels))}}}",
        r"\toprule",
        rf" & & {tops} \\",
        rules,
        rf"Data set & Source & {units} \\",
        *_body(table, metrics),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text in which nothing is a command; a line break is a space."""
    return "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.split()))


def _body(table: Table, metrics: tuple[Metric, ...]) -> list[str]:
    lines = []
    for block in blocks(table):
        lines.append(r"\midrule")
        name = rf"$\times${block.scale} {escape(block.dataset)}"
        for number, line in enumerate(block.lines):
            figures = [text for pair in line.pairs for text in _figures(pair, metrics)]
            cells = [name if number == 0 else "", escape(line.label), *figures]
            lines.append(rf"{' & '.join(cells)} \\")
    return lines


def _figures(pair: Pair, metrics: tuple[Metric, ...]) -> list[str]:
    texts = []
    for metric in metrics:
        figure = pair.get(metric)
        text = "" if figure is None else figure.text
        if re.match(r"[+-]\d", text):
            text = f"${text}$"  # a minus, not a hyphen
        elif text == "-":
            text = "--"
        texts.append(rf"\textbf{{{text}}}" if figure is not None and figure.best else text)
    return texts
