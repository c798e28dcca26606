"""The three renderings carry the same figures, and the page is sound."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import shipped
from sr_experiments.report.__main__ import main
from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.report.write import write_report, write_reports

Writer = Callable[..., Path]
HOSTILE = "x<b>&`|*"


@pytest.fixture
def runs(tmp_path: Path, write_run: Writer) -> Path:
    """Three seeds of ReLU and one of Mish at x2, bicubic, and a broken folder."""
    for seed, psnr in enumerate((37.19, 37.39, 37.29)):
        write_run({"Set5": {"baby": (psnr, 0.9345)}, HOSTILE: {"i": (30, 0.9)}}, seed=seed)
    write_run({"Set5": {"baby": (38.194, 0.9448)}}, activation="mish", folder=f"mish-{HOSTILE}")
    write_run({"Set5": {"baby": (33.66, 0.92)}}, bicubic=True)
    (write_run({"Set5": {"baby": (1, 0.1)}}, folder=f"bad-{HOSTILE}") / "scores.csv").unlink()
    failed = write_run({"Set5": {"baby": (1, 0.1)}}, folder="failed") / "status.json"
    failed.write_text(json.dumps({"state": "failed", "identity": "0" * 64, "error": "<b>oh"}))
    return tmp_path / "runs"


def recipe_config(paper: str, column: str, scale: int) -> dict[str, object]:
    """The config of a run that is a column's recipe, by dotted paths."""
    (table, *_) = load_paper(paper).tables
    recipe = table.recipe_of(table.column(column))
    return {path: setting.at(scale)[1] for path, setting in recipe.items()}


def report(runs: Path, out: Path, width: int = 100) -> tuple[str, str, str]:
    """What the terminal, the Markdown file and the page say."""
    stream = StringIO()
    written = write_reports(["activation"], runs, out, Console(file=stream, width=width))
    names = ["activation.md", "activation.csv", "activation_claims.csv", "activation.tex"]
    assert [path.relative_to(out).as_posix() for path in written] == [
        *names,
        "summary.md",
        "curves.html",
        "index.html",
    ]
    markdown, page = (out / name for name in ("activation.md", "index.html"))
    return stream.getvalue(), markdown.read_text("utf-8"), page.read_text("utf-8")


def pipe_rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def parse_markdown(text: str) -> dict[tuple[str, str, str], dict[str, str]]:
    part = text[text.index("\n## Table 1") :].split("\n### ")[0]
    head, _rule, *body = pipe_rows(part)
    return {(r[0], r[1], r[2].split(",")[0]): dict(zip(head[3:], r[3:], strict=True)) for r in body}


class Page(HTMLParser):
    """Checks nesting and gathers tables, attributes and text."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "col", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "tr" in self.open and self.open[-1] in {"td", "th", "b"}:
            bold = "**" if self.open[-1] == "b" else ""
            self.rows[-1][-1] += f"{bold}{data}{bold}"


EXPECTED = {
    "ours": ["33.66", "0.9200", "37.29", "0.9345", "-", "-", "-", "-", "**38.19**", "**0.9448**"],
    "spread": ["", "", "0.100", "0.00000", "", "", "", "", "-", "-"],
    "seeds": ["", "", "3", "3", "", "", "", "", "1", "1"],
    "published": [
        *("", "", "**38.19**", "0.9445", "35.32", "0.9237"),
        *("**38.19**", "**0.9447**", "**38.19**", "**0.9447**"),
    ],
    "difference": ["", "", "-0.90", "-0.0100", "-", "-", "-", "-", "+0.00", "+0.0001"],
}


def test_the_three_renderings_show_the_same(runs: Path, tmp_path: Path) -> None:
    terminal, markdown, html = report(runs, tmp_path / "report")

    table = parse_markdown(markdown)
    for source, figures in EXPECTED.items():
        assert list(table["x2", "Set5", source].values()) == figures
    assert ("x2", "Set14", "ours") not in table
    # Alone in its row a variant is not the best of anything.
    alone = next(row for (_, name, _), row in table.items() if name.startswith("x\\<b>"))
    assert (alone["ReLU PSNR"], alone["Mish PSNR"]) == ("30.00", "-")
    assert table["x4", "Average", "published"]["Leaky ReLU PSNR"] == "**29.30**"

    page = Page(html)
    at = next(i for i, row in enumerate(page.rows) if row[0] == "x2 Set5")
    for row, (source, figures) in zip(page.rows[at : at + 5], EXPECTED.items(), strict=True):
        assert row[-11].split(",")[0] == source
        assert row[-10:] == figures

    lines = terminal.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("x2 Set5"))
    for line, (source, figures) in zip(lines[at : at + 5], EXPECTED.items(), strict=True):
        shown = [figure.strip("*") for figure in figures if figure]
        assert line.split(source)[1].split() == shown
    assert all(len(line) <= 100 for line in lines[: lines.index("Skipped folders")])


def test_every_table_says_how_its_numbers_came_about(runs: Path, tmp_path: Path) -> None:
    for text in report(runs, tmp_path / "report", width=500):
        plain = re.sub(r"<[^>]+>|\*\*", " ", text)
        for said in (
            r"PSNR\W+y: luma",
            r"SSIM\W+rgb: Wang 2004 on each of R, G, B",
            r"Budget\W+quick",
            r"EDSR 32x256, parameters x2 40,729,603, x4 43,089,923",
            r"EDSR 4x16, parameters 12,345: not the size of the paper",
            r"embedded \(9 images\), 1,500 updates",
            r"ReLU \(0, 1, 2\), Leaky ReLU, Swish \(no run\), Mish \(0\)",
            r"Set5 1\b",
            r"budget=quick shows the direction of effects only; it is not a reproduction",
            r"reads like a failed training",
            r"scores.csv is missing",
        ):
            assert re.search(said, plain), said
        found = set(re.findall(r"(?:\S+\s+){2}\S*reproduc\w*", plain))
        assert all(re.match(r"not\s+a\s+reproduction", text) for text in found), found


def test_bold_on_the_terminal_marks_the_best(runs: Path, tmp_path: Path) -> None:
    stream = StringIO()
    console = Console(file=stream, width=140, force_terminal=True, color_system="standard")
    write_report("activation", runs, tmp_path, console)
    line = next(line for line in stream.getvalue().splitlines() if "DIV2K" in line)
    assert re.findall(r"\x1b\[1m([\d.]+)\x1b", line) == ["36.56", "0.9407"]


@pytest.mark.parametrize("width", [40, 72])
def test_columns_that_do_not_fit_go_below(runs: Path, tmp_path: Path, width: int) -> None:
    terminal, _, _ = report(runs, tmp_path, width)
    numbers = re.findall(r"^x4 Urban100 +published +(.+)$", terminal, flags=re.MULTILINE)
    assert len(numbers) > 1
    shown = " ".join(numbers).split()
    assert shown == ["26.65", "0.7836", "26.67", "0.7844", "26.67", "0.7841", "26.55", "0.7809"]


def test_the_page_is_sound(runs: Path, tmp_path: Path) -> None:
    _, markdown, html = report(runs, tmp_path)
    page = Page(html)
    attributes = [(tag, name, value) for tag, attrs in page.tags for name, value in attrs.items()]
    # Addresses lead to places on the page itself, and each of them is there, and to its neighbour.
    ids = [value for _, name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    inner = {f"#{name}" for name in ids} | {"curves.html"}
    assert {value for _, name, value in attributes if name in {"href", "xlink:href"}} <= inner
    assert set(re.findall(r"url\((.*?)\)", html)) <= inner
    named = {v for _, name, value in attributes if name == "aria-labelledby" for v in value.split()}
    assert named <= set(ids)
    assert not [a for a in attributes if a[1] in {"src", "srcset", "data", "action"}]
    assert not re.search("https?:", html)
    assert "@import" not in html
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert ("html", "lang", "en") in attributes
    assert ("meta", "name", "viewport") in attributes
    assert "prefers-color-scheme: dark" in html
    names = [tag for tag, _ in page.tags]
    tables = [i for i, tag in enumerate(names) if tag == "table"]
    assert len(tables) == 6  # at a glance, main claims, reference scores, claims, Table 1, its cost
    assert all(names[i + 1] == "caption" for i in tables)
    # Each in a container of its own that scrolls, by keyboard too.
    assert all(page.tags[i - 1][1]["class"] == "scroll" for i in tables)
    assert all(page.tags[i - 1][1]["tabindex"] == "0" for i in tables)
    assert all("scope" in attrs for tag, attrs in page.tags if tag == "th")
    assert all(attrs.get("aria-label") for _, attrs in page.tags if attrs.get("role") == "region")
    levels = [int(tag[1]) for tag in names if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    # The names of folders and data sets are text, not markup.
    assert f"mish-{HOSTILE}" in page.text
    assert f"bad-{HOSTILE}: scores.csv is missing" in page.text
    assert f"x2 {HOSTILE}" in page.text
    assert "<code>rgb</code>" in html  # of a remark
    assert "its state is failed: <b>oh" in page.text
    assert r"mish-x\<b>&amp;\`\|\*" in markdown
    lines = [line for line in markdown.splitlines() if line.startswith("| x2 ")]
    assert len({len(line) for line in lines if "published" in line or "ours" in line}) == 1


def test_budget_paper_compares_only_the_same_network(tmp_path: Path, write_run: Writer) -> None:
    scores = {"Set5": {"baby": (38.0, 0.94)}}
    whole = write_run(scores, choices={"budget": "paper"}, size="32x256", parameters=40_729_603)
    write_run(scores, choices={"budget": "paper"}, size="16x64", parameters=1_369_859)
    (whole / "config.yaml").write_text(yaml.safe_dump(recipe_config("activation", "relu", 2)))
    _, markdown, _ = report(tmp_path / "runs", tmp_path)
    full, small = markdown.split("\n## Table 1")[1:]
    assert "the recipe to the letter, compared setting by setting" in full
    assert "not the size" not in full
    assert "another" not in small
    assert "the network is not the paper's" in small
    assert "not the size of the paper's EDSR 32x256" in small


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"data.train.source": "embedded/train", "training.epochs": 6},
            "but not the paper's recipe (data.train.source, training.epochs): it is not a repro",
        ),
        ({"clipping.algorithm": "norm"}, "but not the paper's recipe (clipping.algorithm)"),
        (None, "but the recipe was not compared as a whole (no readable config.yaml in"),
    ],
)
def test_another_recipe_is_not_called_the_papers(
    tmp_path: Path, write_run: Writer, changes: dict | None, said: str
) -> None:
    """Even with budget=paper and the paper's network."""
    scores = {"Set5": {"baby": (38.0, 0.94)}}
    run = write_run(scores, choices={"budget": "paper"}, size="32x256", parameters=40_729_603)
    if changes is not None:
        config = recipe_config("activation", "relu", 2) | changes
        (run / "config.yaml").write_text(yaml.safe_dump(config))
    for text in report(tmp_path / "runs", tmp_path / "out", width=1000):
        plain = unescape(text)
        assert said in plain
        assert "to the letter" not in plain
    if changes is not None:
        for path, value in changes.items():
            assert re.search(rf"{re.escape(path)}: {value}; paper \S+ \(\w+", plain)


def test_without_runs_there_are_published_numbers(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    terminal, markdown, _ = report(tmp_path / "runs", tmp_path)
    assert "No finished run fits this table (experiment activation_sweep)" in terminal
    assert len(parse_markdown(markdown)) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "unknown paper 'nothing'; choose"),
        (["activation", "--runs", "nowhere"], "nowhere: no such folder of runs"),
        (["activation", "--runs", ".", "--budget", "paper"], "there are no runs"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "report").exists()


def test_the_command_needs_no_torch(runs: Path, tmp_path: Path) -> None:
    """In a process of its own: the whole report, and ``--help`` with almost nothing loaded."""
    code = (
        "import sys, sr_experiments.report.__main__ as command\n"
        "try:\n    command.main(['--help'])\nexcept SystemExit: pass\n"
        "first = {m.split('.')[0] for m in sys.modules}\n"
        "assert not first & {'numpy', 'PIL', 'pydantic', 'rich', 'torch', 'yaml', 'jinja2'}\n"
        f"status = command.main(['--runs', {str(runs)!r}, '--out', {str(tmp_path / 'out')!r}])\n"
        "assert not {m.split('.')[0] for m in sys.modules} & {'torch', 'lightning', 'hydra'}\n"
        "sys.exit(status)"
    )
    environment = os.environ | {"COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "usage: python -m sr_experiments.report" in done.stdout
    assert (tmp_path / "out" / "index.html").is_file()
    assert str(tmp_path / "out" / "activation.md") in done.stdout


def test_a_sweep_leaves_the_other_papers_on_the_page(runs: Path, tmp_path: Path) -> None:
    written = write_report("activation", runs, tmp_path, Console(file=StringIO()))
    assert {path.name.split(".")[0] for path in written} == {
        *("activation", "activation_claims", "summary", "index", "curves")
    }
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section" and "id" in attrs]
    assert sections == papers()
    links = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert links == {"#main", "curves.html", *(f"#{name}" for name in papers())}


def test_the_summary_has_the_main_claims_of_all_papers(runs: Path, tmp_path: Path) -> None:
    write_reports(papers(), runs, tmp_path, Console(file=StringIO()))
    text = (tmp_path / "summary.md").read_text("utf-8")
    page = (tmp_path / "index.html").read_text("utf-8").split('class="paper"')[0]
    for name in papers():
        paper = load_paper(name)
        assert 3 <= len(paper.headline) <= 4
        for claim in paper.claims:
            shown = " ".join(claim.text.split()).replace("'", "&#39;") in page
            assert shown == (claim.id in paper.headline)
            assert (f"| {' '.join(claim.text.split())} |" in text) == shown
    assert "| At x4 Leaky ReLU gains 0.06 % PSNR over ReLU. | no runs |  | +0.06 % |  |" in text


def test_a_budget_that_one_paper_has(runs: Path, tmp_path: Path) -> None:
    """The papers without runs of it show published numbers; without any it is a mistake."""
    out = tmp_path / "out"
    write_reports(["activation", "swa"], runs, out, Console(file=StringIO()), budget="quick")
    assert "37.29" in (out / "activation.md").read_text("utf-8")
    assert "No finished run fits this table" in (out / "swa.md").read_text("utf-8")
    with pytest.raises(UserError, match=r"no run of .* has budget=study"):
        write_reports(["activation", "swa"], runs, out, Console(file=StringIO()), budget="study")


def test_the_same_runs_give_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        write_reports(["activation"], runs, tmp_path / place, Console(file=StringIO()))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_two_papers_of_one_name_are_refused(runs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mine.yaml"
    copy.write_text((shipped("sweeps") / "activation.yaml").read_text("utf-8"), "utf-8")
    with pytest.raises(UserError) as error:
        write_reports(["activation", str(copy)], runs, tmp_path, Console(file=StringIO()))
    assert error.value.code == "paper-name-taken"
    assert error.value.message.fields == {"file": str(copy), "name": "activation"}


@pytest.mark.parametrize("budget", ["smoke", "quick", "desk", "study"])
def test_nothing_below_budget_paper_is_called_a_reproduction(
    budget: str, tmp_path: Path, write_run: Writer
) -> None:
    """With the paper's own network and seeds, too."""
    for activation, psnr in (("relu", 38.0), ("mish", 38.5)):
        run = {"choices": {"budget": budget}, "size": "32x256", "parameters": 40_729_603}
        write_run({"Set5": {"baby": (psnr, 0.94)}}, activation=activation, **run)
    for text in report(tmp_path / "runs", tmp_path / "report", width=500):
        assert "to the letter" not in text
        claimed = re.findall(r"(?:\S+\s+){2}\S*reproduc\w*", text)
        assert all(re.match(r"not\s+a\s+reproduction", words) for words in claimed), claimed
        assert ("mean nothing" if budget == "smoke" else "direction of effects only") in text
