"""A run's directory: found again, never half written, never shared by two runs."""

import re

import pytest
import yaml

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.runs.directory import RunDirectory, find, slug
from sr_experiments.runs.records import ImageScore, Mean, Record, Result

ONE = "0123456789abcdef" * 4
TWIN = "01234567" + "f" * 56  # another run whose name would be the same


def a_result(psnr):
    return Result(
        identity=ONE,
        experiment="first",
        choices={"model": "größe"},
        scale=2,
        seed=0,
        network=None,
        training=None,
        means={"größe": {"raw": {"y": Mean(psnr=psnr, ssim=None, images=1)}}},
    )


@pytest.fixture
def begun(tmp_path):
    run = find(tmp_path, "first", "edsr-x2", ONE)
    run.begin({"name": "first", "scale": 2, "choices": {"model": "größe"}})
    return run


def test_states_come_back_as_they_were_written(begun):
    again = RunDirectory(begun.path, ONE)
    status = again.status()
    assert status.state == "running" and status.ended is None and not again.is_finished()
    assert status.identity == ONE and status.experiment == "first"
    begun.end("failed", "no space", "Traceback ...")
    failed = again.status()
    assert failed.state == "failed" and failed.error == "no space" and failed.ended
    assert failed.started == status.started
    assert (begun.path / "error.txt").read_text() == "Traceback ..."
    begun.begin({"name": "first"})
    assert not (begun.path / "error.txt").exists() and again.status().error is None
    assert again.status().started == status.started
    begun.end("finished")
    assert again.is_finished() and not RunDirectory(begun.path, TWIN).is_finished()


def test_what_a_killed_process_left_half_written_is_removed(begun):
    (begun.path / ".notes.markdown").write_text("mine")  # eight letters, as a temporary has
    killed = [atomic_write(begun.path / "progress.json"), atomic_write(begun.checkpoint)]
    left = [writing.__enter__() for writing in killed]
    begun.begin({"name": "first"})
    assert not any(path.exists() for path in left)
    assert (begun.path / ".notes.markdown").exists() and (begun.path / "status.json").exists()


def test_scores_and_result_keep_every_digit(begun):
    psnr = 0.1 + 0.2
    for ssim in (None, 1 / 3):
        begun.write_scores([("Set5", "baby, small", "raw", "y", ImageScore(psnr, ssim, -0.7))])
    header, line = (begun.path / "scores.csv").read_text().splitlines()
    assert header == "dataset,image,weights,protocol,psnr,ssim,mean_error"
    assert line == 'Set5,"baby, small",raw,y,0.30000000000000004,0.3333333333333333,-0.7'
    result = a_result(psnr)
    begun.write_result(result)
    assert begun.result() == result and "größe" in (begun.path / "result.json").read_text()
    (begun.path / "result.json").write_text("{")
    with pytest.raises(UserError, match="its result cannot be read"):
        begun.result()


@pytest.mark.parametrize("what", ["status", "scores", "result", "config"])
def test_a_failing_write_keeps_the_old(begun, monkeypatch, what):
    begun.write_scores([("a", "b", "raw", "y", ImageScore(1.0, None))])
    begun.write_result(a_result(1.0))
    before = {p.name: p.read_bytes() for p in begun.path.iterdir()}

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    def rows():
        yield ("a", "b", "raw", "y", ImageScore(2.0, None))
        full()

    monkeypatch.setattr(Record, "to_json", full)
    monkeypatch.setattr(yaml, "safe_dump", full)
    calls = {
        "status": lambda: begun.end("finished"),
        "scores": lambda: begun.write_scores(rows()),
        "result": lambda: begun.write_result(a_result(2.0)),
        "config": lambda: begun.begin({"name": "new"}),
    }
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        calls[what]()
    assert {p.name: p.read_bytes() for p in begun.path.iterdir()} == before


@pytest.mark.parametrize("damage", ["", "{", "[]", "\udcff"])
def test_a_damaged_status_is_no_status(begun, damage):
    (begun.path / "status.json").write_bytes(damage.encode("utf-8", "surrogateescape"))
    assert begun.status() is None and not begun.is_finished()


def test_a_run_is_found_in_whatever_experiment_it_was_made(begun, tmp_path):
    assert find(tmp_path, "second", "another-slug", ONE).path == begun.path
    other = find(tmp_path, "second", "edsr-x2", "f" * 64)
    assert other.path == tmp_path / "second" / "edsr-x2-ffffffff" and not other.path.exists()


def test_two_runs_whose_hashes_begin_alike_do_not_share_a_directory(begun, tmp_path):
    twin = find(tmp_path, "first", "edsr-x2", TWIN)
    assert twin.path != begun.path and TWIN[:8] in twin.path.name
    twin.begin({"name": "first"})
    twin.end("finished")
    assert begun.status().identity == ONE and not begun.is_finished()
    for experiment, words in (("first", "edsr-x2"), ("second", "other")):
        assert find(tmp_path, experiment, words, TWIN).path == twin.path
        assert find(tmp_path, experiment, words, ONE).path == begun.path


@pytest.mark.parametrize(
    "words",
    [
        ["../../etc/passwd"],
        ["a/b\\c"],
        ["größe", "日本"],
        ["a\nb\0c", "*?[x]"],
        ["", "x" * 300],
        [],
    ],
)
def test_a_slug_is_safe_whatever_the_words(words, tmp_path):
    text = slug(words)
    assert re.fullmatch(r"[A-Za-z0-9._+-]{0,80}", text.replace("_", ""))
    run = find(tmp_path, "runs", text, ONE)
    run.begin({"name": "runs"})
    assert run.path.resolve().parent == (tmp_path / "runs").resolve()
    assert find(tmp_path, "other", "", ONE).path == run.path
    assert slug(["edsr", "", "x2", "leaky_relu"]) == "edsr-x2-leaky_relu"
