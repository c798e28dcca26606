"""Figures show the numbers of the runs, take the page's colours, and are the same every time."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from markupsafe import escape

from sr_experiments.report.evidence.collect import collect
from sr_experiments.report.evidence.curves import Band, band, read_curve
from sr_experiments.report.evidence.table import build_tables
from sr_experiments.report.evidence.verdicts import judge
from sr_experiments.report.paper.definition import DRAWN_FROM, FigureKind, PaperFigure
from sr_experiments.report.paper.load import load_paper
from sr_experiments.report.render import plots
from sr_experiments.report.render.figures import _COMPUTED, _DRAWN, effect_figure, figures

Writer = Callable[..., Path]
SET5 = {"Set5": {"baby": (30.0, 0.9)}}
HEADER = "epoch,update,lr,train_loss,val_psnr_y,val_psnr_rgb,val_psnr_y_averaged"


def write_history(folder: Path, start: float) -> None:
    """Eight epochs of 100 updates; ``y`` rises by 1 dB an epoch, the others lie far away."""
    lines = [f"{e},{100 * e},0.001,1.0,{start + e},{50 + e},{70 + start + e}" for e in range(1, 9)]
    (folder / "history.csv").write_text("\n".join([HEADER, *lines]) + "\n")


def flat(*levels: float) -> dict[str, Band]:
    """Curves that do not change, one for each level."""
    updates = np.arange(1, 11)
    return {
        f"at {level:g}": Band(
            updates * 100, updates, *(np.full(10, level + d) for d in (0, -0.1, 0.1)), seeds=(0, 1)
        )
        for level in levels
    }


def test_curves_are_those_of_their_protocol_and_weights(tmp_path: Path, write_run: Writer) -> None:
    folder = write_run(SET5)
    write_history(folder, 20)
    history = folder / "history.csv"
    # An epoch without validation, a half-written line, and one that is no number.
    history.write_text(history.read_text() + "9,900,0.001,1.0,,,\n10,1000,0.0\n11,x,1,1,1,1,1\n")
    (run,) = collect(tmp_path / "runs").runs
    for protocol, weights, first in (("y", "raw", 21), ("rgb", "raw", 51), ("y", "averaged", 91)):
        curve = read_curve(run, protocol, weights)
        assert curve is not None
        assert curve.updates.tolist() == [100 * e for e in range(1, 9)]
        assert curve.psnr.tolist() == [first + e for e in range(8)]
    assert read_curve(run, "rgb", "averaged") is None
    history.unlink()
    assert read_curve(run, "y", "raw") is None


def test_seeds_are_joined_where_all_have_a_value(tmp_path: Path, write_run: Writer) -> None:
    for seed, start in enumerate((20.0, 21.0, 25.0)):
        write_history(write_run(SET5, seed=seed), start)
    runs = collect(tmp_path / "runs").runs
    short = runs[0].directory / "history.csv"
    short.write_text("\n".join(short.read_text().splitlines()[:4]) + "\n")
    curves = [curve for run in runs if (curve := read_curve(run, "y", "raw")) is not None]
    joined = band(curves)
    assert joined is not None
    assert joined.updates.tolist() == [100, 200, 300]
    assert joined.mean == pytest.approx([23, 24, 25])
    assert joined.low.tolist() == [21, 22, 23]
    assert joined.high.tolist() == [26, 27, 28]
    assert joined.seeds == (0, 1, 2)


def test_a_drawing_shows_its_numbers() -> None:
    svg = plots.curves_panel("f", "title", flat(30, 31, 33), by_epoch=False)
    # What is clipped lies in the frame: the legend's samples are not.
    heights = {}
    for number in range(3):
        drawn = re.findall(rf'<path d="([^"]*)" clip-path[^>]*stroke: var\(--s{number}\)', svg)
        ((path),) = [d for d in drawn if d.count("L") >= 1]
        heights[number] = {float(y) for _, y in re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", path)}
    tops = [min(heights[n]) for n in range(3)]
    assert all(len(values) == 1 for values in heights.values())  # they are level
    assert (tops[0] - tops[2]) / (tops[0] - tops[1]) == pytest.approx(3, rel=1e-3)
    assert "at 33 ends at 33.00 dB after 1,000 updates" in svg
    # A difference of no importance does not fill the drawing: 0.001 of 0.1 dB is a hundredth.
    near = plots.dots_panel("f", "t", [plots.Dots("a", [30.0]), plots.Dots("b", [30.001])])
    a, b = (float(x) for x in re.findall(r'<use href="#f-m\w+" x="([\d.]+)"[^>]*var\(--s\d', near))
    assert 0 < b - a < 5
    late = plots.curves_panel("f", "title", flat(30), by_epoch=True, since=0.5)
    ticks = [int(text) for text in re.findall(r">(\d+)</text>", late)]
    assert "epochs" in late and min(ticks) >= 5 and max(ticks) == 10


def test_effects_stand_where_they_are_beside_the_published() -> None:
    lines = [
        plots.Effect("none", 0.0, (-0.1, 0.1), published=0.2),
        plots.Effect("some", 0.1, (0.05, 9.0), published=0.2, decided=True),
        plots.Effect("much", 0.3, None, published=-8.5),
    ]
    svg = plots.effects_panel("f", "title", "dB", lines)
    drawn = re.findall(r'<use href="#f-m\w+" x="([\d.]+)" y="[\d.]+" style="([^"]*)"', svg)
    dots = [(float(x), style) for x, style in drawn if "stroke: var(--s0)" in style]
    places = [x for x, _ in dots]
    assert (places[2] - places[0]) / (places[1] - places[0]) == pytest.approx(3, rel=1e-3)
    assert ["var(--paper)" in style for _, style in dots] == [True, False, True]
    # The first two published effects are diamonds, in one place; the third is far away.
    (diamond,) = {float(x) for x, style in drawn if style.startswith("fill-opacity: 0; stroke: c")}
    assert (diamond - places[0]) / (places[1] - places[0]) == pytest.approx(2, rel=1e-3)
    assert "← -8.5" in svg
    assert "some: ours +0.100 dB (+0.050 to +9.000), published +0.2 dB" in svg


def test_a_papers_effects_are_those_of_its_verdicts() -> None:
    results = Path(__file__).resolve().parents[3] / "results" / "desk"
    paper = load_paper("activation")
    verdicts = judge(paper, collect(results).runs)
    drawn = effect_figure(paper, verdicts)
    assert drawn is not None
    svgs = "".join(panel.svg for panel in drawn.panels)
    told = [v for v in verdicts if v.unit in ("dB", "%") and v.effect is not None]
    assert len(told) > 10
    for verdict in told:
        claim = escape(" ".join(verdict.claim.text.split()).rstrip("."))
        assert f"{claim}: ours {verdict.effect:+.3f} {verdict.unit}" in svgs
    assert effect_figure(paper, judge(paper, [])) is None


def test_a_drawing_is_the_pages_own() -> None:
    bands = {f"$a_{i}$ <b>&": value for i, value in enumerate(flat(30, 31).values())}
    svg = plots.curves_panel("first", "<title>", bands, by_epoch=False)
    assert svg == plots.curves_panel("first", "<title>", bands, by_epoch=False)
    root = ET.fromstring(svg)  # well formed
    assert root.findtext("title") == "<title>"
    texts = ["".join(text.itertext()) for text in root.iter("text")]
    assert {"$a_0$ <b>&", "$a_1$ <b>&", "updates"} <= set(texts)
    # No colour and no font of its own: the page's theme decides on both.
    assert not re.findall(r"#[0-9a-f]{6}\b|rgb\(", svg)
    assert "font-family" not in svg and "DejaVu" not in svg
    assert "currentColor" in svg
    looks = [re.search(rf"var\(--s{i}\)[^\"]*", svg) for i in range(2)]
    assert all(looks)
    dashes = set(re.findall(r"stroke-dasharray: ([\d. ,]+)", svg))
    assert dashes  # the second line differs in more than its colour
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids)) and all(name.startswith("first-") for name in ids)
    for target in re.findall(r'(?:href="#|url\(#)([^")]+)', svg):
        assert target in ids
    assert "metadata" not in svg


def test_the_page_gets_curves_and_dots_of_every_scale(tmp_path: Path, write_run: Writer) -> None:
    for scale in (2, 4):
        for activation, gain in (("relu", 0.0), ("mish", 0.5)):
            for seed in (0, 1):
                scores = {"Set5": {"baby": (30 - scale + gain + seed, 0.9)}}
                folder = write_run(scores, activation=activation, scale=scale, seed=seed)
                write_history(folder, 20 - scale + gain)
    paper = load_paper("activation")
    wanted = [
        PaperFigure(id="a", title="Curve", kind="curve", table="table1", protocol="y"),
        PaperFigure(id="b", title="Dots", kind="bars", table="table1", columns=["mish"]),
        PaperFigure(id="c", title="No", kind="curve", table="table1", protocol="rgb_div2k"),
    ]
    paper = paper.model_copy(update={"figures": wanted})
    shown = figures(paper, build_tables(paper, collect(tmp_path / "runs").runs))
    assert [figure.title for figure in shown] == [
        *("Curve, x2", "Curve, x4", "Dots, x2", "Dots, x4", "No")
    ]
    curve, _, dots, _, none = shown
    assert len(curve.panels) == 2  # the whole, and its second half
    assert "Mish ends at 26.50 dB after 800 updates" in curve.panels[0].svg
    assert "ours 29.00 dB, mean of 2 seeds" in dots.panels[0].svg  # 30 - 2 + 0.5, and + 1
    assert "ReLU" not in dots.panels[0].svg
    # The published 38.19 dB are of another network and budget: not on one axis with ours.
    assert "published" not in dots.panels[0].svg
    for figure in shown[:4]:
        assert "budget=quick, EDSR 4x16, seeds 0, 1" in figure.caption
    assert "by y" in curve.caption and "by y" in dots.caption
    assert none.panels == [] and "experiment activation_sweep" in none.caption


def test_activations_are_those_of_the_paper() -> None:
    x = np.array([-1.0, 0.0, 2.0])
    expected = {
        "ReLU": [0, 0, 2],
        "Leaky ReLU (0.01)": [-0.01, 0, 2],
        "Swish": [-0.268941, 0, 1.761594],
        "Mish": [-0.303401, 0, 1.943959],
    }
    for name, values in expected.items():
        assert plots.ACTIVATIONS[name](x) == pytest.approx(values, abs=1e-6)
    svg = plots.activation_functions("f", "t")
    assert all(name in svg for name in expected)
    assert "Swish dips to -0.28 and Mish to -0.31" in svg


def test_initial_values_keep_lose_or_halve_the_signal() -> None:
    """The mean square of ReLU's output is n std^2 / 2 times that of its input."""
    for name, factor in (("He", 1.0), ("Xavier", 0.5), ("std 0.01", 0.005)):
        squares = [float((a**2).mean()) for a in plots.simulate(plots.INITIALISERS[name])]
        assert len(squares) == 5
        for layer, square in enumerate(squares, start=1):
            assert square == pytest.approx(factor**layer, rel=0.6)
    svg = plots.activation_histograms("f", "t")
    assert svg.count("layer ") >= 5 and "Xavier" in svg


def test_every_kind_of_figure_has_one_drawing():
    assert _DRAWN.keys() == DRAWN_FROM.keys()
    assert {*_DRAWN, *_COMPUTED} == set(get_args(FigureKind))
