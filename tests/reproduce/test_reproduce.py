"""All papers by one command: what it runs, what it survives, and what it would take."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.reproduce import __main__ as reproduce
from sr_experiments.reproduce import stages
from sr_experiments.reproduce.experiments import Survey

SMOKE = ["budget=smoke", "logger=csv", "trainer.progress=none", "benchmarks.save_images=false"]
#: paper -> stage -> (jobs of its sweep, runs with parents, of these trained), by hand.
COUNTS = {
    # Four activations at two scales; x4 begins with x2, which is a job itself; two bicubics.
    "activation": {"activation_sweep": (8, 10, 8)},
    "deconvolution": {
        "deconvolution_sweep": (4, 6, 4),
        "srcnn_deconvolution_sweep": (2, 3, 2),
    },
    # The teacher of four students, and the student that has none; one bicubic.
    "distillation": {"distillation_sweep": (5, 7, 6)},
    "platform": {
        "platform_methods": (2, 3, 2),
        "platform_residual": (2, 3, 2),
        "platform_learning_rate": (4, 5, 4),
        "platform_optimizer": (4, 5, 4),
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


@pytest.mark.parametrize(
    ("paper", "budget"), [*((name, "paper") for name in COUNTS), ("swa", "smoke")]
)
def test_the_jobs_and_parents_of_a_paper_are_counted_without_its_pictures(paper, budget, places):
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
    if paper == "platform":  # VDSR by its recipe is in five stages, EDSR in two, bicubic in all
        assert len(runs) == sum(count for _, count, _ in found.values()) - 4 - 1 - 7


def test_what_several_papers_need_is_the_same_run(places):
    survey = Survey()
    names = ("srcnn_deconvolution_sweep", "swa_sweep")
    srcnn, swa = (survey.stage(name, ["budget=paper"]) for name in names)
    assert len(srcnn.runs.keys() & swa.runs.keys()) == 1  # bicubic x2
    more = survey.stage("srcnn_deconvolution_sweep", ["budget=paper", "seed=0,1"])
    assert len(more.jobs) == 4
    assert len(more.runs) == 5
    assert srcnn.runs.keys() < more.runs.keys()


def test_a_stage_that_cannot_begin_ends_no_other_and_what_is_done_is_left_alone(
    places, capfd, tmp_path
):
    # EDSR takes the key, SRCNN of the second stage does not.
    words = ["deconvolution", *SMOKE, "model.n_resblocks=1", "scale=2", "convolution=plain"]
    assert reproduce.main(words) == 1
    out = capfd.readouterr().out
    assert summary(out, "deconvolution") == {
        **{"stages": 2, "runs": 1, "computed": 1, "there": 0, "failed": 0},
        "tables": len(load_paper("deconvolution").tables),
    }
    assert "deconvolution: srcnn_deconvolution_sweep: model.n_resblocks: " in out.splitlines()[-2]
    assert (tmp_path / "report" / "deconvolution.md").is_file()
    assert out.count("index.html") == 2, "one report: among its files, and as the last line"

    results = {path: path.stat().st_mtime_ns for path in places.glob("*/*/result.json")}
    assert len(results) == 2
    # The plan knows these very runs again, by the identity that they gave themselves.
    stage = Survey().stage("deconvolution_sweep", words[1:])
    assert stage.runs
    assert not stage.ahead
    assert reproduce.main(words) == 1
    assert summary(capfd.readouterr().out, "deconvolution")["there"] == 1
    assert {p: p.stat().st_mtime_ns for p in places.glob("*/*/result.json")} == results


def test_runs_that_fail_are_counted_and_the_next_stage_still_runs(places, capfd):
    words = ["deconvolution", *SMOKE, "scale=2", "convolution=plain"]
    assert reproduce.main([*words, "data=folder", "data.train.source=nowhere"]) == 1
    out, err = capfd.readouterr()
    assert summary(out, "deconvolution") == {
        **{"stages": 2, "runs": 2, "computed": 0, "there": 0, "failed": 2, "tables": 0},
    }
    assert "1 of 1 runs have no result, for the reasons above" in out
    assert out.count("nowhere: neither a known data set") == 2, "once for each stage"
    assert "Traceback" not in out + err
    assert not list(places.glob("*/*/result.json"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["activaton"], f"unknown paper 'activaton'; choose {', '.join(sorted(COUNTS))}"),
        (["swa", "bugdet=smoke"], "bugdet: no such key; did you mean budget?"),
        (["--plan", "budget=smok"], "budget=smok: no such choice; choose from paper, quick"),
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
    assert summary(out, "deconvolution")["failed"] == 6


def test_ctrl_c_ends_everything_and_the_same_command_goes_on(environment, places, tmp_path):
    # Trainings of seconds, so that the first is caught at work.
    longer = "training.updates_per_epoch=150"
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


def test_the_plan_is_printed_and_trains_nothing(places, capsys, monkeypatch):
    from sr_experiments.reproduce import step_time

    monkeypatch.setattr(step_time, "_STEPS", (1, 1))
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
def test_multiply_adds_are_those_in_print(words, giga, places):
    from sr_experiments.reproduce.step_time import Meter

    work = Survey().work([*words.split(), "budget=paper"])
    facts = Meter(device=None).facts(work)  # type: ignore[arg-type]
    assert facts.multiply_adds / 1e9 == pytest.approx(giga, rel=2e-3)


def test_times_add_up(places, monkeypatch):
    import torch

    from sr_experiments.reproduce import step_time

    # Every measured step takes a second, and there is nothing around it.
    monkeypatch.setattr(step_time, "_times", lambda step, now: 1.0)
    monkeypatch.setattr(step_time, "overhead", lambda *_: 0.25)
    meter, survey = step_time.Meter(torch.device("cpu")), Survey()

    def training(*words: str) -> float:
        """Seconds of the updates alone: without pictures to look at."""
        work = survey.work([*SMOKE, "training.validate_every=1000", *words])
        untrained = survey.work([*SMOKE, "method=none", *words])
        return meter.seconds(work) - meter.seconds(untrained)

    assert training() == pytest.approx(8 * (1 + 0.25 + 1))  # passes, surroundings, optimiser
    assert training("training.accumulate=3") == pytest.approx(8 * (3 * 1.25 + 1))
    assert training("training.epochs=6") == pytest.approx(3 * training())
    # A step of 32x256 is timed on less: 1 patch of 20x20 instead of 16 of 48x48.
    large = ["model.n_resblocks=32", "model.n_feats=256"]
    whole = ["training.batch_size=16", "training.patch_size=48"]
    share = 16 * 48**2 / 20**2
    assert training(*large, *whole) == pytest.approx(8 * (share + 0.25 + 1), rel=0.01)
    averaged = meter.seconds(survey.work([*SMOKE, "averaging=swa", "averaging.begin=0"]))
    plain = meter.seconds(survey.work(SMOKE))
    assert averaged > plain  # both kinds of weights are scored
    # Two epochs: one validation more where each is validated, of both its images.
    cost = meter.cost(survey.work(SMOKE))
    each, second = (
        meter.seconds(survey.work([*SMOKE, f"training.validate_every={n}"])) for n in (1, 2)
    )
    validated = step_time.pixels(survey.work(SMOKE), "val")
    assert each - second == pytest.approx(cost.pixel * validated) and each > second
