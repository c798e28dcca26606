"""Figures as inline SVG that takes its colours from the page, and is the same bytes every time.

Matplotlib draws; text stays text in the page's own font, ink becomes ``currentColor`` and the
colour of a series ``var(--s0)``, so one drawing serves the light and the dark page. Matplotlib is
imported when the first figure is drawn: a report without figures does not wait for it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours that stand for the page's own until the drawing is done.
INK, SOFT, PAPER = "#010203", "#040506", "#070809"
#: Series beyond these begin again; dash and marker repeat later than the colour does.
COLOURS = tuple(f"#0a0b{number:02x}" for number in range(16, 24))
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (9, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

#: Width and height of a panel in its own units; text is about 10 of them high.
PANEL = (400, 270)

SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names are names, with a dollar sign as well
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": SOFT,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.45,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.2,
    "path.simplify": True,
}

Draw = Callable[["Figure"], None]


def draw(
    name: str, title: str, description: str, paint: Draw, size: tuple[int, int] = PANEL
) -> Markup:
    """One drawing as an ``<svg>`` element.

    Args:
        name: its id on the page; all ids inside begin with it.
        title: read out first by a screen reader.
        description: what the drawing shows, in words and numbers.
        paint: fills an empty Matplotlib figure.
        size: width and height in the drawing's own units.
    """
    with _settings(name):
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        figure = Figure(figsize=(size[0] / 72, size[1] / 72), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        stream = StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    return _inline(stream.getvalue(), name, title, description, size)


@contextmanager
def _settings(salt: str) -> Iterator[None]:
    """Matplotlib as it comes, whatever a person's own ``matplotlibrc`` says, and our settings."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = SETTINGS | {"svg.hashsalt": salt}
        matplotlib.rcParams.update(settings)
        yield


def series(number: int) -> dict[str, Any]:
    """Colour, dash and marker of a series: each of the three tells it from its neighbours."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def legend(figure: "Figure", axes: "Axes") -> None:
    """The names of the series above the drawing, in as many columns as their lengths allow."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    longest = max(map(len, labels))
    columns = max(1, min(len(labels), 4, int(PANEL[0] // (longest * 6 + 50))))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, columnspacing=1.4)


def thousands(axes: "Axes") -> None:
    """Whole numbers below, with a separator."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _inline(svg: str, name: str, title: str, description: str, size: tuple[int, int]) -> Markup:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*</defs>", "", body)
    body = body[body.index(">") + 1 :]  # the element gets attributes of its own
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#', f'href="#{name}-', body)
    body = body.replace("url(#", f"url(#{name}-")
    body = re.sub(r" font-family:[^;\"]*;?", "", body)
    # Turned text keeps its turn; Matplotlib writes one for the others too.
    body = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", body)
    body = body.replace(INK, "currentColor").replace(SOFT, "var(--soft)")
    body = body.replace(PAPER, "var(--paper)")
    for number, colour in enumerate(COLOURS):
        body = body.replace(colour, f"var(--s{number})")
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    start = Markup(
        '<svg viewBox="0 0 {width} {height}" role="img" class="plot" '
        'aria-labelledby="{name}-title {name}-desc">\n'
        '<title id="{name}-title">{title}</title>\n'
        '<desc id="{name}-desc">{description}</desc>\n'
    ).format(width=size[0], height=size[1], name=name, title=title, description=description)
    return start + Markup(body)
