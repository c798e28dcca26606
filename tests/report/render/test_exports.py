"""CSV and LaTeX carry the numbers of the table, with all that they must not stand without."""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from sr_experiments.report.evidence.collect import collect
from sr_experiments.report.evidence.cost import cost_rows, costs
from sr_experiments.report.evidence.verdicts import DatasetEffect, Verdict
from sr_experiments.report.paper.claims import PublishedEffect
from sr_experiments.report.paper.load import load_paper
from sr_experiments.report.render.csv_files import claims_csv, scores_csv
from sr_experiments.report.render.document import Document, document
from sr_experiments.report.render.latex import escape, table_latex, to_latex
from sr_experiments.report.render.markdown import to_markdown
from sr_experiments.report.render.verdict_text import tally, verdict_text

Writer = Callable[..., Path]
PAPER = load_paper("activation")
HOSTILE = r"50%_of {a}\b & c#d ~ ^ $"


@pytest.fixture
def report(tmp_path: Path, write_run: Writer) -> Document:
    for seed, psnr in enumerate((37.19, 37.39, 37.29)):
        write_run({"Set5": {"baby": (psnr, 0.9345)}, HOSTILE: {"i": (30.0, 0.9)}}, seed=seed)
    write_run({"Set5": {"baby": (38.194, 0.9448)}}, activation="mish")
    write_run({"Set5": {"baby": (33.66, 0.92)}}, bicubic=True)
    return document(PAPER, collect(tmp_path / "runs"), tmp_path / "runs")


def test_scores_as_csv(report: Document) -> None:
    rows = list(csv.DictReader(StringIO(scores_csv(report))))
    by_key = {(r["scale"], r["dataset"], r["column"], r["metric"]): r for r in rows}
    assert len(by_key) == len(rows) == 2 * 6 * 4 * 2 + 2  # in print, and ours of a set of our own
    cell = by_key["2", "Set5", "relu", "psnr"]
    assert float(cell["ours"]) == pytest.approx(37.29)
    assert float(cell["spread"]) == pytest.approx(0.1)
    assert float(cell["difference"]) == pytest.approx(37.29 - 38.19)
    assert (cell["published"], cell["protocol"], cell["seeds"]) == ("38.19", "y", "0 1 2")
    assert by_key["2", "Set5", "mish", "ssim"]["protocol"] == "rgb"
    # The digits of the print stay, a zero at the end too.
    assert by_key["2", "DIV2K", "leaky_relu", "ssim"]["published"] == "0.9140"
    assert by_key["2", "Average", "relu", "psnr"]["published"] == "34.80"
    assert HOSTILE in {key[1] for key in by_key}
    for row in rows:
        assert row["protocol"] and row["paper_network"] == "EDSR 32x256"
        told = [row[name] for name in ("budget", "network", "images", "seeds")]
        assert all(told) if row["ours"] else not any(told)
        assert row["ours"] or row["published"]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]


def test_a_table_in_latex(report: Document) -> None:
    text = to_latex(report)
    lines = text.splitlines()
    columns = len(re.search(r"\\begin\{tabular\}\{(l+r+)\}", text)[1])  # type: ignore[index]
    body = lines[lines.index(next(x for x in lines if x.startswith("Data set"))) + 1 :]
    rows = [cells(line) for line in body if line.endswith(r"\\")]
    assert {len(row) for row in rows} == {columns} == {2 + 2 * 5}
    at = next(i for i, row in enumerate(rows) if row[0] == r"$\times$2 Set5")
    ours, _spread, seeds, published, difference = rows[at : at + 5]
    assert ours[1:] == [
        *("ours", "33.66", "0.9200", "37.29", "0.9345", "--", "--", "--", "--"),
        *(r"\textbf{38.19}", r"\textbf{0.9448}"),
    ]
    assert seeds[4] == "3"
    assert published[4] == r"\textbf{38.19}"
    assert difference[4:6] == ["$-0.90$", "$-0.0100$"]
    # Braces and environments close in order, and nothing of a name is a command.
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert re.sub(r"\\[{}]", "", text).count("{") == re.sub(r"\\[{}]", "", text).count("}")
    assert escape(HOSTILE) in text
    assert escape(HOSTILE) == (
        r"50\%\_of \{a\}\textbackslash{}b \& c\#d \textasciitilde{} \textasciicircum{} \$"
    )
    caption = next(line for line in lines if line.startswith(r"\caption"))
    for said in ("PSNR by y", "SSIM by rgb", "budget=quick", "EDSR 4x16", "seeds 0, 1, 2"):
        assert said in caption
    assert "not a reproduction" in caption
    # Every table of a paper with the same rows has a label of its own.
    assert table_latex(report.tables[0], 1) != table_latex(report.tables[0], 2)


def test_a_section_begins_with_bicubic_and_scored_weights(
    tmp_path: Path, write_run: Writer
) -> None:
    def shown() -> list[Sequence[str]]:
        found = document(PAPER, collect(tmp_path / "runs"), tmp_path / "runs")
        text = to_markdown(found).split("\n## ")[1]
        assert text.startswith("Reference scores\n") == bool(found.anchors)
        if found.anchors:
            lines = [line for line in text.splitlines() if line.startswith("| ")]
            table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
            assert [*table[:1], *table[2:]] == found.anchors
        return list(found.anchors)

    write_run({"Set5": {"baby": (37.0, 0.93), "bird": (39.0, 0.95)}})
    assert shown() == []  # what our runs trained is no reference
    write_run({"Set5": {"baby": (33.0, 0.9), "bird": (34.0, 0.8)}}, bicubic=True)
    file = write_run(
        {"Set5": {"baby": (38.0, 0.96), "bird": (38.5, 0.97)}, "mine": {"i": (30.0, 0.9)}},
        choices={"method": "none"},
        settings={"weights": "ab" * 32},
        size="32x256",
    )
    (file / "config.yaml").write_text("weights: /somewhere/else/edsr_x2.pt\n")
    write_run(
        {"Set5": {"baby": (20.0, 0.1)}},  # another part of the set would not compare
        choices={"method": "none"},
        settings={"weights": "cd" * 32},
    )
    assert shown() == [
        ["Scale", "Data set", "Images", "Protocols", "Bicubic", "EDSR 32x256, edsr_x2.pt"],
        ["x2", "Set5", "2", "y, rgb", "33.50 / 0.8500", "38.25 / 0.9650"],
    ]


def test_mean_errors_stand_below_psnr_where_the_table_asks_for_them(
    tmp_path: Path, write_run: Writer
) -> None:
    scores = {"Set5": {"baby": (30.0, 0.9)}}
    for seed, error in enumerate((-6.0, -6.5)):
        write_run(scores, seed=seed, mean_error=error)
    write_run(scores, activation="mish", mean_error=0.004)
    write_run(scores, activation="swish")  # of a time when it was not recorded
    write_run(scores, bicubic=True, mean_error=-0.01)
    (table,) = PAPER.tables
    asks = PAPER.model_copy(update={"tables": [table.model_copy(update={"mean_error": True})]})
    for paper in (PAPER, asks):
        found = document(paper, collect(tmp_path / "runs"), tmp_path / "runs")
        lines = [cells(line) for line in to_latex(found).splitlines()]
        shown = [line[2:] for line in lines if line[1:2] == ["mean error"]]
        wanted = ["$-0.01$", "", "$-6.25$", "", "--", "", "--", "", "$+0.00$", ""]
        assert shown == ([wanted] if paper is asks else [])
        rows = csv.DictReader(StringIO(scores_csv(found)))
        (row,) = [
            r for r in rows if (r["column"], r["metric"], r["ours"]) == ("relu", "psnr", "30.0")
        ]
        assert float(row["mean_error"]) == -6.25


def test_costs_are_of_one_device_and_relative_to_the_first(
    tmp_path: Path, write_run: Writer
) -> None:
    import json

    scores = {"Set5": {"baby": (30.0, 0.9)}}
    timed = [
        ("relu", 0, 2.0, 100, "cpu"),
        ("relu", 1, 4.0, 100, "cpu"),
        ("relu", 2, 60.0, 1000, "cpu"),
        ("mish", 0, 6.0, 100, "cpu"),
        ("mish", 1, 0.5, 100, "GPU"),
        ("swish", 0, 5.0, 0, "cpu"),  # resumed at its end: nothing was timed
    ]
    for activation, seed, seconds, updates, device in timed:
        path = write_run(scores, activation=activation, seed=seed, parameters=1234) / "result.json"
        result = json.loads(path.read_text())
        result["training"] |= {"seconds": seconds, "updates_timed": updates}
        if activation == "mish":  # the others are of a time when it was not written
            result["network"]["multiply_adds"] = 316_250_000_000
            result["training"]["peak_memory"] = 300 * 2**20
        path.write_text(json.dumps(result | {"device": device}))
    (table,) = document(PAPER, collect(tmp_path / "runs"), tmp_path / "runs").tables
    found = {(cost.label, cost.device): cost for cost in costs(table)}
    assert found["ReLU", "cpu"].milliseconds == pytest.approx(40)  # the median of 20, 40 and 60
    assert found["ReLU", "cpu"].runs == 3
    assert found["Mish", "cpu"].ratio == pytest.approx(1.5)
    assert found["Mish", "GPU"].milliseconds == pytest.approx(5)
    assert found["Mish", "GPU"].ratio == pytest.approx(1)  # not against another device
    assert found["Swish", "cpu"].milliseconds is None
    row = ["x2", "Mish", "cpu", "1,234", "316.25 G", "1,500", "60.0", "1.50", "300 MiB", "1"]
    assert row in cost_rows(table)
    assert ["x2", "Swish", "cpu", "1,234", "-", "1,500", "-", "-", "-", "1"] in cost_rows(table)


CLAIM = PAPER.claims[0].model_copy(update={"note": None})
VERDICT = Verdict(
    claim=CLAIM,
    outcome="undecided",
    effect=0.0123,
    interval=(-0.0101, 0.0352),
    p=0.04,
    adjusted=0.12,
    leaning="holds",
    reason="after Holm's correction",
    size="smaller",
    detectable=0.031,
    unit="dB",
    n_images=105,
    seeds=(0, 1),
    seed_spread=0.002,
    win_rate=0.614,
    where="x2 Set5, Urban100",
    budgets=("quick",),
    networks=("EDSR 4x16",),
    parts=(DatasetEffect(2, "Set5", 0.03, None, 5), DatasetEffect(2, "Urban100", -0.01, None, 100)),
    notes=("without B100",),
)


def test_a_verdict_in_words() -> None:
    found = verdict_text(VERDICT, PAPER)
    assert (found.effect, found.interval) == ("+0.012 dB", "[-0.010, +0.035]")
    assert found.budget == "budget=quick"
    assert found.evidence == (
        "x2 Set5, Urban100; PSNR by y; 105 images; higher on 61 %; 2 seeds (spread 0.002); "
        "margin 0.05 dB; p = 0.040, after Holm 0.120; could see 0.031 dB; "
        "EDSR 4x16, not the paper's size"
    )
    assert found.verdict == "undecided (after Holm's correction)"
    assert found.aside == "leans to the claim; size smaller than printed"
    sure = verdict_text(replace(VERDICT, outcome="holds", reason="", size="undecided"), PAPER)
    assert (sure.verdict, sure.aside) == ("direction holds", "size undecided")
    tiny = verdict_text(replace(VERDICT, p=0.00001, adjusted=0.0002), PAPER)
    assert "p < 0.001, after Holm < 0.001" in tiny.evidence
    assert found.by_dataset == "x2 Set5 +0.030, x2 Urban100 -0.010"
    assert found.note == "Without B100."
    assert "not the paper's" not in verdict_text(replace(VERDICT, same_size=True), PAPER).evidence
    speed = replace(VERDICT, unit="x", effect=1.305, interval=(1.1, 1.5))
    speed_up = verdict_text(speed, PAPER)
    assert (speed_up.effect, speed_up.interval) == ("1.30 times", "[1.10, 1.50]")
    share = verdict_text(replace(VERDICT, unit="share", effect=0.83, interval=(0.7, 0.9)), PAPER)
    assert (share.effect, share.interval) == ("83 % of images", "[70 %, 90 %]")
    none = verdict_text(Verdict("no runs", claim=CLAIM), PAPER)
    assert (none.outcome, none.effect, none.interval, none.evidence, none.budget) == (
        *("no runs", "", "", "", ""),
    )
    verdicts = [VERDICT, replace(VERDICT, outcome="holds"), replace(VERDICT, outcome="holds")]
    assert tally(verdicts) == "2 hold, 1 is undecided; sizes: 3 smaller"


def test_published_effects_keep_their_digits() -> None:
    (claim,) = [
        c
        for c in PAPER.claims
        if verdict_text(Verdict("no runs", claim=c), PAPER).published == "-8.50 %"
    ]
    assert claim.published is not None and claim.published.value == -8.5
    about = PublishedEffect(value=0.3, unit="dB", of="on Urban100")  # "about 0.3 dB" is not 0.30
    assert verdict_text(replace(VERDICT, published=about), PAPER).published.startswith("+0.3 dB ")


def test_verdicts_as_csv(report: Document) -> None:
    rows = list(csv.DictReader(StringIO(claims_csv(replace(report, verdicts=[VERDICT])))))
    (row,) = rows
    assert (row["claim"], row["outcome"], row["budget"]) == (CLAIM.id, "undecided", "quick")
    assert (float(row["effect"]), float(row["low"]), float(row["high"])) == (
        *(0.0123, -0.0101, 0.0352),
    )
    assert (row["seeds"], row["images"], row["same_size"]) == ("0 1", "105", "False")
    assert row["score"] == "PSNR by y"
    assert (row["p"], row["p_holm"], row["could_see"]) == ("0.04", "0.12", "0.031")
    assert (row["reason"], row["size"], row["counted"]) == (
        *("after Holm's correction", "smaller", "True"),
    )
