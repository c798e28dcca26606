"""What `status` says of runs that are computed, killed, silent, resumed and finished."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from sr_experiments import status
from sr_experiments.runs.heartbeat import Heartbeat
from sr_experiments.runs.records import PROGRESS, Progress

RUN = ["budget=smoke", "logger=csv", "trainer.threads=1"]
LONG = [*RUN, "training.epochs=4000", "training.checkpoint_every=50"]


def told(capsys, runs: Path) -> list[dict]:
    assert status.main([str(runs), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def aged(directory: Path, seconds: float, **changes: object) -> None:
    """Let the last sign of life be older, and perhaps another machine's."""
    file = directory / PROGRESS
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    then = time.time() - seconds
    os.utime(file, (then, then))


def test_a_run_is_running_and_then_dead(tmp_path, warm, capsys):
    runs = tmp_path / "runs"
    victim = warm(*LONG)
    try:
        found: list[dict] = []
        for _ in range(1200):
            found = told(capsys, runs) if runs.is_dir() else []
            if found and list(runs.glob("*/*/checkpoints/last.ckpt")):
                break
            assert victim.poll() is None, victim.output
            time.sleep(0.05)
        (one,) = found
        assert one["state"] == "running" and one["progress"]["process"] == victim.pid
        assert one["progress"]["updates"] == 16000
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    (directory,) = runs.glob("runs/*")
    aged(directory, 5)  # its process is gone, but it might be of another container
    assert told(capsys, runs)[0]["state"] == "running"
    aged(directory, 25)
    (one,) = told(capsys, runs)
    assert one["state"] == "dead" and 25 <= one["silent"] < 60
    aged(directory, 25, host="another machine")
    assert told(capsys, runs)[0]["state"] == "running"
    aged(directory, 65, host="another machine")
    assert told(capsys, runs)[0]["state"] == "dead"
    assert status.main([str(runs)]) == 0
    table = capsys.readouterr().out
    assert "1 dead" in table and directory.name in table and "another machine" in table


def test_a_finished_run_keeps_its_last_score(command, tmp_path, capsys):
    assert command(*RUN).returncode == 0
    (one,) = told(capsys, tmp_path / "runs")
    assert (one["state"], one["silent"], one["error"]) == ("finished", None, None)
    progress = one["progress"]
    assert (progress["phase"], progress["done"], progress["total"]) == ("scoring", 4, 4)
    assert progress["update"] == progress["updates"] == 8
    (history,) = (tmp_path / "runs").glob("runs/*/history.csv")
    header, *_, last = (line.split(",") for line in history.read_text().splitlines())
    assert progress["psnr"] == pytest.approx(float(last[header.index("val_psnr_y")]))
    assert status.main([str(tmp_path / "runs")]) == 0
    table = capsys.readouterr().out
    assert "1 finished" in table and one["run"] not in table  # counted, not listed
    assert status.main([str(tmp_path / "runs"), "--all"]) == 0
    assert one["run"] in capsys.readouterr().out


def test_it_beats_while_nothing_moves_and_a_disk_that_refuses_is_no_failure(tmp_path):
    file = tmp_path / PROGRESS
    with Heartbeat(file, 100, "cpu", every=0.05):
        first = file.stat().st_mtime_ns
        for _ in range(200):
            time.sleep(0.05)
            if file.stat().st_mtime_ns != first:
                break
        assert file.stat().st_mtime_ns != first
    assert Progress.model_validate_json(file.read_bytes()).updates == 100
    (tmp_path / "a file").touch()
    with Heartbeat(tmp_path / "a file" / PROGRESS, 100, "cpu", every=0.01):
        time.sleep(0.05)


def test_time_left_is_that_of_the_phase():
    progress = Progress(
        phase="training",
        done=30,
        total=100,
        update=30,
        updates=100,
        per_second=2.0,
        psnr=None,
        host="a",
        process=1,
        device="cpu",
    )
    run = status.RunState("sweep", "run", "running", progress, 1.0, None)
    assert run.left == 35
    assert status.RunState("sweep", "run", "dead", progress, 99.0, None).left is None


def test_a_folder_that_is_none_is_one_line(tmp_path, capsys):
    assert status.main([str(tmp_path / "nowhere")]) == 2
    assert "no such folder of runs" in capsys.readouterr().err
