"""The runs in ``results/``: complete, neutral, and one report whoever makes it, and where."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "results" / "desk"
RUNS = sorted(path.parent for path in RESULTS.glob("*/*/status.json"))
# As if it were not installed.
WITHOUT_TORCH = """
import sys
sys.modules.update({name: None for name in ("torch", "lightning", "hydra", "wandb")})
from sr_experiments.report.__main__ import main
raise SystemExit(main())
"""


def test_every_run_is_whole_and_names_no_machine():
    assert RUNS
    for run in RUNS:
        status = json.loads((run / "status.json").read_text())
        assert status["state"] == "finished", run
        names = {"config.yaml", "result.json", "scores.csv", "status.json"}
        trained = json.loads((run / "result.json").read_text())["training"]
        names |= {"history.csv"} if trained else set()
        assert {path.name for path in run.iterdir()} == names
        for file in run.iterdir():
            assert file.stat().st_size < 200_000
            text = file.read_text()
            assert not any(f"{root}/" in text for root in ("/root", "/home", "/work", "/tmp")), file


def test_the_report_is_the_same_bytes_anywhere_and_needs_no_torch(tmp_path):
    folders = [run.relative_to(RESULTS) for run in RUNS]
    random.Random(0).shuffle(folders)
    for folder in folders:  # the file system lists them in another order
        shutil.copytree(RESULTS / folder, tmp_path / "copy" / "desk" / folder)
    said = []
    for runs, zone, seed in (
        (RESULTS, "UTC", "0"),
        (tmp_path / "copy" / "desk", "Asia/Seoul", "7"),
    ):
        out = tmp_path / zone
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_TORCH, "--runs", runs, "--out", out],
            env=os.environ | {"TZ": zone, "PYTHONHASHSEED": seed, "LC_ALL": "C"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "Skipped folders" not in done.stdout
        said.append({path.name: path.read_bytes() for path in out.iterdir()})
    first, second = said
    assert first.keys() == second.keys() and "index.html" in first
    assert [name for name in first if first[name] != second[name]] == []
