"""A run that is asked to end saves where it is, says so by its exit code, and resumes exactly."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
# No checkpoint is due before the end: what is resumed from was saved on request.
RUN = ["budget=smoke", "logger=csv", "training.epochs=15", "training.updates_per_epoch=20"]
RUN += ["training.checkpoint_every=100000", "trainer.threads=1"]
FILES = ("checkpoints/weights.safetensors", "scores.csv", "history.csv")


def start(cwd: Path, environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sr_experiments", *RUN, *words],
        cwd=cwd,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A shell's background job ignores SIGINT, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def await_training(process: subprocess.Popen[str], runs: Path) -> Path:
    """The run's directory, after its first epoch."""
    deadline = time.monotonic() + 120
    while not any(len(p.read_text().splitlines()) > 1 for p in runs.glob("*/*/history.csv")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no epoch in two minutes"
        time.sleep(0.01)
    (directory,) = runs.glob("runs/*")
    return directory


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGTERM, 75, []), (signal.SIGINT, 130, []), (signal.SIGUSR1, 75, TWO)],
)
def test_it_saves_ends_and_resumes_to_the_same_bits(
    tmp_path, environment, cli, command, number, code, words
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    victim = start(tmp_path, environment | {"SR_RUNS": str(broken)}, *words)
    directory = await_training(victim, broken)
    victim.send_signal(number)
    output, _ = victim.communicate(timeout=60)
    assert victim.returncode == code, output
    assert "the same command resumes" in output and "Traceback" not in output
    assert json.loads((directory / "status.json").read_text())["state"] == "interrupted"
    assert json.loads((directory / "progress.json").read_text())["update"] >= 20
    assert (directory / "checkpoints" / "last.ckpt").exists()
    if number == signal.SIGINT:
        return  # as SIGTERM

    again = start(tmp_path, environment | {"SR_RUNS": str(broken)}, *words)
    output, _ = again.communicate()
    assert again.returncode == 0, output
    assert "going on from its last checkpoint" in output
    alone = cli if words else command  # a process group is made once in a process
    undisturbed = alone(*RUN, *words, f"paths.runs={whole}")
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert "going on from" not in undisturbed.stdout
    reference = whole / "runs" / directory.name
    for file in FILES:
        assert (directory / file).read_bytes() == (reference / file).read_bytes(), file


def test_before_there_is_anything_to_save_it_ends_at_once(tmp_path, environment):
    process = start(tmp_path, environment | {"SR_RUNS": str(tmp_path / "runs")})
    assert process.stdout is not None
    process.stdout.readline()  # its title: images are read, the network is built
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 75


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


LAUNCHER = """
import signal, sys
from sr_experiments.__main__ import main

def requeue(number, frame):
    print("requeued", flush=True)
    {ends}

signal.signal(signal.SIGUSR2, requeue)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("ends", "code"), [("sys.exit(3)", 3), ("raise ValueError('too many times')", 75)]
)
def test_it_saves_before_a_launcher_that_took_the_signal_requeues(
    tmp_path, environment, ends, code
):
    # As submitit does, which SLURM warns before the time limit of a sweep's job.
    runs = tmp_path / "runs"
    victim = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER.format(ends=ends), *RUN],
        cwd=tmp_path,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    directory = await_training(victim, runs)
    victim.send_signal(signal.SIGUSR2)
    output, _ = victim.communicate(timeout=60)
    assert victim.returncode == code, output
    assert output.count("requeued") == 1 and "Traceback" not in output
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_of_a_sweep_save_and_end_with_it(tmp_path, environment, number):
    words = ["-m", "hydra/launcher=joblib", "seed=0,1,2,3", "training.epochs=4000"]
    sweep = start(tmp_path, environment, *words)
    runs = tmp_path / "runs"
    deadline = time.monotonic() + 120
    while len(list(runs.glob("runs/*/history.csv"))) < 2:
        assert sweep.poll() is None, sweep.communicate()[0]
        assert time.monotonic() < deadline, "no two trainings in two minutes"
        time.sleep(0.01)
    progress = [json.loads(p.read_text()) for p in runs.glob("runs/*/progress.json")]
    sweep.send_signal(number)
    output, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == (75 if number == signal.SIGTERM else -number), output
    assert "Traceback" not in output
    workers = {one["process"] for one in progress}
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker is left"
        time.sleep(0.1)
    ended = [json.loads(p.read_text()) for p in runs.glob("runs/*/status.json")]
    assert [one["state"] for one in ended] == ["interrupted"] * 2  # and no further one began
    assert len(list(runs.glob("runs/*/checkpoints/last.ckpt"))) == 2


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
    words = ["-m", "hydra/launcher=joblib", "seed=0,1", "training.epochs=4000"]
    sweep = start(tmp_path, environment | {"SR_RUNS": str(runs)}, *words)
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
