"""Dashboards as code: each paper's, and only with names that runs log."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sr_experiments.config.compose import compose
from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.runs.identity import flat, relevant

RESULTS = Path(__file__).resolve().parents[1] / "results" / "desk"


def names(node: Any) -> Iterator[str]:
    """Every name of a metric or of media in a specification."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("metrics", "mediaKeys"):
                yield from value
            yield from names(value)
    elif isinstance(node, list):
        for entry in node:
            yield from names(entry)


def grouped(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for entry in node.get("grouping") or []:
            yield entry["name"].replace(".value", "", 1)
        for value in node.values():
            yield from grouped(value)
    elif isinstance(node, list):
        for entry in node:
            yield from grouped(entry)


@pytest.fixture(scope="module")
def specifications(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from sr_experiments.dashboard import main

    out = tmp_path_factory.mktemp("dashboards")
    assert main(["--runs", str(RESULTS), "--out", str(out)]) == 0
    first = {path.name: path.read_text() for path in out.iterdir()}
    assert first.keys() == {
        f"{p}.{kind}.json" for p in papers() for kind in ("workspace", "report")
    }
    assert main(["swa", "--runs", str(RESULTS), "--out", str(out)]) == 0
    assert (out / "swa.workspace.json").read_text() == first["swa.workspace.json"]
    return {name: json.loads(text) for name, text in first.items()}


def test_every_name_is_one_that_runs_log(specifications, command, tmp_path, logged_records):
    words = ["budget=smoke", "logger=wandb", "averaging=ema", "training.updates_per_epoch=50"]
    result = command(*words)
    assert result.returncode == 0, result.stderr
    (directory,) = (tmp_path / "runs" / "runs").glob("edsr-*")
    (said,) = logged_records(directory)
    logged = {key for r in said if r["type"] == "history" for key in r["history"]["item"]}
    images = {key.removesuffix("._type") for key in logged}
    for name, specification in specifications.items():
        found = {
            re.sub("^benchmark/[^/]+/", "benchmark/embedded/", n) for n in names(specification)
        }
        assert found and found <= logged | images, name
        assert any(n.startswith("benchmark/") for n in found) and "val/psnr" in " ".join(found)


def test_runs_are_grouped_by_what_their_config_says(specifications):
    for paper in papers():
        known: set[str] = set()
        for stage in load_paper(paper).stages:
            config = compose([f"+experiment={stage}", "budget=smoke"])
            known |= flat(relevant(config)).keys() | config.choices.keys()
        for kind in ("workspace", "report"):
            keys = {
                re.sub(r"\.value\b", "", key)
                for key in grouped(specifications[f"{paper}.{kind}.json"])
            }
            assert keys and "scale" in keys
            assert keys <= known, (paper, keys - known)


def test_the_report_quotes_the_verdicts(specifications):
    text = json.dumps(specifications["swa.report.json"])
    for claim in load_paper("swa").claims:
        assert claim.text in text.replace("\\\\", "")


def test_without_a_login_nothing_is_lost(command, tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    result = command("swa", "--entity", "nobody", module="dashboard")
    assert result.returncode == 2
    assert result.stderr.startswith("error: W&B did not take it (")
    assert "Traceback" not in result.stderr
    assert (tmp_path / "report" / "dashboards" / "swa.workspace.json").is_file()
