"""Two processes compute what one computes, and end together."""

import csv
import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sr_experiments.config.compose import compose
from sr_experiments.core.device import processor
from sr_experiments.core.errors import UserError
from sr_experiments.runs.launch import check_tasks, rank, started_outside
from sr_experiments.runs.processes import Team

SMOKE = ["budget=smoke", "logger=csv", "benchmarks.save_images=false"]
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]


def the_run(root: Path, experiment: str = "runs") -> Path:
    (folder,) = (root / experiment).iterdir()
    return folder


def scores(folder: Path) -> dict[tuple[str, ...], float]:
    with (folder / "scores.csv").open() as file:
        return {tuple(r.values())[:4]: float(r["psnr"]) for r in csv.DictReader(file)}


def processes_with(word: str) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environment = (place / "environ").read_bytes()
        except OSError:
            continue
        if word.encode() in environment and int(place.name) != os.getpid():
            found.append(int(place.name))
    return found


def test_two_processes_give_the_scores_of_one(warm, command, tmp_path):
    # Parents, too: both runs begin with the weights of another one. And inside a sweep.
    common = [*SMOKE, "trainer.precision=64-true", "start={seed: 7}"]
    one = command(*common, "trainer=cpu", f"paths.runs={tmp_path / 'one'}")
    two = warm("-m", *common, *TWO, f"paths.runs={tmp_path / 'two'}").completed()
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    said = [r.stdout.splitlines()[:-1] for r in (one, two)]
    assert said[0] == said[1]  # by one process only
    assert "1 runs: 1 computed" in two.stdout
    assert two.stderr == ""
    runs = [sorted((tmp_path / n / "runs").iterdir()) for n in ("one", "two")]
    assert [p.name for p in runs[0]] == [p.name for p in runs[1]]
    assert len(runs[0]) == 2
    for alone, shared in zip(*runs, strict=True):
        assert scores(alone) == pytest.approx(scores(shared), abs=1e-9)
        history = [(p / "history.csv").read_text().split() for p in (alone, shared)]
        for a, b in zip(*history, strict=True):
            if a[0].isdigit():
                numbers = [[float(x) for x in line.split(",")] for line in (a, b)]
                assert numbers[0] == pytest.approx(numbers[1], rel=1e-9)
    again = command(*common, *TWO, f"paths.runs={tmp_path / 'two'}")
    assert "already finished" in again.stdout


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("training.lr=1e30", "the loss is not a finite number from update 2 on"),
        ("training.batch_size=3", "training.batch_size=3: not a multiple of the 2 processes"),
    ],
)
def test_a_failure_ends_all_processes_with_one_line(warm, tmp_path, override, line):
    result = warm(*SMOKE, *TWO, override).completed()
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {line}")
    assert len(result.stderr.splitlines()) == 1
    assert processes_with(str(tmp_path)) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
@pytest.mark.parametrize("victim", ["leader", "helper"])
def test_nobody_outlives_a_killed_process_and_the_run_resumes(warm, tmp_path, victim):
    args = [*SMOKE, *TWO, "training.updates_per_epoch=100", "training.checkpoint_every=5"]
    leader = warm(*args)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("runs/runs/*/checkpoints/last.ckpt")):
        assert leader.poll() is None and time.monotonic() < deadline, leader.output
        time.sleep(0.05)
    helpers = processes_with(str(tmp_path))  # the leader is forked: its variables are not seen
    os.kill(leader.pid if victim == "leader" else helpers[0], signal.SIGKILL)
    ended = leader.completed()
    deadline = time.monotonic() + 60
    while processes_with(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert processes_with(str(tmp_path)) == []
    if victim == "helper":
        assert ended.returncode == 2
        assert ended.stderr.startswith("error: process 1 of this distributed run ended (signal")
        assert len(ended.stderr.splitlines()) == 1
        status = json.loads((the_run(tmp_path / "runs") / "status.json").read_text())
        assert status["state"] == "failed"
        return
    resumed = warm(*args).completed()
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from its last checkpoint" in resumed.stdout


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (0, False)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, (0, False)),  # the body of a batch script
        ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, (1, True)),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, (0, False)),
        ({"RANK": "3", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "x"}, (3, True)),
        ({"LOCAL_RANK": "1"}, (0, False)),  # somebody's leftover makes nobody a helper
    ],
)
def test_who_leads_follows_from_what_started_the_process(monkeypatch, variables, expected):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_")) or name in ("RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (rank(), started_outside()) == expected


@pytest.mark.parametrize(
    ("devices", "num_nodes", "nodes", "tasks", "key"),
    [
        (2, 1, 1, 3, "tasks_per_node=3"),
        (1, 1, 1, 2, "tasks_per_node=2"),
        ("auto", 1, 1, 2, "tasks_per_node=2"),
        (2, 1, 2, 2, "nodes=2"),
        (2, 2, 2, 1, "tasks_per_node=1"),
        (2, 1, 1, 2, None),
        (2, 1, 1, 1, None),
        (2, 2, 2, 2, None),
    ],
)
def test_slurm_tasks_have_to_fit_the_trainer(devices, num_nodes, nodes, tasks, key):
    if key is None:
        check_tasks(devices, num_nodes, nodes, tasks)
        return
    with pytest.raises(UserError, match=f"hydra.launcher.{key} with trainer"):
        check_tasks(devices, num_nodes, nodes, tasks)


def test_several_tasks_for_one_device_are_refused(monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")

    plan = SimpleNamespace(config=compose(["trainer=cpu"]))
    with pytest.raises(UserError, match=r"several tasks were started for trainer\.devices=1"):
        Team(plan)


@pytest.mark.parametrize(("processes", "threads"), [(1, None), (2, 4), (3, 2), (16, 1)])
def test_cores_are_divided_among_the_processes(monkeypatch, processes, threads):
    for variable in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("sr_experiments.runs.processes.cores", lambda: 8)
    team = Team(SimpleNamespace(config=compose([*SMOKE, "trainer=cpu"])))
    assert team.gather(processes) == threads


def test_a_slurm_task_keeps_the_cores_that_are_its_own(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    variables = {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_CPUS_PER_TASK": "6"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Team(SimpleNamespace(config=compose([*SMOKE, *TWO]))).gather(2) == 6
    named = compose([*SMOKE, *TWO, "trainer.threads=3"])
    assert Team(SimpleNamespace(config=named)).gather(2) == 3


@pytest.mark.parametrize(
    ("words", "threads"),
    [
        (["trainer=cpu"], 14),
        (["trainer=cpu", "trainer.threads=3"], 3),
        (TWO, 7),
    ],
)
def test_a_run_computes_with_the_threads_it_is_given(cli, environment, tmp_path, words, threads):
    del environment["OMP_NUM_THREADS"]
    environment["SLURM_CPUS_PER_TASK"] = "14"  # of one task, which starts the processes itself
    done = cli(*SMOKE, *words, "model=bicubic")
    assert done.returncode == 0, done.stderr
    result = json.loads((the_run(tmp_path / "runs") / "result.json").read_text())
    assert result["device"].startswith(f"cpu ({threads} threads, {processor()}, ")
