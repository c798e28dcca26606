"""PSNR and SSIM against numpy, scikit-image and scipy on photographs."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.metrics import structural_similarity

from sr_experiments.metrics.functional import psnr, ssim, ssim_map


def pair(photograph: str, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """A photograph and a noisy copy, uint8 ``(H, W, 3)``, with flat and clipped areas."""
    clean = getattr(data, photograph)()
    clean = clean[: clean.shape[0] // 2, : clean.shape[1] // 2 - 3]
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    return clean, (clean + noise).clip(0, 255).round().astype(np.uint8)


def batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]


def matlab_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """MATLAB's ``ssim`` of two planes, from scipy's filter: replicate padding, the full map."""

    def blur(x: np.ndarray) -> np.ndarray:
        return gaussian_filter(x, 1.5, mode="nearest", truncate=3.5)

    a, b = a.astype(float), b.astype(float)
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


@pytest.mark.parametrize(("photograph", "sigma"), [("astronaut", 4), ("chelsea", 25)])
def test_psnr_is_numpys(photograph, sigma):
    a, b = pair(photograph, sigma)
    expected = 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))
    assert psnr(batch(a), batch(b)).item() == pytest.approx(expected, abs=1e-10)
    unit = psnr(batch(a).double() / 255, batch(b).double() / 255, peak=1.0)
    assert unit.item() == pytest.approx(expected, abs=1e-10)


def test_psnr_is_taken_image_by_image():
    a, b = (batch(image) for image in pair("astronaut", 10))
    values = psnr(torch.cat([a, a]), torch.cat([b, a]))
    assert values[0] == psnr(a, b)[0]
    assert values[1] == float("inf")


@pytest.mark.parametrize(("photograph", "sigma"), [("astronaut", 4), ("chelsea", 25)])
def test_valid_ssim_is_scikit_images(photograph, sigma):
    a, b = pair(photograph, sigma)
    _, full = structural_similarity(
        a,
        b,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=2,
        full=True,
    )
    expected = full[5:-5, 5:-5].mean()
    assert ssim(batch(a), batch(b)).item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("shape", [(11, 11), (11, 150), (150, 11), (107, 35), (192, 22), (200, 61)])
def test_maps_of_any_size_are_scikit_images(shape):
    """A processor works in strips and blocks: sizes that fill them, that do not, and the least."""
    a, b = (image[: shape[0], : shape[1]] for image in pair("coffee", 12))
    found = torch.cat([ssim_map(batch(a), batch(b)), ssim_map(batch(a[::-1]), batch(b[::-1]))])
    assert a.shape[:2] == shape
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for i in range(3):
        planes = a[..., i], b[..., i]
        _, full = structural_similarity(*planes, data_range=255, full=True, **options)
        expected = torch.from_numpy(full[5:-5, 5:-5])
        torch.testing.assert_close(found[0, i], expected, atol=1e-10, rtol=0)
        torch.testing.assert_close(found[1, i], expected.flip(0), atol=1e-10, rtol=0)


def test_scores_leave_the_images_as_they_are():
    a, b = (batch(image).double() for image in pair("chelsea", 15))
    copies = a.clone(), b.clone()
    psnr(a, b), ssim(a, b), ssim(a, b, window="replicate")
    assert torch.equal(a, copies[0]) and torch.equal(b, copies[1])


@pytest.mark.parametrize(("photograph", "sigma"), [("astronaut", 4), ("chelsea", 25)])
def test_replicate_ssim_is_matlabs(photograph, sigma):
    a, b = pair(photograph, sigma)
    expected = np.mean([matlab_ssim(a[..., c], b[..., c]) for c in range(3)])
    found = ssim(batch(a), batch(b), window="replicate").item()
    assert found == pytest.approx(expected, abs=1e-10)
    assert abs(found - ssim(batch(a), batch(b)).item()) > 1e-6  # the border does count


def test_ssim_of_a_batch_is_that_of_its_images_and_float32_is_near():
    a, b = (batch(image) for image in pair("chelsea", 15))
    together = ssim(torch.cat([a, a]), torch.cat([b, a]))
    assert together[0] == ssim(a, b)[0]
    assert together[1] == pytest.approx(1, abs=1e-12)
    single = ssim(a, b, dtype=torch.float32)
    assert single.item() == pytest.approx(together[0].item(), abs=1e-4)
    assert ssim_map(a, b, dtype=torch.float32).dtype == torch.float32


def test_shapes_that_cannot_be_compared_are_refused():
    image = torch.zeros(1, 3, 20, 20)
    with pytest.raises(ValueError, match=r"\(1, 3, 20, 20\) and \(1, 1, 20, 20\)"):
        psnr(image, image[:, :1])
    with pytest.raises(ValueError, match="10x20"):
        ssim(image[:, :, :10], image[:, :, :10])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("window", ["valid", "replicate"])
def test_a_gpu_agrees(window):
    a, b = (batch(image) for image in pair("astronaut", 10))
    assert psnr(a.cuda(), b.cuda()).cpu() == pytest.approx(psnr(a, b), abs=1e-10)
    on_gpu = ssim(a.cuda(), b.cuda(), window=window).cpu()
    assert on_gpu == pytest.approx(ssim(a, b, window=window), abs=1e-10)
