"""Dashboards: each run its own, closed with its true state, and none needed."""

import csv
import json
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from sr_experiments.config.compose import compose
from sr_experiments.runs.run import run
from sr_experiments.training import loggers

WITHOUT_WANDB = """
import sys
sys.modules["wandb"] = None  # as if it were not installed
from sr_experiments.__main__ import main
assert main(["budget=smoke", "logger=csv"]) == 0
raise SystemExit(main(["budget=smoke", "logger=wandb", "seed=1"]))
"""


def rows(said: list[dict], key: str) -> list[dict]:
    """The rows of a history that hold a key."""
    items = [r["history"]["item"] for r in said if r["type"] == "history"]
    return [item for item in items if key in item]


def only(said: list[dict], kind: str) -> dict:
    (found,) = [r[kind] for r in said if r["type"] == kind]
    return found


def test_a_sweep_is_a_run_for_each_job_and_one_for_its_table(
    command, small_photographs, tmp_path, logged_records
):
    words = ["activation=relu,mish", "scale=2", "averaging=ema", "training.updates_per_epoch=100"]
    result = command("-m", "+experiment=activation_sweep", "budget=smoke", "logger=wandb", *words)
    assert result.returncode == 0, result.stderr
    seen = set()
    for directory in (tmp_path / "runs" / "activation_sweep").glob("edsr-*"):
        (said,) = logged_records(directory)
        begun = only(said, "run")
        kept = json.loads((directory / "result.json").read_text())
        seen.add(begun["display_name"])
        assert begun["run_id"] == kept["identity"][:16]
        assert (begun["run_group"], begun["job_type"]) == ("activation_sweep", "train")
        assert set(begun["tags"]) == {"activation_sweep", "activation", "smoke", "supervised"}
        config = begun["config"]["update"]
        assert config["activation"] == kept["choices"]["activation"]
        assert config["training.lr"] == 1e-3 and config["method.loss"] == "L1Loss"
        assert not any("_target_" in key for key in config)
        assert only(said, "exit")["exit_code"] == 0
        assert not list(directory.rglob("wandb-metadata.json")), "it names the host and the user"

        trained = rows(said, "train/loss")
        assert [row["update"] for row in trained] == [50, 100, 150, 200]
        with (directory / "history.csv").open() as file:
            history = list(csv.DictReader(file))
        halves = [sum(row["train/loss"] for row in trained[i : i + 2]) / 2 for i in (0, 2)]
        assert halves == pytest.approx([float(line["train_loss"]) for line in history], rel=1e-5)
        assert all(row["train/grad_norm"] > 0 for row in trained)
        assert all(row["train/images_per_second"] > 0 for row in trained)
        validated = rows(said, "val/psnr/y")
        for line, row in zip(history, validated, strict=True):
            assert row["update"] == int(line["update"])
            assert row["val/psnr/rgb"] == float(line["val_psnr_rgb"])
            assert row["val/psnr/y_averaged"] == float(line["val_psnr_y_averaged"])
        (scored,) = rows(said, "benchmark/embedded/psnr/y")
        means = kept["means"]["embedded"]
        assert scored["benchmark/embedded/psnr/y"] == means["raw"]["y"]["psnr"]
        assert scored["benchmark/embedded/ssim/rgb_averaged"] == means["averaged"]["rgb"]["ssim"]
        assert len(rows(said, "val/LR, bicubic, SR, HR, error._type")) == 2

        (table,) = (directory / "wandb").rglob("scores*.table.json")
        with (directory / "scores.csv").open() as file:
            header, *lines = csv.reader(file)
        content = json.loads(table.read_text())
        assert content["columns"] == header and len(content["data"]) == len(lines)
        assert content["data"][0][4] == float(lines[0][4])
        names = {r["artifact"]["name"]: r["artifact"] for r in said if r["type"] == "artifact"}
        weights = names[f"model-{kept['identity'][:16]}"]
        held = {entry["path"] for entry in weights["manifest"]["contents"]}
        assert held == {"weights.safetensors", "weights-averaged.safetensors"}
        summary = {
            k: v for r in said if r["type"] == "summary" for k, v in r["summary"]["update"].items()
        }
        best = max(float(line["val_psnr_y"]) for line in history)
        assert summary["val/psnr/y"] == {"last": validated[-1]["val/psnr/y"], "max": best}
        assert summary["network"]["parameters"] == kept["network"]["parameters"]
    assert seen == {"edsr x2 relu ema smoke s0", "edsr x2 mish ema smoke s0"}

    (folder,) = (tmp_path / "runs" / ".multirun").iterdir()
    (said,) = logged_records(folder)
    assert only(said, "run")["job_type"] == "report"
    (table,) = (folder / "wandb").glob("offline-run-*/**/table*.table.json")
    content = json.loads(table.read_text())
    ours, published = (content["columns"].index(name) for name in ("ours", "published"))
    for column in (ours, published):
        assert any(isinstance(row[column], float) for row in content["data"])
    assert list((folder / "wandb").glob("offline-run-*/**/verdicts*.table.json"))


def test_a_failed_run_and_an_interrupted_one_that_goes_on(command, warm, tmp_path, logged_records):
    result = command("budget=smoke", "training.lr=1e30", "logger=wandb")
    assert result.returncode == 2
    (failed,) = (tmp_path / "runs" / "runs").iterdir()
    (said,) = logged_records(failed)
    assert only(said, "exit")["exit_code"] == 1

    words = ["budget=smoke", "logger=wandb", "training.epochs=12", "training.updates_per_epoch=50"]
    process = warm(*words)
    directory = None
    while directory is None:
        assert process.poll() is None
        time.sleep(0.02)
        found = (tmp_path / "runs").glob("runs/*/history.csv")
        directory = next((p.parent for p in found if len(p.read_text().splitlines()) > 2), None)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75
    assert warm(*words).wait() == 0
    first, second = logged_records(directory)
    assert only(first, "run")["run_id"] == only(second, "run")["run_id"]
    assert (only(first, "exit")["exit_code"], only(second, "exit")["exit_code"]) == (1, 0)
    updates = [row["update"] for said in (first, second) for row in rows(said, "val/psnr/y")]
    assert updates == list(range(50, 601, 50))


def test_wandb_need_not_be_installed(tmp_path, environment):
    refused = subprocess.run(
        [sys.executable, "-c", WITHOUT_WANDB],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: logger=wandb: wandb is not installed; pip install")


def test_a_server_that_does_not_answer_costs_no_run(tmp_path, cache, monkeypatch, capsys):
    """What was logged stays in the run's folder."""
    key = {"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    places = {"SR_RUNS": str(tmp_path / "runs"), "SR_CACHE": str(cache)}
    for name, value in (key | places).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(loggers, "_INIT_TIMEOUT", 1.0)
    words = ["budget=smoke", "logger.mode=online", "benchmarks.save_images=false"]
    outcome = run(compose(words), Console(quiet=True))
    assert outcome.state == "finished"
    said = capsys.readouterr().err
    assert said.startswith("W&B cannot be reached") and "`wandb sync` uploads it" in said
    assert list(outcome.directory.glob("wandb/offline-run-*/*.wandb"))


def test_logging_online_without_a_key_says_what_to_do(cli, environment, tmp_path):
    environment.pop("WANDB_API_KEY", None)
    environment |= {"HOME": str(tmp_path), "WANDB_BASE_URL": "http://127.0.0.1:9"}
    refused = cli("budget=smoke", "logger.mode=online")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: logger.mode=online: W&B refused the login (")
    assert refused.stderr.strip().endswith("run `wandb login`, or set logger.mode=offline")
