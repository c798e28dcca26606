"""Folders of runs: the good ones are read, each of the others is named with its reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sr_experiments.core.errors import UserError
from sr_experiments.report.evidence.collect import collect
from sr_experiments.runs.records import ImageScore, ScoreKey

Writer = Callable[..., Path]
SET5 = {"Set5": {"baby": (37.0, 0.94), "bird": (41.0, 0.96)}}


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_scores_of_images_are_at_hand(tmp_path: Path, write_run: Writer) -> None:
    write_run(SET5, activation="mish", scale=4, seed=7)
    (run,) = collect(tmp_path / "runs").runs
    assert (run.scale, run.seed, run.budget) == (4, 7, "quick")
    assert run.value("choices.activation") == "mish"
    assert run.value("network.size") == "4x16"
    assert run.value("training.nothing") is None
    assert run.scores[ScoreKey("Set5", "raw", "y")] == {
        "baby": ImageScore(37.0, 0.111),
        "bird": ImageScore(41.0, 0.111),
    }


def test_ssim_may_be_absent_and_psnr_infinite(tmp_path: Path, write_run: Writer) -> None:
    folder = write_run(SET5)
    scores = "Set5,baby,raw,rgb_div2k,inf,\nSet5,bird,raw,rgb_div2k,30.0,\n"
    header = (folder / "scores.csv").read_text().splitlines()[0]
    (folder / "scores.csv").write_text(f"{header}\n{scores}")
    mean = {"psnr": float("inf"), "ssim": None, "images": 2}
    change(folder / "result.json", means={"Set5": {"raw": {"rgb_div2k": mean}}})
    (run,) = collect(tmp_path / "runs").runs
    assert run.scores[ScoreKey("Set5", "raw", "rgb_div2k")]["bird"] == ImageScore(30.0, None)


def test_mean_error_is_read_where_it_was_recorded(tmp_path: Path, write_run: Writer) -> None:
    write_run(SET5, folder="before")
    write_run(SET5, folder="now", mean_error=-6.25)
    before, now = collect(tmp_path / "runs").runs
    key = ScoreKey("Set5", "raw", "y")
    assert (before.scores[key]["baby"].mean_error, now.scores[key]["baby"].mean_error) == (
        None,
        -6.25,
    )


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:-40])


def drop_last_line(path: Path) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "scores.csv").unlink(), "scores.csv is missing"),
        (lambda f: (f / "status.json").unlink(), "status.json is missing"),
        (lambda f: cut(f / "result.json"), "result.json is not valid JSON"),
        (lambda f: (f / "result.json").write_bytes(b"\xff\xfe"), "result.json is not a text"),
        (lambda f: (f / "result.json").write_text("[]"), "result.json: the file: "),
        (lambda f: change(f / "result.json", scale="two"), "result.json: scale: "),
        (lambda f: change(f / "result.json", identity="f" * 64), "of two different runs"),
        (lambda f: cut(f / "scores.csv"), "scores.csv: line 8 is broken"),
        (lambda f: (f / "scores.csv").write_text("a,b\n"), "does not begin with dataset,image"),
        (lambda f: drop_last_line(f / "scores.csv"), "disagree on Set5 averaged rgb"),
        (lambda f: change(f / "result.json", means={}), "result.json has nothing on Set5"),
        (lambda f: change(f / "status.json", state="running"), "its state is running"),
        (
            lambda f: change(f / "status.json", state="failed", error="loss is nan\nat step 3"),
            "its state is failed: loss is nan at step 3",
        ),
    ],
)
def test_a_broken_folder_is_named_and_the_others_stay(
    tmp_path: Path, write_run: Writer, damage: Callable[[Path], None], reason: str
) -> None:
    good, bad = write_run(SET5), write_run(SET5, seed=1)
    damage(bad)
    collection = collect(tmp_path / "runs")
    assert [run.directory for run in collection.runs] == [good]
    ((folder, told),) = collection.skipped
    assert folder == bad
    assert reason in told
    assert "\n" not in told


def test_scores_that_are_not_the_means(tmp_path: Path, write_run: Writer) -> None:
    folder = write_run(SET5)
    table = folder / "scores.csv"
    table.write_text(table.read_text().replace("Set5,bird,raw,y,41.0", "Set5,bird,raw,y,41.1"))
    collection = collect(tmp_path / "runs")
    assert collection.runs == []
    assert collection.skipped == [(folder, "result.json and scores.csv disagree on Set5 raw y")]


def test_foreign_folders(tmp_path: Path, write_run: Writer) -> None:
    good = write_run(SET5)
    root = tmp_path / "runs"
    (root / "notes").mkdir()
    (root / "notes.txt").write_text("a file is not a folder")
    (root / ".hydra").mkdir()
    (root / "activation_sweep" / "plots").mkdir()
    collection = collect(root)
    assert [run.directory for run in collection.runs] == [good]
    assert collection.skipped == [
        (root / "activation_sweep" / "plots", "status.json is missing"),
        (root / "notes", "holds no run"),
    ]
    # The folder of one experiment serves as well as that of all.
    assert [run.directory for run in collect(root / "activation_sweep").runs] == [good]
    with pytest.raises(UserError) as error:
        collect(tmp_path / "nowhere")
    assert error.value.code == "runs-folder-missing"


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_one_identity_the_newest_counts(tmp_path: Path, write_run: Writer, first: str) -> None:
    times = {"a": "2026-01-02T10:30:00+00:00", "b": "2026-01-02T11:00:00+02:00"}  # b is 09:00 UTC
    for name in (first, "b" if first == "a" else "a"):
        write_run(SET5, folder=name, identity="e" * 64, ended=times[name])
    collection = collect(tmp_path / "runs")
    assert [run.directory.name for run in collection.runs] == ["a"]
    ((folder, reason),) = collection.skipped
    assert folder.name == "b"
    assert reason == "same run as activation_sweep/a, which ended later"
