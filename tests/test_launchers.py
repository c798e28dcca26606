"""Sweeps: side by side, refused where they cannot work, and summed up when a job fails."""

import json

import pytest

JOBS = ["-m", "budget=smoke", "logger=csv", "benchmarks.save_images=false"]


def test_joblib_trains_a_shared_parent_once_and_names_the_failing_job(cli, tmp_path):
    # Two jobs at a time; three of them begin with the same weights, one cannot be trained.
    result = cli(
        *JOBS,
        "hydra/launcher=joblib",
        "start={seed: 7, training.lr: 1e-3}",
        "reference={model: bicubic}",
        "training.lr=1e-3,2e-3,1e30",
    )
    assert result.returncode == 1, result.stderr
    runs = [json.loads(p.read_text()) for p in (tmp_path / "runs" / "runs").glob("*/status.json")]
    states = sorted(run["state"] for run in runs)
    assert states == ["failed", *["finished"] * 4]  # two of the sweep, their start, the reference
    assert "3 runs: 2 computed, 0 already there, 1 failed" in result.stdout
    assert "training.lr=1e+30" in result.stdout
    assert "not a finite number" in result.stdout
    # A parent computed twice would have been announced twice.
    assert result.stdout.count("edsr x2 relu smoke s7  EDSR") == 1
    assert result.stdout.count("bicubic x2  Bicubic") == 1
    assert "Warning" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["seed=0,1", "hydra/launcher=joblib", "trainer=ddp"], "trainer.devices=auto"),
        (
            [
                "seed=0,1",
                "hydra/launcher=slurm",
                "hydra.launcher.tasks_per_node=2",
                "trainer=cpu",
            ],
            "hydra.launcher.tasks_per_node=2 with trainer.devices=1",
        ),
        (["+experiment=activation_sweep,activation_sweep"], "+experiment="),
        (["hydra/launcher=slrm"], "hydra/launcher=slrm: no such choice; choose from basic, joblib"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line_before_the_first_job(
    monkeypatch, capsys, tmp_path, arguments, line
):
    from sr_experiments import __main__

    if "hydra/launcher=slurm" in arguments:
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.setenv("SR_RUNS", str(tmp_path / "runs"))
    assert __main__.main([*JOBS, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {line}")
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_sweep_that_lost_a_job_waits_for_the_others_of_its_array(monkeypatch, tmp_path):
    submitit = pytest.importorskip("submitit")
    from sr_experiments import sweep

    # As submitit lays it out: a folder for the array, which never ends, and one for each job.
    files = ["21/21_submission.sh", "21_0/21_0_submitted.pkl", "21_1/21_1_submitted.pkl"]
    for file in files:
        path = tmp_path / ".submitit" / file
        path.parent.mkdir(parents=True)
        path.touch()
    answers = {"21_0": [True], "21_1": [False, True]}

    class Job:
        def __init__(self, folder, job_id):
            self.answers = answers[job_id]

        def done(self, force_check=False):
            return self.answers.pop(0)

    monkeypatch.setattr(submitit, "SlurmJob", Job)
    monkeypatch.setattr(sweep, "_ASK_SLURM", 0)
    sweep._await_slurm(tmp_path)
    assert answers == {"21_0": [], "21_1": []}


def test_a_launcher_whose_extra_is_missing_is_named(cli, environment, tmp_path):
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text(
        "import sys\nfor name in ('submitit', 'joblib', 'ray'):\n    sys.modules[name] = None\n"
        "for name in ('submitit', 'joblib', 'ray'):\n"
        "    sys.modules[f'hydra_plugins.hydra_{name}_launcher'] = None\n"
    )
    environment["PYTHONPATH"] = str(tmp_path)
    for word in ("joblib", "slurm", "ray"):
        result = cli(*JOBS, "seed=0,1", f"hydra/launcher={word}")
        assert result.returncode == 2, result.stdout + result.stderr
        assert f"sr_experiments[{word}]" in result.stderr
        assert len(result.stderr.splitlines()) == 1, result.stderr
