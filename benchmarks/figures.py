"""What is measured inside of this process, each figure on one thread."""

import contextlib
import io
import itertools
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import peers
import torch
from PIL import Image
from timing import Figure, alternate, quotient
from torch.utils.data import DataLoader

from sr_experiments.data.datamodule import Batch
from sr_experiments.data.patches import CropSampler, cut
from sr_experiments.data.sources import find_images
from sr_experiments.data.store import Pairs, open_pairs
from sr_experiments.imaging.resize import downscale, imresize
from sr_experiments.metrics.scoring import score_batch
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.network import upscale
from sr_experiments.training.module import Supervised

BATCH, PATCH, SCALE = 16, 48, 2


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise that is smooth, as photographs are: uint8 ``(H, W, 3)``."""
    generator = np.random.default_rng(seed)
    coarse = torch.from_numpy(generator.uniform(0, 255, (1, 3, height // 8 + 2, width // 8 + 2)))
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0]
    fine += torch.from_numpy(generator.normal(0, 6, fine.shape))
    return fine.clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def patches(folder: Path, rounds: int) -> Iterator[Figure]:
    """Batches of pairs of patches, from DIV2K-sized and from small pictures."""
    edsr = peers.edsr_modules()
    for (height, width), count, wanted in (((1344, 2040), 12, 15.0), ((338, 510), 100, 4.0)):
        place = folder / f"{height}"
        hr, lr = place / "set" / "HR", place / "set" / "LR_bicubic" / "X2"
        for path in (hr, lr):
            path.mkdir(parents=True)
        picture = photograph(height, width)
        for index in range(count):
            rolled = np.roll(picture, 16 * index, axis=1)
            Image.fromarray(rolled).save(hr / f"{index:04}.png", compress_level=1)
            small = np.ascontiguousarray(rolled[::2, ::2])
            Image.fromarray(small).save(lr / f"{index:04}x2.png", compress_level=1)
        pairs = open_pairs(find_images(str(hr), folder, place / "cache"), SCALE, place / "cache")
        works: list[tuple[Callable[[], object], int]] = [(batches(pairs), 60)]
        if edsr:
            works.append((partial(next, _edsr_stream(edsr, place)), 4))
        seconds = alternate(works, rounds)
        yield Figure(
            f"patches from {width}x{height}",
            BATCH / median(seconds[0]),
            "patches/s",
            wanted,
            above=True,
            peer=BATCH / median(seconds[1]) if edsr else None,
            peer_name="EDSR-PyTorch, sep",
            ratio=quotient(seconds[1], seconds[0]) if edsr else None,
            of_ratio=True,
        )


def batches(pairs: Pairs) -> Callable[[], object]:
    """One batch after the other, as training draws them."""
    sampler = CropSampler(pairs.lr.heights, pairs.lr.widths, PATCH, BATCH, 0)
    numbers = itertools.count()
    return lambda: cut(pairs, sampler(next(numbers)), PATCH)


def _edsr_stream(edsr: Any, place: Path) -> Iterator[Any]:
    """Its own data set and torch's loader, in this process, as its trainer has them."""
    arguments = Namespace(
        model="EDSR", scale=[SCALE], dir_data=str(place), ext="sep", batch_size=BATCH,
        test_every=1000, data_train=["set"], patch_size=SCALE * PATCH, n_colors=3, rgb_range=255,
        no_augment=False,
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):  # it names every file it makes
        loader = DataLoader(edsr.SRData(arguments, name="set"), BATCH, shuffle=True)
    while True:
        yield from loader


def step(folder: Path, rounds: int) -> Iterator[Figure]:
    """An update of EDSR-baseline x2: as trained by default, and what faster settings bring."""
    edsr = peers.edsr_modules()
    generator = torch.Generator().manual_seed(0)
    lr, hr = (
        torch.randint(0, 256, (BATCH, 3, side, side), generator=generator, dtype=torch.uint8)
        for side in (PATCH, SCALE * PATCH)
    )
    variants = {
        "fp32": update(Batch(lr, hr, 0), False, False),
        "fp32, channels last": update(Batch(lr, hr, 0), True, False),
        "bf16": update(Batch(lr, hr, 0), False, True),
        "trainer=fast": update(Batch(lr, hr, 0), True, True),
    }
    works = list(variants.values())
    if edsr:
        works.append(_edsr_update(edsr, lr.float(), hr.float()))
    seconds = alternate([(work, 1) for work in works], max(2, rounds // 3))
    for name, mine in zip(variants, seconds, strict=False):
        yield Figure(
            f"update of EDSR 16x64 x2, {name}",
            1e3 * median(mine),
            "ms",
            0.45,
            peer=1e3 * median(seconds[-1]) if edsr else None,
            peer_name="EDSR-PyTorch",
            ratio=quotient(mine, seconds[-1]) if edsr else None,
            of_ratio=True,
        )


def update(batch: Batch, channels_last: bool, mixed: bool, **network: int) -> Callable[[], None]:
    """An update of an EDSR, the baseline unless ``network`` says otherwise."""
    module = Supervised(EDSR(SCALE, **network))
    if channels_last:
        module.to(memory_format=torch.channels_last)
        batch = batch._replace(
            lr=batch.lr.contiguous(memory_format=torch.channels_last),
            hr=batch.hr.contiguous(memory_format=torch.channels_last),
        )
    fused = True if channels_last and mixed else None  # as trainer=fast has it
    optimizer = torch.optim.Adam(module.trained(), lr=1e-4, fused=fused)

    def work() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = module.training_step(batch, 0)
        loss.backward()
        optimizer.step()

    return work


def edsr_peer(edsr: Any) -> torch.nn.Module:
    """Its baseline."""
    return edsr.EDSR(
        Namespace(n_resblocks=16, n_feats=64, res_scale=1, scale=[SCALE], rgb_range=255, n_colors=3)
    )


def _edsr_update(edsr: Any, lr: torch.Tensor, hr: torch.Tensor) -> Callable[[], None]:
    """Its network in the loop of its trainer."""
    network = edsr_peer(edsr)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer, criterion = torch.optim.Adam(trained, lr=1e-4), torch.nn.L1Loss()

    def work() -> None:
        optimizer.zero_grad()
        criterion(network(lr), hr).backward()
        optimizer.step()

    return work


def scoring(folder: Path, rounds: int) -> Iterator[Figure]:
    """Five protocols of pictures of B100's size, against four of BasicSR's figures."""
    basicsr = peers.basicsr_modules()
    hr = torch.from_numpy(photograph(320, 480)).permute(2, 0, 1).contiguous()
    sr = imresize(downscale(hr, SCALE), SCALE)
    images = [i.permute(1, 2, 0).numpy()[..., ::-1].copy() for i in (sr, hr)]

    def theirs() -> list[float]:
        return [
            function(*images, SCALE, test_y_channel=luma)
            for luma in (True, False)
            for function in (basicsr.calculate_psnr, basicsr.calculate_ssim)
        ]

    works: list[tuple[Callable[[], object], int]] = [
        (lambda: score_batch(sr[None], hr[None], SCALE), 6)
    ]
    note = ""
    if basicsr:
        works.append((theirs, 2))
        ours = score_batch(sr[None], hr[None], SCALE)[0].tolist()
        found = (ours[0], ours[1], ours[4], ours[5])  # y and rgb
        difference = max(abs(a - b) for a, b in zip(found, theirs(), strict=True))
        note = f"largest difference {difference:.1e}"
    seconds = alternate(works, rounds)
    yield Figure(
        "all protocols, a picture of 480x320",
        1e3 * median(seconds[0]),
        "ms",
        1 / 3,
        peer=1e3 * median(seconds[1]) if basicsr else None,
        peer_name="BasicSR, numpy, four figures",
        ratio=quotient(seconds[0], seconds[1]) if basicsr else None,
        of_ratio=True,
        note=note,
    )
    yield _share(hr)


def _share(hr: torch.Tensor) -> Figure:
    """How much of a validation pass scoring is, for the network of the quick budget."""
    network, lr = EDSR(SCALE, 4, 16).eval(), downscale(hr, SCALE)
    works = [
        (lambda: upscale(network, lr[None]), 2),
        (lambda: score_batch(hr[None].flip(-1), hr[None], SCALE), 2),
    ]
    enlarged, scored = alternate(works, 9)
    share = median(s / (e + s) for e, s in zip(enlarged, scored, strict=True))
    return Figure("scoring's share of a look at a picture, EDSR 4x16", share, "", 0.5)


def bicubic(folder: Path, rounds: int) -> Iterator[Figure]:
    """2040x1344 to half its size; exactness is the tests' business."""
    basicsr = peers.basicsr_modules()
    picture = photograph(1344, 2040)
    works: list[tuple[Callable[[], object], int]] = [(lambda: imresize(picture, 1 / 2), 2)]
    if basicsr:
        works.append((lambda: basicsr.imresize(picture.astype(np.float32) / 255, 1 / 2), 1))
    seconds = alternate(works, rounds)
    yield Figure(
        "bicubic, 2040x1344 to a half",
        1e3 * median(seconds[0]),
        "ms",
        80,
        peer=1e3 * median(seconds[1]) if basicsr else None,
        peer_name="BasicSR",
        ratio=quotient(seconds[0], seconds[1]) if basicsr else None,
    )


FIGURES = {f.__name__: f for f in (patches, step, scoring, bicubic)}
