"""A table in LaTeX with booktabs, to be pasted into a paper as it is."""

import re
from functools import cache

from jinja2 import Environment

from sr_experiments.report.evidence.table import Table
from sr_experiments.report.render.document import Document
from sr_experiments.report.render.jinja import Verbatim, environment
from sr_experiments.report.render.table_text import CellText

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
    paper_title = " ".join(report.paper.reference.title.split())
    head = f"% {paper_title}\n% Needs \\usepackage{{booktabs}}."
    tables = [table_latex(t, n) for n, t in enumerate(report.tables, 1) if t.rows]
    return "\n\n".join([head, *tables]) + "\n"


def table_latex(table: Table, number: int) -> str:
    """One table; ``number`` makes its label unique within the paper."""
    template = _environment().get_template("table.tex.j2")
    return template.render(table=table, number=number).rstrip("\n")


def escape(text: str) -> str:
    """Text in which nothing is a command; a line break is a space."""
    return "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.split()))


@cache
def _environment() -> Environment:
    made = environment(
        escape,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    made.filters |= {"cell": _cell, "verbatim": Verbatim}
    return made


def _cell(cell: CellText) -> Verbatim:
    text = escape(cell.text)
    if re.match(r"[+-]\d", text):
        text = f"${text}$"  # a minus, not a hyphen
    elif text == "-":
        text = "--"
    return Verbatim(rf"\textbf{{{text}}}" if cell.best else text)
