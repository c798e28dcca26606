"""Dashboards: each run its own, closed with its true state, and none needed."""

import json
import subprocess
import sys
from pathlib import Path

WITHOUT_WANDB = """
import sys
sys.modules["wandb"] = None  # as if it were not installed
from sr_experiments.__main__ import main
raise SystemExit(main())
"""


def records(file: Path) -> list[dict]:
    """What a W&B offline file says, read by W&B itself."""
    wandb = Path(sys.executable).parent / "wandb"
    output = subprocess.run(
        [wandb, "leet", "inspect", "--json", file], capture_output=True, text=True, check=True
    ).stdout
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def test_runs_of_one_process_are_separate_and_end_as_they_ended(cli, tmp_path):
    result = cli("-m", "budget=smoke", "training.lr=1e-3,1e30", "logger=wandb")
    assert result.returncode == 1
    assert "1 computed" in result.stdout
    assert "1 failed" in result.stdout
    seen = {}
    for directory in (tmp_path / "runs" / "runs").iterdir():
        (file,) = directory.glob("wandb/offline-run-*/*.wandb")
        said = records(file)
        (ended,) = [r["exit"]["exit_code"] for r in said if r["type"] == "exit"]
        (begun,) = [r["run"] for r in said if r["type"] == "run"]
        steps = [r for r in said if r["type"] == "history" and "train_loss" in r["history"]["item"]]
        state = json.loads((directory / "status.json").read_text())["state"]
        seen[state] = (ended, begun["run_id"], len(steps))
        assert begun["run_id"] in file.name
        assert not list(directory.rglob("wandb-metadata.json")), "it names the host and the user"
    assert seen["finished"][0] == 0
    assert seen["failed"][0] == 1
    assert seen["finished"][1] != seen["failed"][1]
    assert seen["finished"][2] == 2, "one line an epoch"


def test_wandb_need_not_be_installed(tmp_path, environment):
    def call(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_WANDB, "budget=smoke", *args],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )

    assert call("logger=csv").returncode == 0
    refused = call("logger=wandb", "seed=1")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: logger=wandb: wandb is not installed; pip install")
