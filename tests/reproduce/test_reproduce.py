"""All papers by one command: what it runs, what it survives, and what it would take."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn

from sr_experiments.config.compose import compose
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.reproduce import __main__ as reproduce
from sr_experiments.reproduce import estimate, stages, step_time
from sr_experiments.reproduce.experiments import Survey
from sr_experiments.reproduce.step_time import StepTime, time_steps
from sr_experiments.runs.plan import Plan
from sr_experiments.runs.run import run
from sr_experiments.training.module import Supervised

SMOKE = ["budget=smoke", "logger=csv", "trainer.progress=none", "benchmarks.save_images=false"]
#: paper -> stage -> (jobs of its sweep, runs with parents, of these trained), by hand.
COUNTS = {
    # Four activations at two scales; x4 begins with x2, which is a job itself; two bicubics.
    "activation": {"activation_sweep": (8, 10, 8)},
    "deconvolution": {
        "deconvolution_sweep": (4, 6, 4),
        "srcnn_deconvolution_sweep": (4, 5, 4),
        "deconvolution_without_residual": (4, 5, 4),
        "deconvolution_everywhere": (1, 2, 1),
    },
    # The teacher of four students, and the student that has none; one bicubic.
    "distillation": {"distillation_sweep": (5, 7, 6)},
    "platform": {
        "platform_methods": (6, 9, 6),
        "platform_residual": (2, 3, 2),
        "platform_learning_rate": (4, 5, 4),
        "platform_optimizer": (12, 13, 12),
        "platform_initializer": (3, 4, 3),
        "platform_regularization": (4, 5, 4),
        "platform_weight_decay": (2, 3, 2),
        "platform_clipping": (4, 5, 4),
    },
    # Three rates that begin with one training; one bicubic.
    "swa": {"swa_sweep": (3, 5, 4)},
}


@pytest.fixture
def places(environment, monkeypatch) -> Path:
    """This process writes where the tests' commands write; returns the runs' folder."""
    for name in ("SR_RUNS", "SR_REPORT", "SR_DATA", "SR_CACHE", "COLUMNS"):
        monkeypatch.setenv(name, environment[name])
    return Path(environment["SR_RUNS"])


def summary(text: str, paper: str) -> dict[str, int]:
    """A paper's line of the last table."""
    line = [row.split() for row in text.splitlines() if row.split()[:1] == [paper]][-1]
    names = ("stages", "runs", "computed", "there", "failed", "tables")
    return dict(zip(names, map(int, line[1:7]), strict=True))


def test_the_summary_cuts_no_name_at_80_columns():
    console = Console(file=io.StringIO(), width=80)
    every = [load_paper(name) for name in papers()]
    reproduce._sum_up(every, {paper.name: [] for paper in every}, [], console)
    for paper in every:
        assert summary(console.file.getvalue(), paper.name)["runs"] == 0


@pytest.mark.parametrize(
    ("paper", "budget"), [*((name, "paper") for name in COUNTS), ("swa", "smoke")]
)
def test_the_jobs_and_parents_of_a_paper_are_counted_without_its_images(paper, budget, places):
    survey, found, runs = Survey(), {}, {}
    for stage in load_paper(paper).stages:
        seen = survey.stage(stage, [f"budget={budget}"])
        assert not seen.refused
        trained = sum(work.trained for work in seen.runs.values())
        found[stage] = len(seen.jobs), len(seen.runs), trained
        runs |= seen.runs
        assert seen.ahead.keys() == seen.runs.keys()  # nothing is done
    assert found == COUNTS[paper]
    assert set(COUNTS) == set(papers())
    # Only budget=paper asks for DIV2K, which is not there.
    assert {reason.split(":")[0] for reason in survey.missing} == (
        {"Set5", "DIV2K/train"} if budget == "paper" else set()
    )
    if paper == "platform":  # three trainings are in two stages, bicubic x2 is in all eight
        assert len(runs) == sum(count for _, count, _ in found.values()) - 3 - 7


def test_what_several_papers_need_is_the_same_run(places):
    survey = Survey()
    names = ("srcnn_deconvolution_sweep", "swa_sweep")
    srcnn, swa = (survey.stage(name, ["budget=paper"]) for name in names)
    assert len(srcnn.runs.keys() & swa.runs.keys()) == 1  # bicubic x2
    more = survey.stage("srcnn_deconvolution_sweep", ["budget=paper", "seed=0,1"])
    assert len(more.jobs) == 8
    assert len(more.runs) == 9
    assert srcnn.runs.keys() < more.runs.keys()


def test_a_stage_that_cannot_begin_ends_no_other_and_what_is_done_is_left_alone(
    places, stages_here, capfd, tmp_path
):
    # EDSR, of the first and the last stage, takes the key; SRCNN and VDSR do not.
    words = ["deconvolution", *SMOKE, "model.n_resblocks=1", "scale=2", "convolution=plain"]
    assert reproduce.main(words) == 1
    out = capfd.readouterr().out
    assert summary(out, "deconvolution") == {
        **{"stages": 4, "runs": 2, "computed": 2, "there": 0, "failed": 0},
        "tables": len(load_paper("deconvolution").tables),
    }
    for stage in ("srcnn_deconvolution_sweep", "deconvolution_without_residual"):
        assert f"deconvolution: {stage}: model.n_resblocks: " in out
    assert (tmp_path / "report" / "deconvolution.md").is_file()
    assert out.count("index.html") == 2, "one report: among its files, and as the last line"

    results = {path: path.stat().st_mtime_ns for path in places.glob("*/*/result.json")}
    assert len(results) == 3  # with bicubic
    # The plan knows these very runs again, by the identity that they gave themselves.
    stage = Survey().stage("deconvolution_sweep", words[1:])
    assert stage.runs
    assert not stage.ahead
    assert reproduce.main(words) == 1
    assert summary(capfd.readouterr().out, "deconvolution")["there"] == 2
    assert {p: p.stat().st_mtime_ns for p in places.glob("*/*/result.json")} == results


def test_runs_that_fail_are_counted_and_the_next_stage_still_runs(places, stages_here, capfd):
    words = ["deconvolution", *SMOKE, "scale=2", "convolution=plain"]
    assert reproduce.main([*words, "data=folder", "data.train.source=nowhere"]) == 1
    out, err = capfd.readouterr()
    assert summary(out, "deconvolution") == {
        **{"stages": 4, "runs": 6, "computed": 0, "there": 0, "failed": 6, "tables": 0},
    }
    assert "1 of 1 runs have no result, for the reasons above" in out
    assert out.count("nowhere: neither a known data set") == 6, "once for each run"
    assert "Traceback" not in out + err
    assert not list(places.glob("*/*/result.json"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["activaton"], f"unknown paper 'activaton'; choose {', '.join(sorted(COUNTS))}"),
        (["swa", "bugdet=smoke"], "bugdet: no such key; did you mean budget?"),
        (
            ["--plan", "budget=smok"],
            "budget=smok: no such choice; choose from desk, paper, quick",
        ),
        (["swa", "+experiment=swa_sweep"], "+experiment=swa_sweep: is set by the stages"),
        (["swa", "hydra/launcher=joblib", "trainer=ddp"], "trainer.devices=auto"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_begins(words, said, places, capsys):
    assert reproduce.main(words) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {said}")
    assert len(err.splitlines()) == 1
    assert out == ""
    assert not places.exists()


def states(runs: Path) -> list[str]:
    return sorted(json.loads(p.read_text())["state"] for p in runs.glob("*/*/status.json"))


def test_a_stage_whose_process_is_killed_does_not_end_the_next(places, capfd, monkeypatch):
    real, begun = stages._run, []

    def killed(command: list[str]) -> int:
        begun.append(command[4])
        return real([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])

    monkeypatch.setattr(stages, "_run", killed)
    assert reproduce.main(["swa", "deconvolution", *SMOKE]) == 1
    names = load_paper("swa").stages + load_paper("deconvolution").stages
    assert begun == [f"+experiment={name}" for name in names]  # all of them, in this order
    out = capfd.readouterr().out
    killed_line = "3 of 3 runs have no result; its process was ended by signal SIGKILL"
    assert f"swa: swa_sweep: {killed_line}" in out
    assert summary(out, "deconvolution")["failed"] == 13


def test_ctrl_c_ends_everything_and_the_same_command_goes_on(environment, places, tmp_path):
    # Trainings of seconds, so that the first is caught at work.
    longer = "training.updates_per_epoch=80"
    words = ["swa", *SMOKE, "scheduler.factor=0.5,0.3", longer]
    command = [sys.executable, "-m", "sr_experiments.reproduce", *words]

    first = subprocess.Popen(
        command,
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores SIGINT, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(places.glob("swa_sweep/*/history.csv")):  # an epoch of it is over
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text()
    stage = int(children.split()[0])
    first.send_signal(signal.SIGINT)  # to this process alone, which passes it on
    _, err = first.communicate(timeout=60)
    assert first.returncode == 130, err
    assert f"goes on where it stopped: python -m sr_experiments.reproduce {words[0]}" in err
    with pytest.raises(ProcessLookupError):
        os.killpg(stage, 0)  # nobody is left of it
    assert "running" not in states(places)
    assert "interrupted" in states(places)

    again = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    seen = summary(again.stdout, "swa")
    assert seen["computed"] + seen["there"] == 2
    assert states(places) == ["finished"] * 4


#: Of every timed update: seconds whatever its batch, for a multiply-add, of processor time and in
#: all.
STEP = StepTime(0.5, 1e-9, 9.0, 10.0)


@pytest.fixture
def steps(places, monkeypatch) -> list[Any]:
    """No update is timed; returns what would have been."""
    asked: list[Any] = []

    def time_steps(module, trainer, sizes):
        asked.append((module, sizes))
        return STEP

    monkeypatch.setattr(estimate, "time_steps", time_steps)
    monkeypatch.setattr(estimate, "_scoring", lambda device: 1e-7)
    return asked


def seen(*works: Plan) -> estimate.TimeEstimate:
    """An estimate that has measured what these runs need."""
    found = estimate.TimeEstimate(torch.device("cpu"))
    runs = {work.identity: work for work in works}
    for _ in found.measure(runs, {key: work for key, work in runs.items() if not work.done}):
        pass
    return found


def test_the_plan_is_printed_and_trains_nothing(places, capsys, monkeypatch):
    monkeypatch.setattr(step_time, "PATIENCE", 0.0)
    assert reproduce.main(["swa", "activation", "--plan", *SMOKE, "scale=2"]) == 0
    out = capsys.readouterr().out
    assert "swa_sweep: 3 jobs (0 done), 5 runs with their parents" in out
    lines = [line.split() for line in out.splitlines() if line.strip()]
    (averaged,) = [line for line in lines if line[:4] == ["RCAN", "1x2x8", "x2", "swa"]]
    assert averaged[4:8] == ["0", "of", "3", "6,435"]
    assert averaged[10] == "8"  # updates: two epochs of four
    table = {line[0]: line[1:6] for line in lines if line[0] in ("swa", "activation", "together")}
    assert table["swa"] == ["1", "3", "5", "0", "32"]
    assert table["activation"] == ["1", "4", "5", "0", "32"]
    assert table["together"] == ["2", "7", "9", "0", "64"]  # bicubic x2 is in both
    assert "These 2 papers at budget=smoke: " in out
    # RCAN, and EDSR with each activation.
    assert "from a few updates of 5 networks" in out and "can be wrong by a quarter" in out
    assert not places.exists()


@pytest.mark.parametrize(
    ("words", "giga"),
    [  # as papers print them for 1280x720
        ("model=edsr_baseline scale=2", 316.3),
        ("model=edsr_baseline scale=3", 160.2),
        ("model=edsr_baseline scale=4", 114.2),
        ("model=vdsr scale=4", 612.6),
        ("model=srcnn_955 scale=3", 52.7),
    ],
)
def test_multiply_adds_are_those_in_print(words, giga, steps):
    work = Survey().work([*words.split(), "budget=paper"])
    assert seen(work).network(work).multiply_adds / 1e9 == pytest.approx(giga, rel=2e-3)


def test_times_add_up(steps):
    survey = Survey()

    def update(*words: str) -> float:
        work = survey.work([*SMOKE, *words])
        return seen(work).update(work)

    def seconds(*words: str) -> float:
        work = survey.work([*SMOKE, *words])
        return seen(work).seconds(work)

    # EDSR 1x8 at x2 by hand, for a pixel of the output; three passes' worth of it in an update.
    macs = ((3 * 8 + 3 * 8 * 8 + 8 * 32) * 9) / 4 + 8 * 3 * 9
    patches = ["training.batch_size=4", "training.patch_size=12"]
    assert update(*patches) == pytest.approx(0.5 + 1e-9 * 3 * macs * 4 * 24**2)
    assert update(*patches, "training.accumulate=3") == pytest.approx(3 * update(*patches))
    # Updates, and the validations of two images among them, by each kind of weights.
    work = survey.work(SMOKE)
    pixels = estimate._pixels(work, "val")
    look = pixels * (1e-9 * macs + 1e-7)
    assert work.config.updates == 8 and pixels > 0
    rarely = seconds("training.validate_every=1000")
    scoring = estimate._pixels(work, "benchmark") * (1e-9 * macs + 1e-7)
    assert rarely == pytest.approx(estimate.START + 8 * update() + scoring)
    assert seconds("training.validate_every=2") - rarely == pytest.approx(look)
    assert seconds() - rarely == pytest.approx(2 * look)
    averaged = seconds("averaging=swa", "averaging.begin=0")
    assert averaged - seconds() == pytest.approx(2 * look + scoring)


def test_a_kind_of_network_is_timed_once_and_small_where_its_batch_is_large(steps):
    survey = Survey()
    small = [
        survey.work([*SMOKE, f"scale={scale}", f"seed={seed}"])
        for scale in (2, 4)
        for seed in (0, 1)
    ]
    found = seen(*small)
    assert len(steps) == 1, "scales differ in multiply-adds, seeds in nothing"
    assert found.update(small[0]) == found.update(small[1]) != found.update(small[2])
    (((images, side, scale, work),),) = [sizes for _, sizes in steps]
    assert (images, side) == (small[0].config.training.batch_size, small[0].config.lr_patch())
    assert work == pytest.approx(
        (found.update(next(w for w in small if w.config.scale == scale)) - 0.5) / 1e-9
    )
    large = survey.work(
        [*SMOKE, "model.n_feats=64", "training.batch_size=16", "training.patch_size=48"]
    )
    steps.clear()
    seen(large)
    ((_, (few, many)),) = steps
    assert few[:2] == (1, 8) and few[3] < many[3] <= estimate._CPU_STEP
    assert many[0] < 16


def test_what_has_finished_here_is_not_timed(steps, places):
    """Its seconds are taken for another seed, not for another scale."""
    survey = Survey()
    ended = compose([*SMOKE, "training.epochs=1"])
    run(ended, Console(quiet=True))
    works = [survey.work([*SMOKE, *words]) for words in ([], ["seed=1"], ["scale=4"])]
    found = seen(survey.work([*SMOKE, "training.epochs=1"]), *works)
    record = json.loads(next(places.glob("*/*/result.json")).read_text())["training"]
    assert (
        found.update(works[0])
        == found.update(works[1])
        == record["seconds"] / record["updates_timed"]
    )
    assert [module.network.scale for module, _ in steps] == [4]
    assert "2 of 3 trainings take what finished ones took here." in found.remarks(
        {w.identity: w for w in works}
    )


@pytest.mark.parametrize(("busy", "said"), [(9.0, 0), (3.0, 1)])
def test_a_busy_machine_is_noticed(busy, said, steps, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "STEP", STEP._replace(busy=busy))
    work = Survey().work(SMOKE)
    lines = seen(work).remarks({work.identity: work})
    assert sum("other processes took 70% of the time" in line for line in lines) == said


def test_there_is_an_end_to_timing(steps, monkeypatch):
    monkeypatch.setattr(estimate, "LIMIT", 0.0)
    work = Survey().work(SMOKE)
    found = seen(work)
    assert not steps and found.seconds(work) > 0
    assert found.remarks({work.identity: work}) == [
        "1 more networks were not timed, but taken to be as fast."
    ]


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_a_line_through_two_sizes_tells_what_does_not_grow(share, monkeypatch):
    """An update of planted cost, 4 ms and 2 ms for an image, with a share of a core's time."""
    clock = [0.0]
    monkeypatch.setattr(step_time, "PATIENCE", 0.0)
    monkeypatch.setattr(step_time.time, "perf_counter", lambda: clock[0] / share)
    monkeypatch.setattr(step_time.time, "thread_time", lambda: clock[0])
    module = Supervised(Bicubic(2))
    module.network.weight = nn.Parameter(torch.ones(1))

    def training_step(batch, batch_idx):
        clock[0] += 0.004 + 0.002 * len(batch.lr)
        return module.network.weight.sum()

    monkeypatch.setattr(module, "training_step", training_step)
    taken = time_steps(module, compose(SMOKE).trainer, [(1, 8, 2, 1e6), (4, 8, 2, 4e6)])
    assert (taken.fixed, taken.each) == pytest.approx((0.004, 2e-9))  # on a busy machine as well
    assert taken.busy == pytest.approx(share * taken.wall)
    assert not Path("lightning_logs").exists() and not Path("checkpoints").exists()
