"""Every experiment runs with ``-m`` alone at the smallest budget."""

import json
import math
from functools import cache
from pathlib import Path

import pytest
import yaml
from hydra.plugins.sweeper import Sweeper

from sr_experiments import __main__
from sr_experiments.core.paths import conf_dir
from sr_experiments.report.evidence.collect import collect
from sr_experiments.report.evidence.verdicts import judge
from sr_experiments.report.paper.definition import Paper
from sr_experiments.report.paper.load import load_paper, papers

EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
#: How many runs each sweep is, and how many more are computed for it: parents and references.
RUNS = {
    "activation_by_model": (12, 1),
    "activation_sweep": (8, 2),
    "deconvolution_everywhere": (1, 1),
    "deconvolution_sweep": (4, 2),
    "deconvolution_without_residual": (4, 1),
    "distillation_by_teacher": (3, 4),
    "distillation_fakd": (2, 2),
    "distillation_sweep": (5, 2),
    "ecbsr_ships": (3, 0),
    "platform_clipping": (4, 1),
    "platform_initializer": (3, 1),
    "platform_learning_rate": (4, 1),
    "platform_methods": (6, 3),
    "platform_optimizer": (12, 1),
    "platform_regularization": (4, 1),
    "platform_residual": (2, 1),
    "platform_weight_decay": (2, 1),
    "srcnn_deconvolution_sweep": (4, 1),
    "swa_by_model": (4, 5),
    "swa_sweep": (3, 2),
    "vdsr_scales": (3, 1),
}
#: Each experiment with the paper whose tables it writes, or None.
PAPERS = {
    name: yaml.safe_load((conf_dir() / "experiment" / f"{name}.yaml").read_text()).get("paper")
    for name in EXPERIMENTS
}
#: One experiment of each paper.
REPORTED = {paper: name for name, paper in PAPERS.items() if paper}.values()


@pytest.mark.usefixtures("small_photographs")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_executed(name, environment, monkeypatch, capsys, tmp_path):
    for variable in ("SR_RUNS", "SR_REPORT", "SR_DATA", "SR_CACHE", "COLUMNS"):
        monkeypatch.setenv(variable, environment[variable])
    # Hydra composes each job, and then composes it once more to launch it.
    monkeypatch.setattr(Sweeper, "validate_batch_is_legal", lambda *_: None)
    args = [f"+experiment={name}", "-m", "budget=smoke", "logger=csv", "trainer.progress=none"]
    args += ["benchmarks.save_images=false"]
    paper = PAPERS[name]
    if name not in REPORTED:  # the same report as another experiment's, which takes seconds
        args += ["paper=null"]
    code, (out, err) = __main__.main(args), capsys.readouterr()
    assert code == 0, out + err
    count, others = RUNS[name]
    assert f"{count} runs: {count} computed, 0 already there, 0 failed" in out
    found = [json.loads(p.read_text()) for p in tmp_path.glob(f"runs/{name}/*/result.json")]
    assert len(found) == count + others
    assert (tmp_path / "report" / f"{paper}.md").is_file() == (name in REPORTED)
    assert claims_without_runs(name, tmp_path / "runs") == []
    gains = [
        line.split("dB against")[0].split()[-1] for line in out.splitlines() if "dB against" in line
    ]
    trained = [run for run in found if run["training"]]
    compared = sum(len(kinds) for run in trained for kinds in run["means"].values())
    assert len(gains) == (0 if name in ("ecbsr_ships", "vdsr_scales") else compared)
    assert all(math.isfinite(float(gain)) for gain in gains)
    if name == "activation_sweep":
        counted = {(run["scale"], run["network"]["multiply_adds"]) for run in trained}
        # EDSR 1x8 by hand: 3 -> 8, three of 8 -> 8, and the upsampler at 1280x720 / scale.
        low, last = (3 * 8 + 3 * 8 * 8 + 8 * 32) * 9, 8 * 3 * 9 * 1280 * 720
        x2, x4 = low * 640 * 360, low * 320 * 180 + 8 * 32 * 9 * 640 * 360
        assert counted == {(2, x2 + last), (4, x4 + last)}
    if name not in ("swa_sweep", "distillation_sweep", "vdsr_scales"):
        return
    assert __main__.main(args) == 0
    again = capsys.readouterr().out
    assert f"{count} runs: 0 computed, {count} already there, 0 failed" in again


#: Claims that compare a column with runs of another experiment.
ACROSS = {
    ("deconvolution", "everywhere_drops"),
    ("deconvolution", "deconvolution_as_fast_as_batch_norm"),
    ("deconvolution", "deconvolution_beats_batch_norm"),
    ("platform", "one_network_for_all_scales"),
    ("platform", "residual_learns_faster"),
    ("platform", "residual_scores_higher"),
    ("platform", "weight_decay_counters_overfitting"),
}


@cache
def all_papers() -> list[Paper]:
    return [load_paper(name) for name in papers()]


def claims_without_runs(experiment: str, runs: Path) -> list[tuple[str, str]]:
    """Claims on an experiment's tables that its own runs cannot judge, but should."""
    found = collect(runs).runs
    without = []
    for paper in all_papers():
        tables = {table.id for table in paper.tables if table.experiment == experiment}
        if tables:
            without += [
                (paper.name, verdict.claim.id)
                for verdict in judge(paper, found)
                if verdict.claim.table in tables and verdict.outcome == "no runs"
            ]
    return [claim for claim in without if claim not in ACROSS]


def test_every_experiment_is_counted_here():
    assert set(EXPERIMENTS) == set(RUNS)
    assert {paper for paper in PAPERS.values() if paper} == set(papers())
