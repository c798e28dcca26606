"""A report as one HTML page: no script, no request, light and dark, readable on a phone."""

import re
from collections.abc import Iterable
from html import escape
from string import Template

from sr_experiments.papers.document import Document
from sr_experiments.papers.heading import heading, standing
from sr_experiments.papers.render import LABELS, LEGEND, Block, Pair, blocks, column_labels
from sr_experiments.papers.schema import METRICS
from sr_experiments.papers.table import Table

STYLE = """
:root { color-scheme: light dark; --ink: #1d2127; --soft: #59626e; --paper: #fff;
  --rule: #d5dae0; --band: #f4f6f8; --mark: #0b57a4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --soft: #a0a9b4; --paper: #14171b; --rule: #363d46; --band: #1d2228;
    --mark: #8cc0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 78rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 2.8rem 0 .8rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p, ul, dl { max-width: 46rem; }
.by, .legend, caption { color: var(--soft); }
.by { margin: 0; }
.legend { font-size: .875rem; }
.standing { border-left: .25rem solid var(--mark); padding-left: .8rem; font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; font-size: .9rem; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
li { margin: .3rem 0; overflow-wrap: anywhere; }
code { font: .92em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.scroll { overflow-x: auto; margin: 1.2rem 0; }
.scroll:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .875rem; line-height: 1.35; white-space: nowrap;
  font-variant-numeric: tabular-nums lining-nums; }
caption { text-align: left; padding-bottom: .5rem; white-space: normal; }
th, td { padding: .18rem .55rem; text-align: right; font-weight: 400; }
thead th { font-weight: 600; vertical-align: bottom; }
thead th[scope=colgroup] { text-align: center; border-bottom: 1px solid var(--rule); }
thead th[rowspan], tbody th { text-align: left; }
tbody th[scope=rowgroup] { position: sticky; left: 0; background: var(--paper);
  font-weight: 600; vertical-align: top; }
tbody th[scope=row], .spread td, .seeds td, .difference td { color: var(--soft); }
tbody tr:first-child > * { border-top: 1px solid var(--rule); padding-top: .4rem; }
tbody.first tr:first-child > * { border-top: 2px solid var(--ink); }
tbody tr:last-child > * { padding-bottom: .4rem; }
td.start { padding-left: 1.1rem; }
td b { color: var(--mark); }
.ours td { background: var(--band); }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
  body { padding-top: 1.2rem; } }
"""

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
<header>
<h1>$title</h1>
$original<p class="by">$authors</p>
</header>
<main>
$body
</main>
</body>
</html>
"""
)


def to_html(report: Document) -> str:
    """The whole report as a page that stands alone."""
    reference = report.paper.reference
    parts = [part for table in report.tables for part in _section(report, table)]
    parts += _list("Remarks", map(_prose, report.paper.remarks))
    left_out = [f"<code>{escape(name)}</code>: {escape(why)}" for name, why in report.skipped]
    parts += _list("Folders left out", left_out)
    original = reference.original_title
    return PAGE.substitute(
        title=escape(reference.title),
        original=f'<p class="by">{escape(original)}</p>\n' if original else "",
        authors=escape(", ".join(reference.authors)),
        style=STYLE,
        body="\n".join(parts),
    )


def _section(report: Document, table: Table) -> list[str]:
    budget = f", budget={table.budget}" if table.budget is not None else ""
    title = table.source.title + budget
    lines = "".join(
        f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>\n" for label, text in heading(table)
    )
    parts = [
        f"<h2>{escape(title)}</h2>",
        f'<p class="standing">{escape(standing(table))}</p>',
        f"<dl>\n{lines}</dl>",
        _table(table, title),
        f'<p class="legend">{escape(LEGEND)}</p>',
    ]
    parts += _list("Notes", map(escape, table.notes), level="h3")
    runs = [f"<code>{escape(run)}</code>" for run in report.runs(table)]
    if runs:
        items = "".join(f"<li>{run}</li>\n" for run in runs)
        parts.append(f"<details><summary>Runs of this table</summary><ul>\n{items}</ul></details>")
    return parts


def _table(table: Table, title: str) -> str:
    labels = column_labels(table)
    groups = "<colgroup span=2></colgroup>" * len(labels)
    tops = "".join(f'<th scope="colgroup" colspan="2">{escape(label)}</th>' for label in labels)
    units = "".join(f'<th scope="col">{LABELS[metric]}</th>' for _ in labels for metric in METRICS)
    bodies, scale = [], None
    for block in blocks(table):
        bodies.append(_body(block, first=block.scale != scale))
        scale = block.scale
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">\n<table>\n'
        f"<caption>{escape(title)}. PSNR in dB; ours beside the published numbers.</caption>\n"
        f"<colgroup span=2></colgroup>{groups}\n<thead>\n"
        f'<tr><th scope="col" rowspan="2">Data set</th><th scope="col" rowspan="2">Source</th>'
        f"{tops}</tr>\n<tr>{units}</tr>\n</thead>\n{''.join(bodies)}</table>\n</div>"
    )


def _body(block: Block, first: bool) -> str:
    rows = []
    name = f"x{block.scale} {block.dataset}"
    for number, line in enumerate(block.lines):
        head = f'<th scope="rowgroup" rowspan="{len(block.lines)}">{escape(name)}</th>'
        figures = "".join(_figures(pair) for pair in line.pairs)
        rows.append(
            f'<tr class="{line.kind}">{head if number == 0 else ""}'
            f'<th scope="row">{escape(line.label)}</th>{figures}</tr>\n'
        )
    start = '<tbody class="first">' if first else "<tbody>"
    return f"{start}\n{''.join(rows)}</tbody>\n"


def _figures(pair: Pair) -> str:
    cells = []
    for metric in METRICS:
        figure = pair.get(metric)
        text = escape(figure.text) if figure is not None else ""
        text = f"<b>{text}</b>" if figure is not None and figure.best else text
        start = ' class="start"' if metric == METRICS[0] else ""
        cells.append(f"<td{start}>{text}</td>")
    return "".join(cells)


def _list(title: str, items: Iterable[str], level: str = "h2") -> list[str]:
    lines = "".join(f"<li>{item}</li>\n" for item in items)
    return [f"<{level}>{title}</{level}>\n<ul>\n{lines}</ul>"] if lines else []


def _prose(text: str) -> str:
    """A remark: escaped, with its code spans."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
