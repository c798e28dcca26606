"""Tiles, scales and ensembles against the whole image and the scoring path."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image
from sr_experiments.imaging.resize import imresize, kernel_taps
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.ecbsr import ECBSR
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.espcn import ESPCN
from sr_experiments.models.fsrcnn import FSRCNN
from sr_experiments.models.network import Network, prepare, upscale
from sr_experiments.models.rcan import RCAN
from sr_experiments.models.srcnn import SRCNN
from sr_experiments.models.vdsr import VDSR
from sr_experiments.upscale.tiles import MIN_AREA, imresize_part, windows
from sr_experiments.upscale.upscaler import Upscaler


def make(kind: str, scale: int) -> Network:
    torch.manual_seed(1)
    made: dict[str, Network] = {
        "EDSR": EDSR(scale, 1, 8),
        "VDSR": VDSR(scale, 3, 8),
        "SRCNN": SRCNN(scale, n1=8, n2=4),
        "ESPCN": ESPCN(scale, 8, 4),
        "ECBSR": ECBSR(scale, 2, 8),
        "FSRCNN": FSRCNN(scale, 8, 4, 1),
        "Bicubic": Bicubic(scale),
        "RCAN": RCAN(scale, 1, 1, 8, 4),
    }
    return prepare(made[kind])


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Uint8 ``(3, h, w)``, smooth and noisy, with a grey corner where sums end on .5."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    rough[:, height // 2 :, : width // 2] = rough[:1, height // 2 :, : width // 2]
    return rough


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kind", ["EDSR", "VDSR", "SRCNN", "ESPCN", "ECBSR", "FSRCNN", "Bicubic"])
def test_tiles_are_the_scoring_paths_whole_image_bit_by_bit(kind, scale):
    network, lr = make(kind, scale), noise(147, 301)
    whole = upscale(network, lr[None])
    upscaler = Upscaler(network, scale, tile=151)
    done: list[int] = []
    assert torch.equal(upscaler.frames(lr[None], done.append), whole)
    assert sum(done) == 147 * 301
    # The image really was cut: only the network without parameters is left whole.
    assert (len(done) == 1) == (kind == "Bicubic")


@pytest.mark.parametrize("kind", ["VDSR", "EDSR", "ECBSR"])
@pytest.mark.parametrize("size", [(5, 9001), (9001, 5)])
def test_tiles_of_a_strip_are_too(kind, size):
    network, lr = make(kind, 2), noise(*size)
    done: list[int] = []
    found = Upscaler(network, 2, tile=60).frames(lr[None], done.append)
    assert torch.equal(found, upscale(network, lr[None])) and 1 < len(done) < 4


@pytest.mark.parametrize("kind", ["VDSR", "EDSR"])
def test_tiles_of_a_photograph(research, kind):
    image = read_image(research / "benchmark" / "B100" / "HR" / "img_001.png")[:233, :251]
    lr = torch.from_numpy(image).permute(2, 0, 1)[None]
    network = make(kind, 3)
    assert torch.equal(Upscaler(network, 3, tile=101).frames(lr), upscale(network, lr))


def test_what_a_tile_lacks_shows():
    """The equality above is no accident of a network that sees little."""
    network, lr = make("EDSR", 2), noise(147, 301)
    upscaler = Upscaler(network, 2, tile=151)
    upscaler.halo -= 1  # the outermost pixel of the halo counts already
    assert not torch.equal(upscaler.frames(lr[None]), upscale(network, lr[None]))


@pytest.mark.parametrize("size", [(30, 5000), (151, 197), (400, 300), (144, 144)])
def test_windows_cover_each_pixel_once_and_reach_beyond(size):
    height, width = size
    count = np.zeros(size, int)
    for window in windows(height, width, 40, 9):
        (y0, y1), (x0, x1) = window.kept_rows, window.kept_columns
        count[y0:y1, x0:x1] += 1
        for (begin, end), (kept, last), length in (
            (window.rows, window.kept_rows, height),
            (window.columns, window.kept_columns, width),
        ):
            assert 0 <= begin <= max(0, kept - 9) and min(length, last + 9) <= end <= length
        area = (window.rows[1] - window.rows[0]) * (window.columns[1] - window.columns[0])
        assert area > 20480 or area == height * width
    assert (count == 1).all()


@pytest.mark.parametrize("size", [(5, 18000), (18000, 5), (1, 90000), (30, 5000), (120, 700)])
@pytest.mark.parametrize("side", [16, 124, 300])
def test_a_strip_is_not_more_work_than_a_square_of_its_area(size, side):
    def pixels(*size):
        return [
            (w.rows[1] - w.rows[0]) * (w.columns[1] - w.columns[0])
            for w in windows(*size, side, 10)
        ]

    square = math.isqrt(math.prod(size))
    strip = pixels(*size)
    assert sum(strip) <= max(1.2 * math.prod(size), sum(pixels(square, square)))
    assert max(strip) <= max((side + 20) ** 2, 1.01 * MIN_AREA)  # and it takes no more memory


@pytest.mark.parametrize("scale", [2, 3, 4, 7])
def test_a_part_of_imresize_is_imresize(scale):
    image = noise(61, 75).double()
    whole = imresize(image, scale)
    for rows, columns in (((0, 61), (0, 75)), ((13, 40), (5, 9)), ((60, 61), (31, 75))):
        part = imresize_part(image, scale, rows, columns, lambda x: x)
        (y0, y1), (x0, x1) = ((scale * a, scale * b) for a, b in (rows, columns))
        assert torch.equal(part, whole[:, y0:y1, x0:x1])


@pytest.mark.parametrize("scale", [2, 3, 5, 6, 7])
def test_float32_weights_of_bicubic_repeat_wherever_a_window_begins(scale):
    # The networks on enlarged luma resize a window by itself, counted from its own first pixel.
    _, weights = kernel_taps(20000, 20000 * scale, float(scale), "mirror")
    phases = weights.float().view(len(weights), -1, scale)
    inner = phases[:, 10:-10]
    assert (inner - inner[:, :1]).abs().max() < 1e-15


def test_self_ensemble_is_the_mean_of_eight():
    network, lr = make("EDSR", 2), noise(20, 31)
    x = lr[None].float() / 255
    answers = []
    with torch.no_grad():
        for turns in range(4):
            for mirrored in (False, True):
                given = torch.rot90(x.flip(-1) if mirrored else x, turns, (2, 3))
                back = torch.rot90(network(given), -turns, (2, 3))
                answers.append(back.flip(-1) if mirrored else back)
    mean = torch.stack(answers).double().mean(0)[0] * 255
    values = Upscaler(network, 2, self_ensemble=True).values(lr)
    assert (values - mean).abs().max() < 1e-3
    assert (values - Upscaler(network, 2).values(lr)).abs().max() > 1e-2


def test_a_scale_between_is_the_larger_network_and_bicubic():
    network, lr = make("VDSR", 2), noise(21, 34)
    upscaler = Upscaler(network, Fraction("2.5"))
    assert upscaler.network_scale == 3 and upscaler.size(21, 34) == (53, 85)
    large = Upscaler(network, 3).values(lr).float().clamp(0, 255)
    expected = imresize(large, size=(53, 85)).clamp(0, 255).add(0.5).floor()
    assert torch.equal(upscaler.frames(lr[None])[0].float(), expected)
    assert network.scale == 2
    with pytest.raises(UserError) as error:
        Upscaler(make("EDSR", 2), 3)
    assert error.value.message.fields == {"scale": "3", "most": 2}


def test_a_network_that_pools_is_whole_or_says_so():
    network, lr = make("RCAN", 2), noise(160, 170)
    with pytest.raises(UserError) as error:
        Upscaler(network, 2, tile=64)
    assert error.value.code == "tile-not-exact"
    with pytest.raises(UserError) as error:
        Upscaler(network, 2, memory=10**6).frames(lr[None])
    assert error.value.code == "image-exceeds-memory"
    whole = upscale(network, lr[None])
    assert torch.equal(Upscaler(network, 2).frames(lr[None]), whole)
    tiled = Upscaler(network, 2, tile=80, approximate=True).frames(lr[None])
    assert not torch.equal(tiled, whole)
    assert (tiled.int() - whole.int()).abs().float().mean() < 2


def test_too_little_memory_means_tiles():
    network, lr = make("EDSR", 2), noise(200, 210)
    counts = []
    for memory in (10**9, 3 * 10**6):
        done: list[int] = []
        result = Upscaler(network, 2, memory=memory).frames(lr[None], done.append)
        assert torch.equal(result, upscale(network, lr[None]))
        counts.append(len(done))
    assert counts[0] == 1 < counts[1]


def test_a_large_image_is_cut_for_the_cache_unless_that_is_more_work():
    lr = noise(300, 310)
    deep = EDSR(2, 20, 4).eval()  # its halo is as wide as the windows
    for network, cut in ((make("VDSR", 3), True), (make("EDSR", 2), True), (deep, False)):
        done: list[int] = []
        result = Upscaler(network, network.scale).frames(lr[None], done.append)
        assert torch.equal(result, upscale(network, lr[None]))
        assert (len(done) > 1) == cut


@pytest.mark.parametrize("kind", ["VDSR", "EDSR"])
def test_frames_of_a_batch_are_those_of_one_at_a_time(kind):
    network = make(kind, 2)
    lr = torch.stack([noise(150, 160, seed) for seed in range(5)])
    done: list[int] = []
    result = Upscaler(network, 2, batch=2, tile=400).frames(lr, done.append)
    assert done == [2 * 150 * 160, 2 * 150 * 160, 150 * 160]
    assert torch.equal(result, torch.cat([upscale(network, frame[None]) for frame in lr]))
    between = Upscaler(network, Fraction("1.5"), batch=5, denoise=0.2)
    alone = Upscaler(network, Fraction("1.5"), denoise=0.2)
    assert torch.equal(between.frames(lr), alone.frames(lr))


def test_filters_denoise_and_sharpen():
    flat = torch.full((3, 300, 40), 100.0)
    flat[..., 20:] = 200  # an edge
    noisy = flat + torch.randn(flat.shape, generator=torch.Generator().manual_seed(0)) * 8
    lr = noisy.clamp(0, 255).round().to(torch.uint8)

    def result(**strengths: float) -> torch.Tensor:
        return Upscaler(Bicubic(2), 2, **strengths).values(lr)

    plain, denoised, sharp = result(), result(denoise=0.5), result(sharpen=1.0)
    side = (slice(None), slice(None), slice(0, 30))
    assert denoised[side].std() < 0.6 * plain[side].std()
    assert denoised[..., 50:].mean() - denoised[..., :30].mean() > 95  # the edge stays
    assert sharp[side].std() > 1.3 * plain[side].std()
    # Rows 256 and on are another strip: no seam.
    assert denoised[:, 500:524, :30].std() < 0.7 * plain[:, 500:524, :30].std()


@pytest.mark.parametrize(("kind", "scale"), [("EDSR", 2), ("VDSR", 3)])
def test_tiles_change_neither_ensemble_nor_filters(kind, scale):
    network, lr = make(kind, scale), noise(147, 301)
    options = {"self_ensemble": True, "denoise": 0.5, "sharpen": 0.5}
    whole = Upscaler(network, scale, **options).frames(lr[None])
    assert torch.equal(Upscaler(network, scale, tile=151, **options).frames(lr[None]), whole)
