"""The templates: what a report looks like, apart from what it says.

Everything that a template inserts is escaped for the language it writes, unless it is already in
that language: :class:`markupsafe.Markup` in HTML, :class:`Verbatim` elsewhere.
"""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sr_experiments.report.evidence.anchors import LEGEND as ANCHORS_LEGEND
from sr_experiments.report.evidence.cost import HEAD as COST_HEAD
from sr_experiments.report.evidence.cost import LEGEND as COST_LEGEND
from sr_experiments.report.evidence.cost import cost_rows
from sr_experiments.report.render import design_text, provenance, table_text, verdict_text


class Verbatim(str):
    """Text that is already in the language of its template."""


def environment(escape: Callable[[str], str] | None = None, **delimiters: str) -> Environment:
    """An environment in which an undefined name is an error.

    Args:
        escape: for a language other than HTML. Jinja2's own autoescape knows HTML only; this
            one is called on every inserted value instead.
        delimiters: those of Jinja2, where its own mean something in the language.
    """

    def finalize(value: object) -> object:
        return value if escape is None or isinstance(value, Verbatim) else escape(str(value))

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=escape is None,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **delimiters,  # type: ignore[arg-type]
    )
    made.globals |= {
        "ANCHORS_LEGEND": ANCHORS_LEGEND,
        "COST_HEAD": COST_HEAD,
        "COST_LEGEND": COST_LEGEND,
        "LABELS": table_text.LABELS,
        "SCORES_LEGEND": table_text.LEGEND,
        "VERDICTS_LEGEND": verdict_text.LEGEND,
        "blocks": table_text.blocks,
        "column_labels": table_text.column_labels,
        "cost_rows": cost_rows,
        "disclaimer": provenance.disclaimer,
        "essentials": provenance.essentials,
        "heading": provenance.heading,
        "our_runs": provenance.our_runs,
        "power": design_text.power,
        "recipe_deviations": design_text.recipe_deviations,
        "tally": verdict_text.tally,
        "title": provenance.title,
        "verdict_text": verdict_text.verdict_text,
    }
    return made
