"""Each mistake or mishap: one clear line, an exit code, and nothing half-written."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.runs.run import run
from sr_experiments.training.callbacks.history import History

QUICK = ["budget=smoke", "logger=csv"]


def fails(command, *args: str) -> str:
    """The one line on stderr of a command that must fail without a traceback."""
    result = command(*QUICK, *args)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr + result.stdout
    lines = result.stderr.strip().splitlines()
    assert lines, result.stdout
    assert lines[0].startswith("error: ")
    return result.stderr.strip()


def image(path: Path, height: int = 64, width: int = 64, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def left_over(tmp_path: Path) -> list[str]:
    """Files of runs; locks do not count."""
    runs = tmp_path / "runs"
    return [str(p.relative_to(runs)) for p in runs.glob("*/*/**/*") if ".locks" not in p.parts]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["modle=edsr"], "modle: no such key; did you mean model?"),
        (["activation=releu"], "activation=releu: no such choice; choose from gelu, leaky_relu"),
        (["scale=5"], "scale=5: EDSR can do 2, 3, 4"),
        (["training.patch_size=4000"], "smaller than the 8000x8000 patch"),
        (["benchmarks.sets=[Set5]"], "Set5: the data root"),
        (["data=folder", "data.train.source=nowhere"], "nowhere: neither a known data set"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(args, said, command, tmp_path):
    text = fails(command, *args)
    assert said in text.splitlines()[0]
    assert left_over(tmp_path) == []


def test_a_run_refused_at_its_start_leaves_no_dashboard_either(warm, tmp_path):
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    result = warm("budget=smoke", "logger=wandb", *two, "training.batch_size=3").completed()
    assert result.returncode == 2
    assert result.stderr.startswith("error: training.batch_size=3: not a multiple")
    assert left_over(tmp_path) == []


def test_a_finished_start_whose_weights_are_gone_is_named(command, tmp_path):
    assert command(*QUICK).returncode == 0
    (weights,) = (tmp_path / "runs").glob("*/*/checkpoints/weights.safetensors")
    weights.unlink()
    text = fails(command, "seed=1", "start={seed: 0}")
    directory = weights.parents[1].relative_to(tmp_path)
    assert f"{directory}: this run's start is finished, but its weights are not there" in text
    assert len(list((tmp_path / "runs").glob("*/*/status.json"))) == len(
        list((tmp_path / "runs").glob("*/*/result.json"))
    )


def test_a_missing_data_root_shows_the_tree_it_wants_and_the_one_it_found(command, tmp_path):
    (tmp_path / "data" / "holiday").mkdir(parents=True)
    text = fails(command, "data=div2k")
    first, *rest = text.splitlines()
    assert "DIV2K" in first
    assert "SR_DATA" in first
    assert any("DIV2K_train_HR" in line for line in rest)
    assert any("holiday" in line for line in rest)


def _truncated(folder: Path) -> None:
    whole = image(folder / "b.png", 200, 200).read_bytes()
    (folder / "b.png").write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_truncated, "b.png: damaged image"),
        (lambda folder: (folder / "b.png").write_bytes(b""), "b.png: the file is empty"),
        (lambda folder: (folder / "b.png").write_text("hello"), "b.png: not an image"),
        (lambda folder: shutil.rmtree(folder) or folder.mkdir(), "it is empty"),
    ],
    ids=["truncated", "zero bytes", "text", "empty folder"],
)
def test_damaged_images_are_named(spoil, said, command, tmp_path):
    folder = tmp_path / "photos"
    image(folder / "a.png")
    spoil(folder)
    text = fails(command, "data=folder", f"data.train.source={folder}")
    assert said in text.splitlines()[0]
    assert left_over(tmp_path) == []


def test_low_and_high_resolution_of_different_sizes(command, tmp_path):
    root = tmp_path / "data" / "benchmark" / "Set5"
    for index, name in enumerate(("baby", "bird", "butterfly", "head", "woman")):
        image(root / "HR" / f"{name}.png", 64, 64, index)
        image(root / "LR_bicubic" / "X2" / f"{name}x2.png", 32, 31 if name == "head" else 32)
    text = fails(command, "model=bicubic", "benchmarks.sets=[Set5]", "data.lr=disk")
    assert "head" in text
    assert "32x31" in text
    assert "32x32" in text
    assert left_over(tmp_path) == []


def test_a_loss_that_is_no_number_stops_and_says_where(warm, tmp_path):
    def completed(*words: str) -> subprocess.CompletedProcess[str]:
        return warm(*words).completed()

    text = fails(completed, "training.lr=1e30", "training.checkpoint_every=1")
    assert "not a finite number from update 2 on" in text
    assert "its batch was cut from" in text
    (directory,) = (tmp_path / "runs" / "runs").iterdir()
    status = json.loads((directory / "status.json").read_text())
    assert status["state"] == "failed"
    assert "not a finite number" in status["error"]
    assert not (directory / "scores.csv").exists()
    assert not (directory / "checkpoints" / "weights.safetensors").exists()


@pytest.fixture
def tiny_disk(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_keeps_the_old_checkpoint_and_the_run_goes_on_later(
    tiny_disk, command, environment
):
    environment["SR_RUNS"] = str(tiny_disk / "runs")
    args = ["training.updates_per_epoch=8", "training.checkpoint_every=2"]
    args += ["benchmarks.save_images=false"]
    ballast = tiny_disk / "ballast"
    stats = os.statvfs(tiny_disk)
    ballast.write_bytes(bytes(stats.f_bavail * stats.f_frsize - 100 * 1024))
    text = fails(command, *args)
    assert "last.ckpt: cannot be written" in text
    assert "MiB are free" in text
    (directory,) = (tiny_disk / "runs" / "runs").iterdir()
    names = {p.name for p in directory.rglob("*") if p.is_file()}
    assert not [n for n in names if n.startswith(".") or n.endswith(".tmp")], "half-written files"
    assert "scores.csv" not in names

    ballast.unlink()
    again = command(*QUICK, *args)
    assert again.returncode == 0, again.stderr
    assert json.loads((directory / "status.json").read_text())["state"] == "finished"


def test_a_sweep_goes_on_after_a_failure_and_names_it(command, tmp_path):
    result = command("-m", *QUICK, "scale=2,5", "trainer.progress=none", "model.n_resblocks=1,2")
    assert result.returncode == 1
    assert "4 runs: 2 computed, 0 already there, 2 failed" in result.stdout
    assert "EDSR can do 2, 3, 4" in result.stdout
    assert len(list(tmp_path.glob("runs/runs/*/result.json"))) == 2


def test_two_experiments_at_once_are_refused(cli):
    text = fails(cli, "+experiment=activation_sweep,activation_sweep", "-m")
    assert "each experiment brings its own sweep" in text


def test_a_control_may_diverge(command, tmp_path):
    words = ["budget=smoke", "logger=csv", "recipe=vdsr", "training.lr=1e6", "clipping=none"]
    refused = command(*words)
    assert (
        refused.returncode == 2 and "the loss is not a finite number from update" in refused.stderr
    )
    done = command(*words, "training.may_diverge=true")
    assert done.returncode == 0 and "the loss is no number from update" in done.stdout
    (file,) = tmp_path.glob("runs/runs/*/result.json")
    result = json.loads(file.read_text())
    assert result["means"] == {} and 1 <= result["training"]["diverged_at"] <= 8
    assert (file.parent / "scores.csv").read_text().count("\n") == 1
    assert not list(file.parent.glob("checkpoints/weights*"))
    assert "already finished" in command(*words, "training.may_diverge=true").stdout


def test_images_that_change_while_a_run_trains_do_not_matter_to_it(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("SR_RUNS", str(tmp_path / "whole"))
    monkeypatch.setenv("SR_CACHE", str(cache))
    photos = [image(tmp_path / "photos" / f"{name}.png", seed=name) for name in range(3)]
    words = [*QUICK, "data=folder", f"data.train.source={tmp_path / 'photos'}"]
    words += ["trainer=cpu", "trainer.threads=1", "benchmarks.save_images=false"]
    whole = run(compose(words), Console(quiet=True)).directory

    def spoil(self: History, *given: object) -> None:
        photos[0].unlink(missing_ok=True)
        image(photos[1], seed=9)
        photos[2].write_bytes(b"damaged")
        close(self, *given)

    close = History.on_train_epoch_end
    monkeypatch.setattr(History, "on_train_epoch_end", spoil)
    monkeypatch.setenv("SR_RUNS", str(tmp_path / "spoilt"))
    spoilt = run(compose(words), Console(quiet=True)).directory
    assert spoilt.name == whole.name
    for file in ("checkpoints/weights.safetensors", "scores.csv", "history.csv"):
        assert (spoilt / file).read_bytes() == (whole / file).read_bytes(), file
    with pytest.raises(UserError, match=r"2\.png: not an image"):  # no longer what it was
        run(compose(words), Console(quiet=True))


def test_runs_on_a_disk_that_cannot_be_written(tiny_disk, command, environment):
    environment["SR_RUNS"] = str(tiny_disk / "runs")
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    text = fails(command)
    assert (
        text == f"error: paths.runs={tiny_disk / 'runs'}: cannot be written (Read-only file system)"
    )
