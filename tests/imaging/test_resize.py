"""Properties of the bicubic resize, and every value of two MATLABs."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data

from sr_experiments import downscale as command
from sr_experiments.core.errors import UserError
from sr_experiments.imaging import resize
from sr_experiments.imaging.io import read_image
from sr_experiments.imaging.resize import downscale, imresize, modcrop

SCALES = [1 / 2, 1 / 3, 1 / 4, 2, 3, 1.7]
SIDES = [(12, 24), (13, 7), (2, 31)]


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 2, 3])
def test_the_kernel_is_cubic_with_a_of_minus_one_half(scale):
    """torch's antialiased bicubic has that kernel too; its border differs."""
    image = noise(1, 1, 72, 60)
    expected = F.interpolate(image, scale_factor=scale, mode="bicubic", antialias=True)
    found = imresize(image, scale)
    inner = slice(int(3 * max(1, scale)), -int(3 * max(1, scale)))
    assert found.shape == expected.shape
    torch.testing.assert_close(
        found[..., inner, inner], expected[..., inner, inner], atol=1e-12, rtol=0
    )
    assert (found - expected).abs().max() > 1e-4


@pytest.mark.parametrize("border", ["mirror", "clamp"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("sides", SIDES)
def test_constants_flips_and_transposes(sides, scale, border):
    constant = imresize(torch.full(sides, 0.37, dtype=torch.float64), scale, border=border)
    assert constant.shape == tuple(int(np.ceil(scale * side)) for side in sides)
    torch.testing.assert_close(constant, torch.full_like(constant, 0.37), atol=1e-14, rtol=0)
    image = noise(*sides)
    small = imresize(image, scale, border=border)
    transposed = imresize(image.T, scale, border=border).T
    torch.testing.assert_close(transposed, small, atol=1e-14, rtol=0)
    if all(float(scale * side).is_integer() for side in sides):  # else the grid is not centred
        for axis in (0, 1):
            flipped = imresize(image.flip(axis), scale, border=border)
            torch.testing.assert_close(flipped, small.flip(axis), atol=1e-13, rtol=0)


def test_borders_differ_at_the_border_only():
    image = noise(40, 40)
    mirror, clamp = (imresize(image, 1 / 2, border=border) for border in ("mirror", "clamp"))
    assert torch.equal(mirror[2:-2, 2:-2], clamp[2:-2, 2:-2])
    assert not torch.equal(mirror[0], clamp[0])
    with pytest.raises(UserError, match="border=wrap"):
        imresize(image, 2, border="wrap")


def test_layouts_and_types_agree():
    photograph = data.astronaut()[100:161, 200:247]
    small = imresize(photograph, 1 / 3)
    assert small.dtype == np.uint8 and small.shape == (21, 16, 3)
    planes = torch.from_numpy(photograph.copy()).permute(2, 0, 1)
    assert np.array_equal(imresize(planes, 1 / 3).permute(1, 2, 0).numpy(), small)
    assert np.array_equal(imresize(photograph[..., 1], 1 / 3), small[..., 1])
    batch = imresize(torch.stack([planes, planes.flip(0)]), 1 / 3)
    assert torch.equal(batch[0], batch[1].flip(0))
    double = imresize(photograph.astype(np.float64), 1 / 3)
    single = imresize(photograph.astype(np.float32), 1 / 3)
    assert double.dtype == np.float64 and single.dtype == np.float32
    assert np.abs(double - single).max() < 1e-3
    assert np.abs(double - small).max() < 1.2  # two roundings


def test_bytes_are_rounded_after_each_pass():
    """Height first, then width, and bytes in between, as MATLAB does."""
    photograph = data.coffee()[:120, :160]
    by_height = imresize(photograph.astype(np.float64), size=(60, 160))
    by_height = np.floor(by_height.clip(0, 255) + 0.5)
    expected = np.floor(imresize(by_height, size=(60, 80)).clip(0, 255) + 0.5)
    found = imresize(photograph, 1 / 2)
    assert np.array_equal(found, expected)
    once = np.floor(imresize(photograph.astype(np.float64), 1 / 2).clip(0, 255) + 0.5)
    assert 0.02 < (found != once).mean() < 0.3


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64, torch.float32])
@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 3, 1.7])
def test_pieces_change_no_value(scale, dtype, monkeypatch):
    """A processor resizes in pieces of an image; whole, in bands and row by row are one result."""
    images = noise(5, 41, 67).mul(255).to(dtype)
    results = []
    for piece in (10**9, 900, 1):
        monkeypatch.setattr(resize, "_PIECE", piece)
        results.append(imresize(images, scale))
    alone = torch.stack([imresize(image, scale) for image in images])
    assert all(torch.equal(results[0], other) for other in (*results[1:], alone))


def test_sizes():
    image = noise(10, 15)
    assert torch.equal(imresize(image, 1), image)
    assert torch.equal(imresize(image, size=(20, 30)), imresize(image, 2))
    assert imresize(image, size=(7, 40)).shape == (7, 40)
    assert modcrop(image, 4).shape == (8, 12)
    assert torch.equal(downscale(image, 4), imresize(image[:8, :12], 1 / 4))
    for arguments in ({}, {"scale": 2, "size": (3, 3)}):
        with pytest.raises(TypeError, match="either a scale or a size"):
            imresize(image, **arguments)
    with pytest.raises(UserError) as caught:
        imresize(image, size=(0, 3))
    assert caught.value.code == "resize-to-nothing"
    with pytest.raises(UserError, match=r"15x10 .* scale 11"):
        modcrop(image, 11)
    with pytest.raises(TypeError, match="int64"):
        imresize(torch.zeros(4, 4, dtype=torch.int64), 2)


@pytest.mark.research
@pytest.mark.parametrize("border", ["mirror", "clamp"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_command_makes_what_matlab_made(research, tmp_path, scale, border):
    compared = 0
    for name, count in (("Set5", 5), ("Set14", 14)):
        arguments = [str(research / "benchmark" / name / "HR"), str(tmp_path / name)]
        assert command.main([*arguments, "--scale", str(scale), "--border", border]) == 0
        made = sorted((tmp_path / name).iterdir())
        assert len(made) == count
        for path in made:
            oracle = research / "oracle" / f"bicubic_{border}" / name / f"X{scale}" / path.name
            expected, found = read_image(oracle), read_image(path)
            assert found.shape == expected.shape
            assert np.count_nonzero(found != expected) == 0, path.name
            compared += found.size
    assert compared > 1e6 / scale**2
