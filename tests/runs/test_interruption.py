"""A run that is asked to end saves where it is, says so by its exit code, and resumes exactly."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from warm_process import WarmProcess

TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
# No checkpoint is due before the end: what is resumed from was saved on request.
RUN = ["budget=smoke", "logger=csv", "training.epochs=15", "training.updates_per_epoch=20"]
RUN += ["training.checkpoint_every=100000", "trainer.threads=1"]
FILES = ("checkpoints/weights.safetensors", "scores.csv", "history.csv")


def start_sweep(cwd: Path, environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sr_experiments", "-m", "hydra/launcher=joblib", *RUN, *words],
        cwd=cwd,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def await_training(process: WarmProcess, runs: Path) -> Path:
    """The run's directory, after its first epoch."""
    deadline = time.monotonic() + 120
    while not any(len(p.read_text().splitlines()) > 1 for p in runs.glob("*/*/history.csv")):
        assert process.poll() is None, process.output
        assert time.monotonic() < deadline, "no epoch in two minutes"
        time.sleep(0.01)
    (directory,) = runs.glob("runs/*")
    return directory


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGTERM, 75, []), (signal.SIGINT, 130, []), (signal.SIGUSR1, 75, TWO)],
)
def test_it_saves_ends_and_resumes_to_the_same_bits(tmp_path, warm, command, number, code, words):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    victim = warm(*RUN, *words, SR_RUNS=str(broken))
    directory = await_training(victim, broken)
    victim.send_signal(number)
    assert victim.wait(60) == code, victim.output
    assert "the same command resumes" in victim.output and "Traceback" not in victim.output
    assert json.loads((directory / "status.json").read_text())["state"] == "interrupted"
    assert json.loads((directory / "progress.json").read_text())["update"] >= 20
    assert (directory / "checkpoints" / "last.ckpt").exists()
    if number == signal.SIGINT:
        return  # as SIGTERM

    again = warm(*RUN, *words, SR_RUNS=str(broken))
    assert again.wait() == 0, again.output
    assert "going on from its last checkpoint" in again.output
    undisturbed = warm(*RUN, *words, SR_RUNS=str(whole))
    assert undisturbed.wait() == 0, undisturbed.output
    assert "going on from" not in undisturbed.output
    reference = whole / "runs" / directory.name
    for file in FILES:
        assert (directory / file).read_bytes() == (reference / file).read_bytes(), file


def test_before_there_is_anything_to_save_it_ends_at_once(warm):
    process = warm(*RUN)
    deadline = time.monotonic() + 120
    while "updates on" not in process.output:  # its title: the network is built
        assert process.poll() is None and time.monotonic() < deadline, process.output
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75


IMPORTING = """
import os, signal, sys
from importlib.abc import MetaPathFinder
from sr_experiments.__main__ import main

class AsksToEnd(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "lightning":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, AsksToEnd())
code = main(sys.argv[1:])
print("whole" if "lightning.pytorch.trainer" in sys.modules else "half imported")
sys.exit(code)
"""


def test_a_library_is_imported_whole_before_it_ends(tmp_path, environment):
    process = subprocess.run(
        [sys.executable, "-c", IMPORTING, *RUN],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert process.returncode == 75, process.stderr
    assert process.stdout.endswith("whole\n") and "Traceback" not in process.stderr


def requeue_ends() -> None:
    """As submitit does, which SLURM warns before the time limit of a sweep's job."""
    signal.signal(signal.SIGUSR2, lambda *_: (print("requeued", flush=True), sys.exit(3)))


def requeue_fails() -> None:
    """Submitit after the last of its times."""

    def fail(*_: object) -> None:
        print("requeued", flush=True)
        raise ValueError("too many times")

    signal.signal(signal.SIGUSR2, fail)


@pytest.mark.parametrize(("before", "code"), [(requeue_ends, 3), (requeue_fails, 75)])
def test_it_saves_before_a_launcher_that_took_the_signal_requeues(tmp_path, warm, before, code):
    victim = warm(*RUN, before=before)
    directory = await_training(victim, tmp_path / "runs")
    victim.send_signal(signal.SIGUSR2)
    assert victim.wait(60) == code, victim.output
    assert victim.output.count("requeued") == 1 and "Traceback" not in victim.output
    assert json.loads((directory / "status.json").read_text())["state"] == "interrupted"
    assert (directory / "checkpoints" / "last.ckpt").exists()


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked for is none."""
    try:
        os.kill(process, 0)
        stat = Path(f"/proc/{process}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def states(runs: Path) -> list[str]:
    return [json.loads(p.read_text())["state"] for p in runs.glob("runs/*/status.json")]


def trainings(sweep: subprocess.Popen[str], runs: Path, count: int) -> dict[int, Path]:
    """The directories of a sweep's runs by their processes, when so many have trained an epoch."""
    deadline = time.monotonic() + 120
    while True:
        files = [p.with_name("status.json") for p in runs.glob("runs/*/history.csv")]
        found = [p.parent for p in files if "running" in p.read_text()]
        if len(found) == count:
            told = (json.loads((path / "progress.json").read_text()) for path in found)
            return {one["process"]: path for one, path in zip(told, found, strict=True)}
        assert sweep.poll() is None, sweep.communicate()[0]
        assert time.monotonic() < deadline, f"no {count} trainings in two minutes"
        time.sleep(0.01)


def test_workers_of_a_killed_sweep_save_and_end(tmp_path, environment):
    sweep = start_sweep(tmp_path, environment, "seed=0,1,2,3", "training.epochs=4000")
    runs = tmp_path / "runs"
    workers = trainings(sweep, runs, 2)
    sweep.kill()
    output, _ = sweep.communicate(timeout=60)
    assert "Traceback" not in output
    deadline = time.monotonic() + 60
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker is left"
        time.sleep(0.1)
    assert states(runs) == ["interrupted"] * 2  # and no further one began
    assert len(list(runs.glob("runs/*/checkpoints/last.ckpt"))) == 2


def test_a_worker_that_has_nothing_to_save_waits_for_those_that_have(tmp_path, environment):
    words = ["hydra.launcher.n_jobs=3", "training.epochs=1,4000,4001", "hydra.sweep.dir=jobs"]
    sweep = start_sweep(tmp_path, environment, *words)
    runs = tmp_path / "runs"
    deadline = time.monotonic() + 120
    while "finished" not in states(runs):
        assert time.monotonic() < deadline, "a training of one epoch has not ended"
        time.sleep(0.01)
    slow, quick = trainings(sweep, runs, 2).items()
    done = json.loads((tmp_path / "jobs" / "job_0000.json").read_text())["process"]
    os.kill(slow[0], signal.SIGSTOP)
    os.kill(done, signal.SIGTERM)
    sweep.send_signal(signal.SIGTERM)
    while "interrupted" not in (quick[1] / "status.json").read_text():
        assert time.monotonic() < deadline, "it has not saved"
        time.sleep(0.01)
    time.sleep(1)  # joblib kills all workers as soon as it sees that one has ended
    os.kill(slow[0], signal.SIGCONT)
    output, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == 75, output
    assert "Traceback" not in output
    assert sorted(states(runs)) == ["finished", "interrupted", "interrupted"]
    assert (slow[1] / "checkpoints" / "last.ckpt").exists()


def processes_of(runs: Path) -> set[int]:
    """Those that keep their runs there; one that has ended has no environment."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"SR_RUNS={runs}\0".encode() in (process / "environ").read_bytes()
        except OSError:
            continue
        found |= {int(process.name)} if mine else set()
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_that_have_just_begun_end_with_a_killed_sweep(tmp_path, environment):
    runs = tmp_path / "runs"
    sweep = start_sweep(tmp_path, environment, "seed=0,1", "training.epochs=4000")
    deadline = time.monotonic() + 120
    while len(processes_of(runs)) < 3:
        assert sweep.poll() is None, sweep.communicate()[0]
        assert time.monotonic() < deadline, "no workers in two minutes"
        time.sleep(0.01)
    time.sleep(0.5)  # sooner, and a pipe that breaks would end them
    sweep.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (left := processes_of(runs)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in left:
        os.kill(process, signal.SIGKILL)
    assert not left
