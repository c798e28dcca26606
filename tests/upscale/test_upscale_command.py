"""The command: folders in, the scoring path's images out, and every mistake in a line."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from sr_experiments.imaging.io import read_image
from sr_experiments.models.network import prepare, upscale
from sr_experiments.models.vdsr import VDSR
from sr_experiments.models.weights import save_weights
from sr_experiments.upscale.__main__ import main

CONFIG = {"_target_": "sr_experiments.models.vdsr.VDSR", "scale": 2, "n_layers": 3, "n_feats": 4}


@pytest.fixture
def network(tmp_path):
    torch.manual_seed(3)
    made = VDSR(2, 3, 4).eval()
    save_weights(tmp_path / "net.safetensors", made.state_dict(), CONFIG)
    return made


def test_a_folder_is_what_scoring_sees_bit_by_bit(tmp_path, network, cli, research):
    photograph = read_image(research / "benchmark" / "B100" / "HR" / "img_002.png")[:61, :83]
    images = {"a.png": photograph, "deep/b.bmp": photograph[::-1], "deep/c.png": photograph[..., 0]}
    for name, image in images.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    (tmp_path / "in" / "notes.txt").write_text("passed over")
    done = cli(
        *("in", "out", "--model", "net.safetensors", "--scale", "3"), module="upscale", timeout=120
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: in/broken.png: not an image that Pillow can read; replace or remove it\n"
    )
    assert "VDSR 3x4 (net.safetensors), x3, on" in done.stdout
    assert "3 of 4 images written" in done.stdout
    written = sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.*"))
    assert [str(p) for p in written] == ["a.png", "deep/b.png", "deep/c.png"]
    for name in images:
        lr = torch.from_numpy(read_image(tmp_path / "in" / name)).permute(2, 0, 1)[None]
        expected = upscale(prepare(network).for_scale(3), lr)[0].permute(1, 2, 0).numpy()
        made = read_image((tmp_path / "out" / name).with_suffix(".png"))
        assert np.array_equal(made, expected), name


@pytest.fixture
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.effect_noise((8, 6), 50).save("a.png")
    Image.effect_noise((8, 6), 50).save("a.jpg")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("a.png out.png --scale 9", "--scale: 9"),
        ("a.png out.png --scale 1", "--scale: 1"),
        ("a.png out.png --scale x", "--scale: x"),
        ("a.png out.png --denoise 2", "--denoise"),
        ("a.png out.png --tile 0", "--tile"),
        ("a.png out.png --model nothing", "--model nothing"),
        ("a.png out.png --frobnicate", "--help"),
        ("a.png out.bmp", "can be written as"),
        ("a.png a.png", "would replace a file of IN"),
        ("a.png . --overwrite", "would replace a file of IN"),
        ("a.png a.jpg out", "would both be written"),
        ("a.png a.jpg out.png", "name a folder"),
        ("absent.png out", "no such file"),
        ("empty out", "no image in this folder"),
        ("a.png a.jpg", "--overwrite replaces"),
    ],
)
def test_a_mistake_is_one_line(inside, capsys, arguments, says):
    before = sorted(inside.rglob("*"))
    assert (
        main([*arguments.split(), *([] if "--model" in arguments else ["--model", "bicubic"])]) == 2
    )
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and says in error
    assert sorted(inside.rglob("*")) == before


def test_existing_files(inside, capsys):
    call = ["a.png", "out", "--model", "bicubic"]
    assert main(call) == 0
    made = inside / "out" / "a.png"
    first = made.read_bytes()
    made.write_bytes(b"mine")
    assert main(call) == 2 and main([*call, "--skip-existing"]) == 0
    assert made.read_bytes() == b"mine"
    assert main([*call, "--overwrite"]) == 0 and made.read_bytes() == first
    assert [p.name for p in made.parent.iterdir()] == ["a.png"]  # nothing temporary is left


def test_a_scale_between_is_announced(inside, network, capsys):
    call = ["a.png", "out.webp", "--model", "net.safetensors", "--scale", "2.5"]
    assert main(call) == 0
    assert "x3, then bicubic down to x2.5" in capsys.readouterr().out
    with Image.open("out.webp") as made:
        assert made.size == (20, 15)


def test_animations_in_a_folder_keep_their_format(inside):
    pages = [Image.new("L", (8, 6), value) for value in (0, 99)]
    (inside / "in").mkdir()
    pages[0].save("in/moving.gif", save_all=True, append_images=pages[1:])
    pages[0].save("in/still.gif")
    assert main(["in", "out", "--model", "bicubic"]) == 0
    assert sorted(p.name for p in (inside / "out").iterdir()) == ["moving.gif", "still.png"]


def test_an_out_within_in_is_not_read_again(inside):
    (inside / "a.jpg").unlink()
    call = [".", "out", "--model", "bicubic", "--overwrite"]
    assert main(call) == 0 and main(call) == 0
    assert [str(p.relative_to(inside)) for p in inside.rglob("*.png")] == ["a.png", "out/a.png"]


def test_an_interruption_is_one_line(inside, capsys, monkeypatch):
    def stop(*args, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("sr_experiments.upscale.convert_image.enlarge_file", stop)
    assert main(["a.png", "out", "--model", "bicubic"]) == 130
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("module", ["upscale", "speed"])
def test_help_imports_no_large_package(module, environment):
    code = (
        f"import runpy, sys\nsys.argv = ['{module}', '--help']\n"
        f"try: runpy.run_module('sr_experiments.{module}', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print({'torch', 'numpy', 'PIL', 'av', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "--scale" in done.stdout and done.stdout.splitlines()[-1] == "set()"
