"""The section of one paper on the report page: claims, tables, figures, pictures, remarks."""

import math
import re
from collections.abc import Iterable, Sequence
from html import escape

from sr_experiments.report.evidence.cost import HEAD as COST_HEAD
from sr_experiments.report.evidence.cost import LEGEND as COST_LEGEND
from sr_experiments.report.evidence.cost import cost_rows
from sr_experiments.report.evidence.table import Table
from sr_experiments.report.evidence.verdicts import Verdict
from sr_experiments.report.paper.definition import Paper
from sr_experiments.report.paper.strict import Metric
from sr_experiments.report.render.caption import essentials, ours
from sr_experiments.report.render.crops import Comparison, Crop, comparisons
from sr_experiments.report.render.document import Document
from sr_experiments.report.render.figures import Shown, figures
from sr_experiments.report.render.heading import heading, standing
from sr_experiments.report.render.latex import table_latex
from sr_experiments.report.render.text import LABELS, LEGEND, Block, Pair, blocks, column_labels
from sr_experiments.report.render.wording import LEGEND as CLAIMS_LEGEND
from sr_experiments.report.render.wording import tally, wording

#: Classes of the outcomes; each is also told in words and by the shape of its mark.
OUTCOMES = {
    "holds": "holds",
    "does not hold": "fails",
    "undecided": "undecided",
    "no runs": "none",
}

CLAIM_HEAD = ("Claim", "Verdict", "Ours", "Paper", "On what")


def section(report: Document) -> str:
    """All of a paper."""
    paper, reference = report.paper, report.paper.reference
    original = reference.original_title
    parts = [
        f'<section class="paper" id="{paper.name}" aria-labelledby="{paper.name}-title">',
        f'<h2 id="{paper.name}-title">{escape(reference.title)}</h2>',
        f'<p class="by" lang="ko">{escape(original)}</p>' if original else "",
        f'<p class="by">{escape(_authors(report))}</p>',
        *_claims(report),
    ]
    for number, table in enumerate(report.tables):
        if table.rows:
            parts += _table_part(report, table, f"{paper.name}-table-{number}", number + 1)
    empty = [table for table in report.tables if not table.rows]
    parts += listing("Without numbers", (_named(t.source.title, standing(t)) for t in empty))
    shown = figures(paper, report.tables)
    drawn = [figure for figure in shown if figure.panels]
    if drawn:
        parts.append("<h3>Figures</h3>")
        parts += [_figure(figure) for figure in drawn]
    missing = [figure for figure in shown if not figure.panels]
    parts += listing("Figures not drawn", (_named(f.title, f.caption) for f in missing))
    pictures = [found for table in report.tables for found in comparisons(table, report.runs)]
    if pictures:
        parts.append("<h3>Pictures</h3>")
        parts += [_pictures(found) for found in pictures]
    parts += listing("Remarks", map(prose, paper.remarks))
    parts.append("</section>")
    return "\n".join(part for part in parts if part)


def outcome(name: str) -> str:
    """An outcome in words, with its mark."""
    return f'<span class="outcome {OUTCOMES.get(name, "none")}">{escape(name)}</span>'


def listing(title: str, items: Iterable[str], level: str = "h3") -> list[str]:
    """A heading and a list of markup; nothing without items."""
    lines = "".join(f"<li>{item}</li>\n" for item in items)
    return [f"<{level}>{title}</{level}>\n<ul>\n{lines}</ul>"] if lines else []


def prose(text: str) -> str:
    """Text of a paper's file: escaped, with its code spans."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def scrolling(label: str, table: str) -> str:
    """A box of its own for what may be wider than the page; the keyboard scrolls it too."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">\n'
        f"{table}\n</div>"
    )


def _authors(report: Document) -> str:
    reference = report.paper.reference
    parts = [", ".join(reference.authors), reference.affiliation, reference.venue]
    parts.append(str(reference.year) if reference.year else None)
    return "; ".join(part for part in parts if part)


def _claims(report: Document) -> list[str]:
    if not report.verdicts:
        return []
    rows = "".join(_claim(verdict, report.paper) for verdict in report.verdicts)
    heads = "".join(f'<th scope="col" role="columnheader">{name}</th>' for name in CLAIM_HEAD)
    # On a phone the rows become blocks; the roles keep them a table for who listens to it.
    table = (
        '<table class="words" role="table">\n'
        f"<caption>{escape(tally(report.verdicts))}.</caption>\n"
        f'<thead role="rowgroup">\n<tr role="row">{heads}</tr>\n</thead>\n'
        f'<tbody role="rowgroup">\n{rows}</tbody>\n</table>'
    )
    legend = f'<p class="legend">{escape(CLAIMS_LEGEND)}</p>'
    return ["<h3>Claims</h3>", scrolling(f"Claims of {report.paper.name}", table), legend]


def _claim(verdict: Verdict, paper: Paper) -> str:
    found = wording(verdict, paper)
    small = "".join(f"<small>{prose(text)}</small>" for text in (found.source, found.note) if text)
    cells = (
        outcome(found.outcome) + _small(found.budget),
        _number(found.effect, found.interval),
        escape(found.published).replace(" ", "&nbsp;", 1),
        escape(found.basis) + _small(found.parts),
    )
    columns = "".join(
        f'<td role="cell" data-label="{label}">{cell}</td>'
        for label, cell in zip(CLAIM_HEAD[1:], cells, strict=True)
    )
    claim = f'<th scope="row" role="rowheader">{prose(found.claim)}{small}</th>'
    return f'<tr role="row">{claim}{columns}</tr>\n'


def _number(effect: str, interval: str) -> str:
    return f'<span class="number">{escape(effect)}{_small(interval)}</span>' if effect else ""


def _small(text: str) -> str:
    return f"<small>{escape(text)}</small>" if text else ""


def _table_part(report: Document, table: Table, name: str, number: int) -> list[str]:
    budget = f", budget={table.budget}" if table.budget is not None else ""
    title = table.source.title + budget
    lines = "".join(
        f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>\n" for label, text in heading(table)
    )
    parts = [
        f'<h3 id="{name}">{escape(title)}</h3>',
        f'<p class="standing">{escape(standing(table))}</p>',
    ]
    parts += [_scores(table, title), f'<p class="legend">{escape(LEGEND)}</p>']
    parts += listing("Notes", map(escape, table.notes), level="h4")
    parts += _costs(table)
    parts.append(_details("How these numbers came about", f"<dl>\n{lines}</dl>"))
    latex = escape(table_latex(table, number))
    label = f'aria-label="LaTeX of {escape(title)}"'
    parts.append(_details("LaTeX", f'<pre tabindex="0" role="region" {label}>{latex}</pre>'))
    runs = "".join(f"<li><code>{escape(run)}</code></li>\n" for run in report.run_names(table))
    if runs:
        parts.append(_details("Runs of this table", f"<ul>\n{runs}</ul>"))
    return parts


def _named(title: str, text: str) -> str:
    return f"{escape(title)}. {escape(text)}"


def _details(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n{body}\n</details>"


def _scores(table: Table, title: str) -> str:
    labels, metrics = column_labels(table), table.source.metrics
    width = len(metrics)
    groups = f'<colgroup span="{width}"></colgroup>' * len(labels)
    if width > 1:
        tops = "".join(
            f'<th scope="colgroup" colspan="{width}">{escape(label)}</th>' for label in labels
        )
        units = "".join(f'<th scope="col">{LABELS[m]}</th>' for _ in labels for m in metrics)
        units = f"<tr>{units}</tr>\n"
    else:
        tops, units = "".join(f'<th scope="col">{escape(label)}</th>' for label in labels), ""
    rows = f' rowspan="{2 if units else 1}"'
    bodies, scale = [], None
    for block in blocks(table):
        bodies.append(_body(block, metrics, first=block.scale != scale))
        scale = block.scale
    markup = (
        f'<table class="scores">\n<caption>{escape(essentials(table))}. PSNR in dB.</caption>\n'
        f'<colgroup span="2"></colgroup>{groups}\n<thead>\n'
        f'<tr><th scope="col"{rows}>Data set</th><th scope="col"{rows}>Source</th>{tops}</tr>\n'
        f"{units}</thead>\n{''.join(bodies)}</table>"
    )
    return scrolling(title, markup)


def _body(block: Block, metrics: Sequence[Metric], first: bool) -> str:
    rows = []
    name = f"x{block.scale} {block.dataset}"
    for number, line in enumerate(block.lines):
        head = f'<th scope="rowgroup" rowspan="{len(block.lines)}">{escape(name)}</th>'
        figures = "".join(_cells(pair, metrics) for pair in line.pairs)
        rows.append(
            f'<tr class="{line.kind}">{head if number == 0 else ""}'
            f'<th scope="row">{escape(line.label)}</th>{figures}</tr>\n'
        )
    start = '<tbody class="first">' if first else "<tbody>"
    return f"{start}\n{''.join(rows)}</tbody>\n"


def _cells(pair: Pair, metrics: Sequence[Metric]) -> str:
    cells = []
    for metric in metrics:
        figure = pair.get(metric)
        text = escape(figure.text) if figure is not None else ""
        text = f"<b>{text}</b>" if figure is not None and figure.best else text
        start = ' class="start"' if metric == metrics[0] else ""
        cells.append(f"<td{start}>{text}</td>")
    return "".join(cells)


def _costs(table: Table) -> list[str]:
    rows = cost_rows(table)
    if not rows:
        return []
    words = 3  # scale, variant and device are words
    heads = "".join(
        f'<th scope="col"{_text(i < words)}>{escape(name)}</th>' for i, name in enumerate(COST_HEAD)
    )
    lines = []
    for scale, label, device, *numbers in rows:
        cells = "".join(f"<td>{escape(number)}</td>" for number in numbers)
        lines.append(
            f'<tr><td class="text">{escape(scale)}</td><th scope="row">{escape(label)}</th>'
            f'<td class="text">{escape(device)}</td>{cells}</tr>\n'
        )
    caption = f"What it costs; {ours(table.group.members)}."
    markup = (
        f'<table class="lines">\n<caption>{escape(caption)}</caption>\n<thead>\n<tr>{heads}</tr>\n'
        f"</thead>\n<tbody>\n{''.join(lines)}</tbody>\n</table>"
    )
    legend = f'<p class="legend">{escape(COST_LEGEND)}</p>'
    title = f"Cost: {table.source.title}"
    return ["<h4>Cost</h4>", scrolling(title, markup), legend]


def _text(words: bool) -> str:
    return ' class="text"' if words else ""


def _figure(shown: Shown) -> str:
    panels = "".join(
        f'<div class="panel{" wide" if panel.wide else ""}"{_scrolls(panel.wide, shown.title)}>\n'
        f"{f'<p>{escape(panel.title)}</p>' if panel.title else ''}{panel.svg}\n</div>\n"
        for panel in shown.panels
    )
    return (
        f'<figure id="{shown.id}" aria-labelledby="{shown.id}-name">\n'
        f'<h4 id="{shown.id}-name">{escape(shown.title)}</h4>\n'
        f'<div class="panels">\n{panels}</div>\n'
        f"<figcaption>{prose(shown.caption)}</figcaption>\n</figure>"
    )


def _scrolls(wide: bool, title: str) -> str:
    return f' tabindex="0" role="region" aria-label="{escape(title)}"' if wide else ""


def _pictures(found: Comparison) -> str:
    left, top, width, height = found.box
    title = f"{found.picture} of {found.dataset}, x{found.scale}: {found.table.source.title}"
    crops = "".join(_crop(crop, found) for crop in found.crops)
    truth = found.crops[0].picture is None and found.crops[0].label == "Ground truth"
    how = (
        f"Of the pictures that the runs have kept, the one on which PSNR differs most, and the "
        f"place in it where the outputs do: {width} x {height} pixels, {left} from the left and "
        f"{top} from the top. PSNR of the whole picture by {found.protocol}"
    )
    how += "; of the crop over R, G and B." if truth else "; the runs keep no ground truth."
    how += f" {ours(found.runs)[:1].upper()}{ours(found.runs)[1:]}."
    return (
        f'<figure>\n<h4>{escape(title)}</h4>\n<ul class="crops">\n{crops}</ul>\n'
        f"<figcaption>{escape(how)}</figcaption>\n</figure>"
    )


def _crop(crop: Crop, found: Comparison) -> str:
    left, top, width, height = found.box
    alt = f"{crop.label}: {found.picture}, {width} x {height} pixels at {left}, {top}"
    lines = []
    if crop.picture is not None:
        lines.append(f"{crop.picture:.2f} dB")
    if crop.crop is not None:
        lines.append("crop exact" if math.isinf(crop.crop) else f"crop {crop.crop:.2f} dB")
    numbers = "".join(f"<span>{line}</span>" for line in lines)
    return (
        f'<li><img src="{crop.uri}" width="{width}" height="{height}" alt="{escape(alt)}">'
        f"{escape(crop.label)}{numbers}</li>\n"
    )
