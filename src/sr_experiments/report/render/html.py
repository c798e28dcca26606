"""The report as one HTML page: no script, no request, light and dark, readable on a phone."""

from collections import Counter
from collections.abc import Sequence
from html import escape
from string import Template

from sr_experiments.report.evidence.groups import budget_rank
from sr_experiments.report.render.document import Document
from sr_experiments.report.render.sections import listing, scrolling, section
from sr_experiments.report.render.style import STYLE
from sr_experiments.report.render.wording import OUTCOMES

TITLE = "Super-resolution: papers and our runs"

PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header>
<h1>$title</h1>
<p>$about</p>
<nav aria-label="Papers">
<ul>
$links</ul>
</nav>
</header>
<main id="main" tabindex="-1">
$body
</main>
</body>
</html>
"""
)

ABOUT = (
    "What papers printed, what our runs scored, and what follows. Every number names its protocol, "
    "budget, network and seeds. Below budget=paper, or with another network than the paper's, runs "
    "show the direction of an effect and nothing more."
)


def to_html(reports: Sequence[Document]) -> str:
    """All papers on a page that stands alone; the same runs give the same page."""
    links = "".join(
        f'<li><a href="#{report.paper.name}">{escape(report.paper.name)}</a></li>\n'
        for report in reports
    )
    parts = [_overview(reports), *map(section, reports)]
    skipped = dict.fromkeys(pair for report in reports for pair in report.skipped)
    left_out = [f"<code>{escape(name)}</code>: {escape(why)}" for name, why in skipped]
    if left_out:
        parts.append('<section class="paper" aria-labelledby="left-out">')
        parts += listing("Folders left out", left_out, level="h2")
        parts[-1] = parts[-1].replace("<h2>", '<h2 id="left-out">', 1)
        parts.append("</section>")
    return PAGE.substitute(
        title=TITLE, style=STYLE, about=ABOUT, links=links, body="\n".join(parts)
    )


def _overview(reports: Sequence[Document]) -> str:
    heads = [*(name[0].upper() + name[1:] for name in OUTCOMES), "Our runs", "Budgets"]
    columns = "".join(
        f'<th scope="col"{_kind(name)}>{escape(name)}</th>' for name in ("Paper", *heads)
    )
    table = (
        '<table class="lines">\n<caption>Claims by what our runs say of them; one that was tried '
        "at several budgets counts at each.</caption>\n"
        f"<thead>\n<tr>{columns}</tr>\n</thead>\n"
        f"<tbody>\n{''.join(map(_line, reports))}</tbody>\n</table>"
    )
    return (
        '<section aria-labelledby="overview">\n<h2 id="overview">At a glance</h2>\n'
        f"{scrolling('At a glance', table)}\n</section>"
    )


def _line(report: Document) -> str:
    name, title = report.paper.name, report.paper.reference.title
    counts = Counter(verdict.outcome for verdict in report.verdicts)
    budgets = sorted({run.budget for run in report.used}, key=budget_rank)
    cells = "".join(f"<td>{counts[outcome] or ''}</td>" for outcome in OUTCOMES)
    return (
        f'<tr><th scope="row" class="long"><a href="#{name}">{escape(title)}</a></th>'
        f'{cells}<td>{len(report.used)}</td><td class="text">{escape(", ".join(budgets))}</td>'
        "</tr>\n"
    )


def _kind(name: str) -> str:
    return ' class="text"' if name in ("Paper", "Budgets") else ""
