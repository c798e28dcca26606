"""The kinds of plot that a figure is made of: curves, dots, functions, histograms."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from sr_experiments.report.evidence.curves import Band
from sr_experiments.report.render.svg import (
    INK,
    PANEL,
    PAPER,
    SOFT,
    draw,
    legend,
    series,
    thousands,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Function = Callable[[np.ndarray], np.ndarray]

#: The four functions of the activation paper, its equations (1) to (4).
ACTIVATIONS: Mapping[str, Function] = {
    "ReLU": lambda x: np.maximum(x, 0),
    "Leaky ReLU (0.01)": lambda x: np.where(x < 0, 0.01 * x, x),
    "Swish": lambda x: x / (1 + np.exp(-x)),
    "Mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
}

#: Standard deviations of weights by fan-in, as the platform's section 8-1-1 gives them.
INITIALISERS: Mapping[str, Callable[[int], float]] = {
    "std 0.01": lambda n: 0.01,
    "Xavier": lambda n: (1 / n) ** 0.5,
    "He": lambda n: (2 / n) ** 0.5,
}


@dataclass(frozen=True)
class Dots:
    """One line of a dot plot: a value in dB for each seed, and the published one."""

    label: str
    values: Sequence[float]
    published: float | None = None


@dataclass(frozen=True)
class Effect:
    """One line of an effects plot: an effect, its 95 % interval, and the published one."""

    label: str
    value: float
    interval: tuple[float, float] | None = None
    published: float | None = None
    decided: bool = False


def curves_panel(
    name: str, title: str, bands: Mapping[str, Band], by_epoch: bool, since: float = 0.0
) -> Markup:
    """PSNR on validation against updates or epochs; over several seeds, mean and range.

    Args:
        name: id on the page.
        title: for a screen reader.
        bands: the curves by label.
        by_epoch: count epochs rather than updates.
        since: leave out what lies before this part of the training, 0 to 1.
    """

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for number, (label, band) in enumerate(bands.items()):
            x = band.epochs if by_epoch else band.updates
            shown = x >= since * x[-1]
            look = series(number)
            # A marker at every point of a long curve would hide the curve.
            step = max(1, int(shown.sum()) // 8)
            axes.plot(x[shown], band.mean[shown], label=label, markevery=step, **look)
            if len(band.seeds) > 1:
                low, high = band.low[shown], band.high[shown]
                axes.fill_between(x[shown], low, high, color=look["color"], alpha=0.18, lw=0)
        axes.set_xlabel("epochs" if by_epoch else "updates")
        axes.set_ylabel("PSNR on validation (dB)")
        axes.set_ylim(_at_least(axes.get_ylim()))
        thousands(axes)
        legend(figure, axes)

    what = "epochs" if by_epoch else "updates"
    ends = "; ".join(
        f"{label} ends at {band.mean[-1]:.2f} dB after "
        f"{(band.epochs if by_epoch else band.updates)[-1]:,} {what}, "
        f"its best is {band.mean.max():.2f} dB"
        for label, band in bands.items()
    )
    return draw(name, title, ends, paint)


def dots_panel(name: str, title: str, lines: Sequence[Dots]) -> Markup:
    """PSNR by variant: a dot for each seed, a bar through their mean, the published as a diamond.

    Dots and not bars: the axis need not begin at 0 dB, which would hide every difference.
    """

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for number, line in enumerate(lines):
            colour = series(number)["color"]
            if line.values:
                at = [number] * len(line.values)
                axes.plot(line.values, at, "o", color=colour, markersize=5, alpha=0.75, mew=0)
                mean = float(np.mean(line.values))
                axes.plot([mean, mean], [number - 0.28, number + 0.28], color=colour, lw=2.2)
            if line.published is not None:
                axes.plot([line.published], [number], "D", mfc="none", mec=INK, markersize=6.5)
        axes.set_yticks(range(len(lines)), [line.label for line in lines])
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.margins(x=0.08)
        axes.set_xlim(_at_least(axes.get_xlim()))
        axes.locator_params(axis="x", nbins=6)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("PSNR (dB)")

    told = "; ".join(_told(line) for line in lines)
    height = min(PANEL[1], 62 + 30 * len(lines))
    return draw(name, title, told, paint, (PANEL[0], height))


def effects_panel(name: str, title: str, unit: str, lines: Sequence[Effect]) -> Markup:
    """Effects with their intervals beside the published ones, a line for each.

    The axis holds all of our effects and most of the published ones: one that is many times the
    others would hide them, and is named at the frame instead.
    """
    printed = [abs(line.published) for line in lines if line.published is not None]
    within = 4 * float(np.median(printed)) if printed else 0.0
    reach = min(max(printed, default=0.0), within)
    edge = 1.1 * max([0.05, reach, *(abs(line.value) for line in lines)])

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        colour = series(0)["color"]
        for number, line in enumerate(lines):
            if line.interval is not None:
                axes.plot(line.interval, [number, number], color=colour, lw=1.6)
            inside = colour if line.decided else PAPER
            axes.plot([line.value], [number], "o", mec=colour, mfc=inside, mew=1.5, markersize=6)
            if line.published is not None and abs(line.published) <= edge:
                axes.plot([line.published], [number], "D", mfc="none", mec=INK, markersize=6.5)
            elif line.published is not None:
                text, side, at = f"← {line.published:+g}", "left", -edge
                if line.published > 0:
                    text, side, at = f"{line.published:+g} →", "right", edge
                axes.text(at, number - 0.22, text, ha=side, va="center", fontsize=9)
        axes.axvline(0, color=INK, lw=0.8)
        labels = [textwrap.fill(line.label, 50) for line in lines]
        axes.set_yticks(range(len(lines)), labels, fontsize=9, linespacing=1.1)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_xlim(-edge, edge)
        axes.grid(visible=False, axis="y")
        axes.locator_params(axis="x", nbins=6)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"effect ({unit})")

    told = "; ".join(_effect_told(line, unit) for line in lines)
    rows = sum(max(2, 1 + len(line.label) // 50) for line in lines)
    return draw(name, title, told, paint, (620, 60 + 14 * rows))


def _effect_told(line: Effect, unit: str) -> str:
    parts = [f"ours {line.value:+.3f} {unit}"]
    if line.interval is not None:
        parts[0] += f" ({line.interval[0]:+.3f} to {line.interval[1]:+.3f})"
    if line.published is not None:
        parts.append(f"published {line.published:+g} {unit}")
    return f"{line.label.rstrip('.')}: {', '.join(parts)}"


def _at_least(limits: tuple[float, float], span: float = 0.1) -> tuple[float, float]:
    """Widen an axis of decibels to a tenth of one: what is less should not look like much."""
    low, high = limits
    more = max(0.0, span - (high - low)) / 2
    return low - more, high + more


def _told(line: Dots) -> str:
    parts = []
    if line.values:
        count = f", mean of {len(line.values)} seeds" if len(line.values) > 1 else ""
        parts.append(f"ours {np.mean(line.values):.2f} dB{count}")
    if line.published is not None:
        parts.append(f"published {line.published} dB")
    return f"{line.label}: {', '.join(parts) or 'no score'}"


def activation_functions(name: str, title: str) -> Markup:
    """The four functions, as in figure 2 of the activation paper."""
    x = np.linspace(-5, 2.5, 301)

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for number, (label, function) in enumerate(ACTIVATIONS.items()):
            look = series(number) | {"marker": ""}
            axes.plot(x, function(x), label=label, **look)
        axes.set_xlabel("x")
        axes.set_ylabel("f(x)")
        legend(figure, axes)

    told = (
        "All four follow x for large x. Below zero ReLU is 0, Leaky ReLU falls with slope 0.01, "
        f"Swish dips to {ACTIVATIONS['Swish'](x).min():.2f} and Mish to "
        f"{ACTIVATIONS['Mish'](x).min():.2f} before both return to 0."
    )
    return draw(name, title, told, paint)


def simulate(std: Callable[[int], float], layers: int = 5, nodes: int = 100) -> list[np.ndarray]:
    """Activations of each layer of a ReLU network without biases, for 1,000 normal inputs.

    Args:
        std: standard deviation of the weights by fan-in.
        layers: how many.
        nodes: of the input and of every layer.

    Returns:
        For each layer float64 ``(1000, nodes)``, at least 0.
    """
    generator = np.random.default_rng(0)
    x = generator.standard_normal((1000, nodes))
    found = []
    for _ in range(layers):
        x = np.maximum(x @ (generator.standard_normal((nodes, nodes)) * std(nodes)), 0)
        found.append(x)
    return found


def activation_histograms(name: str, title: str) -> Markup:
    """Activations by layer and initialiser, as in figure 17 of the platform's report."""
    simulated = {label: simulate(std) for label, std in INITIALISERS.items()}
    edges = np.linspace(0, 2, 41)

    def paint(figure: "Figure") -> None:
        grid = figure.subplots(3, 5, sharex=True, sharey=True)
        for number, (row, (label, layers)) in enumerate(zip(grid, simulated.items(), strict=True)):
            for layer, (axes, values) in enumerate(zip(row, layers, strict=True), start=1):
                share = np.histogram(values, edges)[0] / values.size
                axes.stairs(share, edges, fill=True, color=series(number)["color"])
                # Half of the values are zero by ReLU: their bar is cut, else it hides the rest.
                axes.set_ylim(0, 0.1)
                axes.set_yticks([0, 0.05, 0.1], ["0", "5 %", "10 %"])
                axes.set_xticks([0, 1, 2])
                axes.tick_params(labelsize=8, length=2)
                text = f"std {values.std():.2g}"
                axes.text(0.96, 0.8, text, ha="right", fontsize=8, transform=axes.transAxes)
                if number == 0:
                    axes.set_title(f"layer {layer}", fontsize=8.5, color=SOFT)
            row[0].set_ylabel(label)
        figure.supxlabel("activation", fontsize=10)

    told = "; ".join(
        f"{label}: standard deviation {layers[0].std():.2g} in layer 1, "
        f"{layers[-1].std():.2g} in layer {len(layers)}"
        for label, layers in simulated.items()
    )
    return draw(name, title, told, paint, (620, 320))
