"""Each protocol against its definition, written again in numpy, scikit-image and scipy."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.metrics import structural_similarity

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.colour import luma_uint8, round_to_uint8
from sr_experiments.imaging.io import read_image
from sr_experiments.imaging.resize import imresize, modcrop
from sr_experiments.metrics import scoring
from sr_experiments.metrics.protocols import PROTOCOLS, Protocol
from sr_experiments.metrics.scoring import COLUMNS, score_batch, score_image


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    hr = data.astronaut()[60:205, 90:223]
    noise = np.random.default_rng(1).normal(0, 6, hr.shape)
    return (hr + noise).clip(0, 255).round().astype(np.uint8), hr


def chw(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def numpy_psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2))


def wang(a, b):
    _, full = structural_similarity(
        a.astype(float),
        b.astype(float),
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return full[5:-5, 5:-5].mean()


def matlab(a, b):
    padded = [np.pad(x.astype(float), 5, mode="edge") for x in (a, b)]
    means = [gaussian_filter(x, 1.5, truncate=3.5) for x in padded]
    squares = [gaussian_filter(x * x, 1.5, truncate=3.5) for x in padded]
    product = gaussian_filter(padded[0] * padded[1], 1.5, truncate=3.5)
    variances = sum(s - m**2 for s, m in zip(squares, means, strict=True))
    both = means[0] * means[1]
    c1, c2 = 6.5025, 58.5225
    values = (2 * both + c1) * (2 * (product - both) + c2)
    values /= (means[0] ** 2 + means[1] ** 2 + c1) * (variances + c2)
    return values[5:-5, 5:-5].mean()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_protocol_is_its_definition(images, scale):
    cut = slice(scale, -scale)
    rgb = [x[cut, cut] for x in images]
    y = [16 + (x.astype(float) @ [65.481, 128.553, 24.966]) / 255 for x in rgb]
    rounded = [np.floor(x + 0.5) for x in y]
    wide = [x[scale + 6 : -scale - 6, scale + 6 : -scale - 6] for x in images]
    per_channel = np.mean([wang(rgb[0][..., c], rgb[1][..., c]) for c in range(3)])
    expected = {
        "y": (numpy_psnr(*y), wang(*y)),
        "y_rounded": (numpy_psnr(*rounded), matlab(*rounded)),
        "rgb": (numpy_psnr(*rgb), per_channel),
        "rgb_div2k": (numpy_psnr(*wide), None),
        "y_first": (numpy_psnr(*rounded), wang(*rounded)),
    }
    found = score_image(chw(images[0]), chw(images[1]), scale)
    assert list(found) == list(expected) == list(PROTOCOLS)
    for name, (psnr, ssim) in expected.items():
        assert found[name].psnr == pytest.approx(psnr, abs=1e-9), name
        assert found[name].ssim == (None if ssim is None else pytest.approx(ssim, abs=1e-9)), name


def test_full_range_grey_is_a_known_distance_below_luma(images):
    grey = [x[2:-2, 2:-2].astype(float) @ [0.299, 0.587, 0.114] for x in images]
    y = score_image(chw(images[0]), chw(images[1]), 2)["y"].psnr
    assert y - numpy_psnr(*grey) == pytest.approx(20 * math.log10(255 / 219), abs=1e-9)
    assert round(20 * math.log10(255 / 219), 4) == 1.3219


def test_a_luma_networks_plane_counts_under_y_first_alone(images):
    sr, hr = chw(images[0]), chw(images[1])
    plane = luma_uint8(sr).flip(-1)
    plain, given = score_image(sr, hr, 2), score_image(sr, hr, 2, sr_luma=plane)
    cut = slice(2, -2)
    y = [plane[0, cut, cut].numpy(), luma_uint8(hr)[0, cut, cut].numpy()]
    assert given["y_first"] == pytest.approx((numpy_psnr(*y), wang(*y)), abs=1e-9)
    assert {n: s for n, s in given.items() if n != "y_first"} == {
        n: s for n, s in plain.items() if n != "y_first"
    }


@pytest.mark.parametrize("window", ["valid", "replicate"])
def test_a_protocol_with_another_border_is_scored_by_its_own(images, monkeypatch, window):
    wide = Protocol("wide", "", "", "", "y_uint8", window, shave_scales=2, extra_shave=3)
    monkeypatch.setattr(scoring, "PROTOCOLS", dict(PROTOCOLS) | {"wide": wide})
    columns = [("wide", quantity) for quantity in ("psnr", "mean_error", "ssim")]
    monkeypatch.setattr(scoring, "COLUMNS", (*scoring.COLUMNS, *columns))
    sr, hr = map(chw, images)
    same = {"valid": "y_first", "replicate": "y_rounded"}[window]
    expected = score_image(sr, hr, 7)[same]
    assert score_image(sr, hr, 2)["wide"] == pytest.approx(expected, abs=1e-12)


def test_a_batch_holds_the_scores_of_its_images(images):
    sr, hr = chw(images[0]), chw(images[1])
    rows = score_batch(torch.stack([sr, hr]), torch.stack([hr, hr]), 3)
    values = dict(zip(COLUMNS, rows.unbind(1), strict=True))
    for name, score in score_image(sr, hr, 3).items():
        assert values[name, "psnr"].tolist() == [pytest.approx(score.psnr, abs=1e-9), math.inf]
        if score.ssim is not None:
            assert values[name, "ssim"][0].item() == pytest.approx(score.ssim, abs=1e-12)
            assert values[name, "ssim"][1] == pytest.approx(1, abs=1e-12)


def test_the_mean_error_is_signed_and_of_the_planes_of_psnr(images):
    hr = chw(images[1]).clamp(0, 245)
    brighter = hr + 10
    brighter[:, 0] = 0  # within the border that every protocol cuts
    values = dict(zip(COLUMNS, score_batch(brighter[None], hr[None], 2)[0].tolist(), strict=True))
    assert values["rgb", "mean_error"] == values["rgb_div2k", "mean_error"] == 10
    assert values["y", "mean_error"] == pytest.approx(10 * 219 / 255, abs=1e-9)
    swapped = score_batch(hr[None], brighter[None], 2)[0].tolist()
    assert swapped[COLUMNS.index(("rgb", "mean_error"))] == -10


def test_images_that_cannot_be_scored_are_refused():
    image = torch.zeros(3, 40, 30, dtype=torch.uint8)
    with pytest.raises(UserError, match=r"40x28 pixels .* ground truth 40x30"):
        score_image(image[..., :28], image, 2)
    with pytest.raises(UserError, match="sr_luma is 20x15"):
        score_image(image, image, 2, sr_luma=image[:1, :20, :15])
    with pytest.raises(TypeError, match=r"sr is torch\.float32"):
        score_image(image.float(), image, 2)
    small = image[:, :20, :21]
    with pytest.raises(UserError, match=r"20x21 .* scale 4.* 21 pixels"):
        score_image(small, small, 4)
    assert score_image(image[:, :21, :21], image[:, :21, :21], 4)["rgb_div2k"].psnr == math.inf


@pytest.mark.research
@pytest.mark.parametrize(("scale", "published"), [(2, 33.6614), (3, 30.3922), (4, 28.4207)])
def test_the_published_bicubic_row_of_set5(research, scale, published):
    found = []
    for path in sorted((research / "benchmark" / "Set5" / "HR").glob("*.png")):
        hr = modcrop(chw(read_image(path)), scale)
        y = luma_uint8(hr).double() / 255
        up = round_to_uint8(imresize(imresize(y, 1 / scale), scale) * 255)
        found.append(score_image(hr, hr, scale, sr_luma=up)["y_first"].psnr)
    assert len(found) == 5
    assert np.mean(found) == pytest.approx(published, abs=5e-5)
