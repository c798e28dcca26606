"""A run that is killed and started again ends with the very same bits."""

import itertools
import json
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from sr_experiments.runs.directory import RunDirectory
from warm_process import WarmProcess

RUN = [
    "budget=smoke",
    "logger=csv",
    "training.updates_per_epoch=20",
    "training.epochs=8",
    "activation=prelu",
    "trainer.threads=1",
]


def only_run(runs: Path) -> Path:
    (status,) = runs.glob("runs/*-s0-*/status.json")  # a teacher has another seed
    return status.parent


def kill_after_checkpoint(
    process: WarmProcess, runs: Path, delay: float, name: str = "last.ckpt"
) -> None:
    deadline = time.monotonic() + 120
    while not list(runs.glob(f"runs/*-s0-*/checkpoints/{name}")):
        assert process.poll() is None, process.output
        assert time.monotonic() < deadline, "no checkpoint in two minutes"
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()


# 7 falls into the middle of epochs, 20 on their last update: validation and the epoch's line in
# history.csv come after that checkpoint and must come again.
@pytest.mark.parametrize(
    ("every", "words"),
    [
        (7, ["averaging=ema", "averaging.decay=0.9", "convolution=deconvolution"]),
        (20, ["averaging=swa", "averaging.begin=0"]),
        (7, ["model=vdsr", "training.scales=[2,3]", "method=fitnet", "teacher={seed: 1}"]),
    ],
)
def test_killed_anywhere_the_same_command_ends_bit_identical(every, words, tmp_path, warm, command):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    often = [*words, f"training.checkpoint_every={every}"]
    victim = warm(*RUN, *often, SR_RUNS=str(broken))
    kill_after_checkpoint(victim, broken, delay=every / 100)
    undisturbed = command(*RUN, *words, f"paths.runs={whole}")
    assert undisturbed.returncode == 0, undisturbed.stderr

    directory = only_run(broken)
    status = json.loads((directory / "status.json").read_text())
    assert status["state"] == "running", "it was to be killed in the middle"
    again = warm(*RUN, *often, SR_RUNS=str(broken))
    assert again.wait() == 0, again.output
    assert "going on from its last checkpoint" in again.output

    reference = only_run(whole)
    assert directory.name == reference.name
    files = ["checkpoints/weights.safetensors", "scores.csv", "history.csv"]
    if "averaging" in words[0]:
        files.append("checkpoints/weights-averaged.safetensors")
    for file in files:
        assert (directory / file).read_bytes() == (reference / file).read_bytes(), file
    # The time of an update is that of the updates after the last resume.
    timed = [RunDirectory(d, "").result().training for d in (directory, reference)]
    assert timed[1].updates_timed == timed[1].updates == timed[0].updates
    assert 0 < timed[0].updates_timed <= timed[0].updates - every
    assert all(0 < part.validation_seconds < part.seconds for part in timed)
    if sys.platform == "linux":
        assert all(part.peak_memory > 0 for part in timed)


def test_the_same_command_again_does_nothing(command, tmp_path):
    first = command(*RUN[:2])
    assert first.returncode == 0, first.stderr
    (weights,) = tmp_path.glob("runs/runs/*/checkpoints/weights.safetensors")
    before = weights.stat().st_mtime_ns
    second = command(*RUN[:2], "training.checkpoint_every=3", "trainer.progress=none", "name=other")
    assert second.returncode == 0, second.stderr
    assert "already finished" in second.stdout
    assert weights.stat().st_mtime_ns == before
    assert not (tmp_path / "runs" / "other").exists()


def test_a_clock_that_jumps_changes_nothing(command, tmp_path, monkeypatch):
    clock, calls, said = time.time, itertools.count(), []
    words = [*RUN, "training.checkpoint_every=7", "trainer.progress=lines"]
    for place in ("still", "jumping"):
        if place == "jumping":
            monkeypatch.setattr(time, "time", lambda: clock() + next(calls) * -86_400)
        outcome = command(*words, f"paths.runs={tmp_path / place}")
        assert outcome.returncode == 0, outcome.stderr
        said.append(re.sub(r"\d+ s left", "", outcome.stdout.replace(place, "")))
    assert said[0] == said[1]
    still, jumping = (only_run(tmp_path / place) for place in ("still", "jumping"))
    for file in ("scores.csv", "history.csv", "checkpoints/weights.safetensors"):
        assert (still / file).read_bytes() == (jumping / file).read_bytes()
    measured = json.loads((jumping / "result.json").read_text())["training"]
    assert 0 < measured["validation_seconds"] < 600 and 0 < measured["seconds"] < 600


def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(tmp_path, warm, command):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    often = ["training.checkpoint_every=7"]
    victim = warm(*RUN, *often, SR_RUNS=str(broken))
    kill_after_checkpoint(victim, broken, delay=0, name="before.ckpt")
    undisturbed = command(*RUN, f"paths.runs={whole}")
    assert undisturbed.returncode == 0, undisturbed.stderr
    directory, reference = only_run(broken), only_run(whole)
    last = directory / "checkpoints" / "last.ckpt"
    assert last.with_name("before.ckpt").exists()
    content = bytearray(last.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)  # more than the space between two tensors
    last.unlink()  # the one before may be the same file still
    last.write_bytes(content)
    again = warm(*RUN, *often, SR_RUNS=str(broken))
    assert again.wait() == 0, again.output
    assert "last.ckpt is damaged; going on from the one before" in again.output
    assert "going on from its last checkpoint" in again.output
    for file in ["checkpoints/weights.safetensors", "scores.csv", "history.csv"]:
        assert (directory / file).read_bytes() == (reference / file).read_bytes(), file
    assert not last.with_name("before.ckpt").exists()
