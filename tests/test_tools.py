"""The two small commands: scoring folders and making low-resolution images."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sr_experiments import downscale, score
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image, write_png
from sr_experiments.imaging.resize import imresize
from sr_experiments.metrics.protocols import PROTOCOLS
from sr_experiments.metrics.scoring import score_image


def noise(seed: int = 0, height: int = 40, width: int = 36) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def folder(path: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        write_png(path / name, noise(seed))
    return path


@pytest.mark.parametrize(
    ("truth", "result"),
    [
        ("baby.png", "baby.png"),
        ("baby.png", "babyx2.png"),
        ("baby.png", "baby_x2.png"),
        ("baby.png", "baby_RCAN_x2.png"),
        ("baby.png", "baby_x2_SR.png"),
        ("baby.png", "baby_SRF_2_HR.png"),
        ("baby.png", "baby-ours.v2.png"),
        ("baby_HR.png", "baby.png"),
        ("baby_HR.png", "baby_HR_x2.png"),
        ("img_001_SRF_2_HR.png", "img_001_SRF_2_EDSR.png"),
        ("img_001_SRF_2_HR.png", "img_001x2.png"),
        ("ppt3.png", "ppt3x3.png"),
    ],
)
def test_names_that_match(tmp_path, truth, result):
    sr, hr = folder(tmp_path / "sr", result), folder(tmp_path / "hr", truth)
    assert [(pair.sr.name, pair.hr.name) for pair in score.find_pairs(sr, hr)] == [(result, truth)]


def test_the_longest_name_is_meant(tmp_path):
    truths = ["img_1.png", "img_10.png", "img_1_b.png"]
    hr = folder(tmp_path / "hr", *truths)
    sr = folder(tmp_path / "sr", "img_10x2.png", "img_1_b_x2.png", "img_1_SR.png")
    pairs = score.find_pairs(sr, hr)
    assert {pair.hr.name: pair.sr.name for pair in pairs} == {
        "img_1.png": "img_1_SR.png",
        "img_10.png": "img_10x2.png",
        "img_1_b.png": "img_1_b_x2.png",
    }


@pytest.mark.parametrize(
    ("results", "truths", "says"),
    [
        (["a.png"], ["a.png", "b.png"], ["b.png", "no result"]),
        (["a.png", "c.png"], ["a.png"], ["c.png", "no ground truth"]),
        (["img_10.png"], ["img_1.png"], ["img_10.png", "no ground truth"]),
        (["babysitter.png"], ["baby.png"], ["babysitter.png", "no ground truth"]),
        (["ax2.png", "a_SR.png"], ["a.png"], ["ax2.png", "a_SR.png", "a.png", "both"]),
        (["a.png"], ["a.png", "a_HR.png"], ["a.png", "a_HR.png", "one name"]),
    ],
)
def test_names_that_do_not_match_are_named(tmp_path, results, truths, says):
    sr, hr = folder(tmp_path / "sr", *results), folder(tmp_path / "hr", *truths)
    with pytest.raises(UserError) as caught:
        score.find_pairs(sr, hr)
    assert all(word in str(caught.value) for word in says)


def test_json_holds_the_scores_and_nothing_else(tmp_path):
    """In a process of its own: what a script reads is standard output alone."""
    for seed, name in enumerate(("a", "b")):
        clean = noise(seed)
        write_png(tmp_path / "hr" / f"{name}.png", clean)
        write_png(tmp_path / "sr" / f"{name}x2.png", clean if name == "b" else 255 - clean)
    command = [sys.executable, "-m", "sr_experiments.score", "sr", "hr", "--scale", "2", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    found = json.loads(done.stdout, parse_constant=refuse)
    assert found["scale"] == 2 and list(found["protocols"]) == list(PROTOCOLS)
    planes = torch.from_numpy(noise(0)).permute(2, 0, 1)
    for name, expected in score_image(255 - planes, planes, 2).items():
        entry = found["images"]["a"][name]
        assert entry["psnr"] == pytest.approx(expected.psnr, abs=1e-12)
        assert entry.get("ssim") == (expected.ssim and pytest.approx(expected.ssim, abs=1e-12))
        assert found["images"]["b"][name]["psnr"] is None  # equal images
        if expected.ssim is not None:
            mean = (expected.ssim + 1) / 2
            assert found["mean"][name]["ssim"] == pytest.approx(mean, abs=1e-12)


def test_the_table_shows_images_mean_and_protocol(tmp_path, capsys):
    hr = folder(tmp_path / "hr", "[a].png", "b.png")
    write_png(tmp_path / "sr" / "[a].png", noise(5))
    write_png(tmp_path / "sr" / "b.png", noise(6))
    assert score.main([str(tmp_path / "sr"), str(hr), "--scale", "3", "--protocol", "rgb"]) == 0
    shown = capsys.readouterr().out
    values = []
    for name in ("[a]", "b"):
        images = [
            torch.from_numpy(read_image(tmp_path / d / f"{name}.png").copy()) for d in ["sr", "hr"]
        ]
        values.append(score_image(*(image.permute(2, 0, 1) for image in images), 3)["rgb"])
    lines = {line.split()[1]: line for line in shown.splitlines() if line.startswith("│")}
    assert list(lines) == ["[a]", "b", "mean"]
    for name, value in zip(("[a]", "b"), values, strict=True):
        assert f"{value.psnr:.4f} / {value.ssim:.5f}" in lines[name]
    assert f"{(values[0].psnr + values[1].psnr) / 2:.4f}" in lines["mean"]
    assert PROTOCOLS["rgb"].description in shown and PROTOCOLS["y"].description not in shown


def test_ground_truth_is_cut_by_less_than_the_scale(tmp_path, capsys):
    hr = noise(1, height=41, width=38)
    write_png(tmp_path / "truth.png", hr)
    write_png(tmp_path / "cut.png", hr[:39, :36])
    files = [str(tmp_path / "cut.png"), str(tmp_path / "truth.png")]
    assert score.main([*files, "--scale", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"]["truth"]["y"] == {"psnr": None, "ssim": 1}
    assert score.main([*files, "--scale", "2"]) == 2
    message = capsys.readouterr().err
    assert "36x39" in message and "38x41" in message and message.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "arguments", "says"),
    [
        (score, ["sr", "nowhere", "--scale", "2"], "nowhere: no such file or folder"),
        (score, ["sr", "hr/a.png", "--scale", "2"], "two files or two folders"),
        (score, ["sr", "hr", "--scale", "two"], "--scale: two"),
        (score, ["sr", "hr", "--scale", "1"], "--scale: 1"),
        (score, ["sr", "hr", "--scale", "12"], "too small to be scored at scale 12"),
        (score, ["sr", "hr", "--scale", "2", "--protocol", "z"], "y_rounded"),
        (score, ["sr", "hr"], "--scale"),
        (downscale, ["nowhere", "out", "--scale", "2"], "nowhere: no such file or folder"),
        (downscale, ["hr", "hr/../hr", "--scale", "2"], "IN and OUT are the same"),
        (downscale, ["hr/a.png", "out.jpg", "--scale", "2"], "out.jpg: PNG is written"),
        (downscale, ["hr", "hr/a.png", "--scale", "2"], "where a folder is needed"),
        (downscale, ["hr", "out", "--scale", "0.5"], "--scale: 0.5"),
        (downscale, ["bad", "out", "--scale", "2"], "bad/text.png: not an image"),
        (downscale, ["tiny.png", "out.png", "--scale", "3"], "tiny.png: an image of 2x2 pixels"),
        (downscale, ["twins", "out", "--scale", "2"], "rename one"),
    ],
)
def test_a_users_mistake_is_one_line(tmp_path, monkeypatch, capsys, command, arguments, says):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "sr", "a.png")
    folder(tmp_path / "hr", "a.png")
    folder(tmp_path / "twins", "a.png", "a.bmp")
    write_png("tiny.png", noise(0, 2, 2))
    Path("bad").mkdir()
    Path("bad/text.png").write_text("no image")
    assert command.main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ") and output.err.count("\n") == 1
    assert says in output.err
    assert not Path("out").exists() and not Path("out.png").exists()


def test_downscale_writes_where_it_is_told_and_overwrites_only_when_asked(tmp_path, capsys):
    hr = folder(tmp_path / "hr", "a.png", "b.png")
    out = tmp_path / "out"
    arguments = [str(hr), str(out), "--scale", "2"]
    assert downscale.main(arguments) == 0
    assert sorted(path.name for path in out.iterdir()) == ["ax2.png", "bx2.png"]
    assert np.array_equal(read_image(out / "bx2.png"), imresize(noise(1), 1 / 2))
    (out / "ax2.png").unlink()
    write_png(out / "bx2.png", noise(9))
    assert downscale.main(arguments) == 2
    assert "bx2.png: already there" in capsys.readouterr().err
    assert np.array_equal(read_image(out / "bx2.png"), noise(9))
    assert not (out / "ax2.png").exists()
    assert downscale.main([*arguments, "--overwrite", "--border", "clamp"]) == 0
    clamped = imresize(noise(1), 1 / 2, border="clamp")
    assert np.array_equal(read_image(out / "bx2.png"), clamped)
    assert not np.array_equal(clamped, imresize(noise(1), 1 / 2))


def test_downscale_takes_one_noise(tmp_path):
    """In a process of its own: nothing is said when all is well."""
    write_png(tmp_path / "a.png", noise(0, 41, 38))
    command = [sys.executable, "-m", "sr_experiments.downscale", "a.png", "small.png"]
    done = subprocess.run(
        [*command, "--scale", "3"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    expected = imresize(noise(0, 41, 38)[:39, :36], 1 / 3)
    assert np.array_equal(read_image(tmp_path / "small.png"), expected)
    assert downscale.main([str(tmp_path / "a.png"), str(tmp_path), "--scale", "2"]) == 0
    assert read_image(tmp_path / "ax2.png").shape == (20, 19, 3)


@pytest.mark.parametrize("module", ["score", "downscale", "data.__main__"])
def test_help_needs_no_large_package(module):
    code = (
        f"import sys\nfrom sr_experiments.{module} import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'numpy', 'PIL', 'rich', 'lightning', 'hydra'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
