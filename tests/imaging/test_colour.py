"""Y, Cb and Cr are MATLAB's, there and back."""

import pytest
import torch

from sr_experiments.imaging.colour import luma, rgb_to_ycbcr, round_to_uint8, ycbcr_to_rgb

#: T and offset of MATLAB's rgb2ycbcr.m; Tinv as its ycbcr2rgb.m prints it, to 8 digits.
FORTH = [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
BACK = [
    [0.00456621, 0.0, 0.00625893],
    [0.00456621, -0.00153632, -0.00318811],
    [0.00456621, 0.00791071, 0.0],
]
OFFSET = torch.tensor([16.0, 128.0, 128.0], dtype=torch.double).view(3, 1, 1)


def every_fifth_colour():
    """All colours of a grid with both ends, and some between: uint8 (3, 1, 142608)."""
    steps = torch.arange(0, 256, 5, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    random = torch.randint(0, 256, (2000, 3), dtype=torch.uint8, generator=generator)
    return torch.cat([torch.cartesian_prod(steps, steps, steps), random]).T[:, None]


def product(matrix, image):
    flat = torch.tensor(matrix, dtype=torch.double) @ image.double().flatten(1)
    return flat.view_as(image)


def test_coefficients_are_matlabs():
    rgb = every_fifth_colour()
    found = rgb_to_ycbcr(rgb)
    assert found.dtype == torch.double
    torch.testing.assert_close(found, product(FORTH, rgb) / 255 + OFFSET, rtol=0, atol=1e-10)
    assert torch.equal(found[:1], luma(rgb))
    # Half a unit of the eighth digit, times 255 for a full range of 255 and three terms.
    back = product(BACK, found - OFFSET) * 255
    torch.testing.assert_close(ycbcr_to_rgb(found), back, rtol=0, atol=5e-9 * 255 * 3 * 128)


def test_the_way_there_and_back_is_exact():
    rgb = every_fifth_colour()
    there = ycbcr_to_rgb(rgb_to_ycbcr(rgb))
    torch.testing.assert_close(there, rgb.double(), rtol=0, atol=1e-10)
    assert torch.equal(round_to_uint8(there), rgb)
    single = ycbcr_to_rgb(rgb_to_ycbcr(rgb.float()))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, rgb.float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_grey_has_no_chroma_and_the_studio_range(value):
    y, cb, cr = rgb_to_ycbcr(torch.full((3, 1, 1), value, dtype=torch.uint8)).flatten().tolist()
    assert y == pytest.approx(16 + value * 219 / 255)
    assert cb == pytest.approx(128) and cr == pytest.approx(128)
