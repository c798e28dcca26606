"""The report as one HTML page: no script, no request, light and dark, readable on a phone."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment
from markupsafe import Markup, escape

from sr_experiments.report.evidence.groups import budget_rank
from sr_experiments.report.render.crops import Comparison, comparisons
from sr_experiments.report.render.document import Document
from sr_experiments.report.render.figures import effect_figure, figures
from sr_experiments.report.render.jinja import environment
from sr_experiments.report.render.latex import table_latex
from sr_experiments.report.render.provenance import cited
from sr_experiments.report.render.verdict_text import OUTCOMES


def to_html(reports: Sequence[Document]) -> str:
    """All papers on a page that stands alone; the same runs give the same page."""
    skipped = dict.fromkeys(pair for report in reports for pair in report.skipped)
    page = _environment().get_template("page.html.j2")
    return page.render(reports=reports, skipped=list(skipped))


@cache
def _environment() -> Environment:
    made = environment()
    made.filters |= {"prose": prose, "capitalized": lambda text: text[:1].upper() + text[1:]}
    made.globals |= {
        "OUTCOMES": list(OUTCOMES),
        "budgets": _budgets,
        "cited": cited,
        "comparisons": _comparisons,
        "counts": lambda report: Counter(v.outcome for v in report.verdicts if v.counted),
        "effect_figure": effect_figure,
        "figures": figures,
        "isinf": math.isinf,
        "table_latex": table_latex,
    }
    return made


def prose(text: str) -> Markup:
    """Text of a paper's file: escaped, with its code spans."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _budgets(report: Document) -> list[str]:
    return sorted({run.budget for run in report.used}, key=budget_rank)


def _comparisons(report: Document) -> list[Comparison]:
    return [found for table in report.tables for found in comparisons(table, report.runs)]
