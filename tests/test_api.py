"""The suite from Python gives what the command lines give."""

import doctest

import numpy as np
import pytest
from skimage.data import chelsea

from sr_experiments import __main__, api
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image, write_png


@pytest.fixture
def places(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("SR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SR_CACHE", str(cache))
    return tmp_path


def test_the_example_of_its_documentation():
    assert doctest.testmod(api).failed == 0


def test_an_image_is_enlarged_as_by_the_command(places):
    image = chelsea()[100:140, 200:261]
    write_png(places / "cat.png", image)
    words = ["upscale", str(places / "cat.png"), str(places / "large.png"), "--scale", "1.5"]
    assert __main__.main(words) == 0
    expected = read_image(places / "large.png")
    for given in (image, places / "cat.png"):
        assert np.array_equal(api.upscale(given, scale=1.5), expected)
    assert np.array_equal(api.upscale(image, api.load_model(scale=1.5)), expected)


def test_images_are_shrunk_and_scored_as_by_the_commands(places, capsys):
    hr, sr = chelsea()[100:141, 200:261], chelsea()[101:142, 200:261]
    write_png(places / "hr.png", hr)
    write_png(places / "sr.png", sr)
    assert (
        __main__.main(["downscale", str(places / "hr.png"), str(places / "lr.png"), "--scale", "2"])
        == 0
    )
    assert np.array_equal(api.downscale(hr, 2), read_image(places / "lr.png"))
    capsys.readouterr()
    words = ["score", str(places / "sr.png"), str(places / "hr.png"), "--scale", "2"]
    assert __main__.main([*words, "--protocol", "y"]) == 0
    said = capsys.readouterr().out
    assert f"{api.score(sr, hr, 2)['y'].psnr:.3f}" in said


def test_a_run_is_trained_once_and_its_network_enlarges(places):
    words = ["budget=smoke", "logger=csv", "trainer=cpu", "trainer.progress=none"]
    directory = api.run(*words)
    result = directory.result()
    assert result.means["embedded"]["raw"]["y"].psnr > 10 and directory.weights.is_file()
    assert api.run(*words).path == directory.path
    assert api.upscale(chelsea()[:20, :30], directory.path).shape == (40, 60, 3)
    with pytest.raises(UserError, match="modle: no such key"):
        api.run("modle=edsr")


@pytest.mark.parametrize("image", [np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8)])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(TypeError, match="an image is uint8"):
        api.upscale(image)
