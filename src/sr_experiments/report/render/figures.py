"""The figures of a paper drawn from our runs: which data goes into which drawing."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from sr_experiments.metrics.protocols import PROTOCOLS
from sr_experiments.report.evidence.curves import Band, Curve, band, read_curve
from sr_experiments.report.evidence.table import Row, Table
from sr_experiments.report.evidence.verdicts import Verdict
from sr_experiments.report.paper.definition import DRAWN_FROM, Column, Paper, PaperFigure
from sr_experiments.report.render import plots
from sr_experiments.report.render.provenance import our_runs, same_network
from sr_experiments.runs.records import Run

#: A curve of fewer points is shown as a whole only.
MIN_POINTS = 6
#: Data sets of a figure of kind ``bars`` at one scale; a table holds all of them.
MAX_DATASETS = 4


@dataclass(frozen=True)
class Panel:
    """A drawing; a ``wide`` one takes a whole row."""

    svg: Markup
    title: str = ""
    wide: bool = False


@dataclass(frozen=True)
class DrawnFigure:
    """A figure: its drawings, and what a reader has to know to read them."""

    id: str
    title: str
    caption: str
    panels: Sequence[Panel]


def figures(paper: Paper, tables: Sequence[Table]) -> list[DrawnFigure]:
    """All figures of a paper; one that no run fills has no panel, and its caption says why."""
    found: list[DrawnFigure] = []
    for figure in paper.figures:
        drawn = list(_figure(paper, figure, tables))
        found += drawn or [
            DrawnFigure(_id(paper, figure), figure.title, _absent(paper, figure), [])
        ]
    return found


def effect_figure(paper: Paper, verdicts: Sequence[Verdict]) -> DrawnFigure | None:
    """The measured effects in dB and per cent beside the published ones; None without any.

    Of a claim that several groups of runs are judged on, the first: the largest budget.
    """
    first: dict[str, Verdict] = {}
    for verdict in verdicts:
        first.setdefault(verdict.claim.id, verdict)
    panels = []
    for number, unit in enumerate(("dB", "%")):
        lines = [
            plots.Effect(
                label=" ".join(verdict.claim.text.split()),
                value=verdict.effect,
                interval=verdict.interval,
                published=verdict.published.value if verdict.published else None,
                decided=verdict.outcome in ("holds", "does not hold"),
            )
            for verdict in first.values()
            if verdict.unit == unit and verdict.effect is not None and math.isfinite(verdict.effect)
        ]
        if lines:
            name = f"{paper.name}-effects-{number}"
            svg = plots.effects_panel(name, f"Effects in {unit}", unit, lines)
            panels.append(Panel(svg, wide=True))
    if not panels:
        return None
    caption = (
        "Claims and signs as above. A dot is our effect with its 95 % interval, filled where the "
        "claim is decided; a diamond, or a number at the frame, is the published effect, whose "
        "budget and network may be others. A line that reaches the frame goes on."
    )
    return DrawnFigure(f"{paper.name}-effects", "Effects, ours and published", caption, panels)


def _figure(paper: Paper, figure: PaperFigure, tables: Sequence[Table]) -> Iterator[DrawnFigure]:
    name, note = _id(paper, figure), figure.note or ""
    if figure.kind in _COMPUTED:
        text, draw, wide = _COMPUTED[figure.kind]
        panel = Panel(draw(f"{name}-a", figure.title), wide=wide)
        yield DrawnFigure(name, figure.title, f"{text} {note}".strip(), [panel])
        return
    for number, table in enumerate(t for t in tables if t.source.id == figure.table):
        scales = figure.scales or sorted({run.scale for run in table.group.members})
        for scale in scales:
            shown = _DRAWN[figure.kind](f"{name}-{number}-x{scale}", figure, table, scale)
            if shown is not None:
                yield shown


def _curve(name: str, figure: PaperFigure, table: Table, scale: int) -> DrawnFigure | None:
    protocol = figure.protocol or table.source.other_datasets.psnr
    bands: dict[str, Band] = {}
    used: list[Run] = []
    for column in _columns(figure, table):
        curves: dict[int, tuple[Run, Curve]] = {}
        for run in _runs(table, column, scale):
            curve = read_curve(run, protocol, column.weights)
            if curve is not None:
                curves[run.seed] = run, curve
        joined = band([curve for _, curve in curves.values()])
        if joined is not None:
            bands[column.label] = joined
            used += [run for run, _ in curves.values()]
    if not bands:
        return None
    title = f"{figure.title}, x{scale}"
    by_epoch = figure.x == "epoch"
    panels = [Panel(plots.curves_panel(f"{name}-a", title, bands, by_epoch))]
    parts = [f"PSNR by {protocol} on our validation images ({PROTOCOLS[protocol].psnr_rule})"]
    if min(len(joined.updates) for joined in bands.values()) >= MIN_POINTS:
        half = f"{title}, second half of the training"
        svg = plots.curves_panel(f"{name}-b", half, bands, by_epoch, since=0.5)
        panels = [replace(panels[0], title="Whole training"), Panel(svg, "Second half")]
    if any(len(joined.seeds) > 1 for joined in bands.values()):
        parts.append("lines are means over seeds, bands the range from the lowest to the highest")
    return DrawnFigure(name, title, _caption(parts, used, table, figure), panels)


def _bars(name: str, figure: PaperFigure, table: Table, scale: int) -> DrawnFigure | None:
    rows = [row for row in table.rows if row.scale == scale and row.ours]
    columns = _columns(figure, table)
    # Beside a smaller network or budget, the published values would only stretch the axis.
    comparable = table.budget == "paper" and same_network(table)
    panels, left_out = [], [row.dataset for row in rows[MAX_DATASETS:]]
    for number, row in enumerate(rows[:MAX_DATASETS]):
        lines = [_dots(row, column, comparable) for column in columns]
        if any(line.values for line in lines):
            label = f"{row.dataset} x{scale}"
            panels.append(Panel(plots.dots_panel(f"{name}-{number}", label, lines), label))
    if not panels:
        return None
    used = [run for column in columns for run in _runs(table, column, scale)]
    rules = {row.dataset: table.source.protocols(row.dataset).psnr for row in rows[:MAX_DATASETS]}
    names = ", ".join(f"{dataset} by {rule}" for dataset, rule in rules.items())
    parts = [f"PSNR on {names}", "a dot for each seed, a bar through their mean"]
    if comparable and any(row.published for row in rows[:MAX_DATASETS]):
        parts.append("a diamond for the published value")
    parts.append("the axis does not start at zero")
    if left_out:
        parts.append(f"{', '.join(left_out)} only in the table")
    title = f"{figure.title}, x{scale}"
    return DrawnFigure(name, title, _caption(parts, used, table, figure), panels)


def _dots(row: Row, column: Column, comparable: bool) -> plots.Dots:
    cells = row.ours.get(column.id, {})
    seeds = cells["psnr"].by_seed.values() if "psnr" in cells else ()
    values = [value for value in seeds if math.isfinite(value)]
    published = row.published.get(column.id, {}).get("psnr") if comparable else None
    return plots.Dots(column.label, values, published)


#: The kinds that are drawn from a table's runs.
_DRAWN = {"curve": _curve, "bars": _bars}
#: The kinds that need no run: what they show, their drawing, and whether it takes a whole row.
_COMPUTED = {
    "functions": (
        "Computed, not measured: Swish is x / (1 + e^-x), Mish is x tanh(ln(1 + e^x)).",
        plots.activation_functions,
        False,
    ),
    "distributions": (
        "A simulation, not one of the trained networks: 1,000 standard normal inputs pass "
        "through five layers of 100 ReLU units without biases. Shares of all activations of a "
        "layer; the bar at zero extends above the frame.",
        plots.activation_histograms,
        True,
    ),
}


def _columns(figure: PaperFigure, table: Table) -> list[Column]:
    wanted = figure.columns or [column.id for column in table.source.columns]
    return [table.source.column(name) for name in wanted]


def _runs(table: Table, column: Column, scale: int) -> list[Run]:
    """The runs of a column, one for each seed: the one that ended last."""
    runs = [run for run in table.group.runs.get(column.id, ()) if run.scale == scale]
    by_seed = {run.seed: run for run in sorted(runs, key=lambda run: run.ended)}
    return [by_seed[seed] for seed in sorted(by_seed)]


def _caption(parts: Sequence[str], runs: Sequence[Run], table: Table, figure: PaperFigure) -> str:
    parts = [*parts, our_runs(runs)]
    parts += [f"{key}={value}" for key, value in table.group.distinct.items()]
    text = "; ".join(parts) + "."
    return f"{text[0].upper()}{text[1:]} {figure.note or ''}".strip()


def _absent(paper: Paper, figure: PaperFigure) -> str:
    stage = paper.stages[0]
    if figure.table is not None:
        stage = paper.table(figure.table).experiment
    what = DRAWN_FROM[figure.kind]
    return f"Not drawn: no finished run has a {what} for it (experiment {stage})."


def _id(paper: Paper, figure: PaperFigure) -> str:
    return f"{paper.name}-{figure.id}"
