"""Every experiment runs with ``-m`` alone at the smallest budget; a second time does nothing."""

import math

import pytest

from sr_experiments.places import conf_dir

EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
#: How many runs each sweep is.
JOBS = {"activation_by_model": 12, "activation_sweep": 8, "deconvolution_sweep": 4}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_executed(name, cli, tmp_path):
    args = [f"+experiment={name}", "-m", "budget=smoke", "logger=csv", "trainer.progress=none"]
    result = cli(*args, "benchmarks.save_images=false")
    assert result.returncode == 0, result.stdout + result.stderr
    count = JOBS[name]
    assert f"{count} runs: {count} computed, 0 already there, 0 failed" in result.stdout
    finished = list(tmp_path.glob(f"runs/{name}/*/result.json"))
    scales = {path.parent.name.split("-")[1] for path in finished}
    assert len(finished) == count + len(scales), "and bicubic, the reference, once for each scale"
    gains = [
        line.split("dB against")[0].split()[-1]
        for line in result.stdout.splitlines()
        if "dB against" in line
    ]
    assert len(gains) == count
    assert all(math.isfinite(float(gain)) for gain in gains)
    again = cli(*args)
    assert f"{count} runs: 0 computed, {count} already there, 0 failed" in again.stdout
