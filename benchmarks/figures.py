"""Figures measured in this process, on one thread."""

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
from torch.utils.data import DataLoader, Dataset

from sr_experiments.data.datamodule import Batch
from sr_experiments.data.patches import CropSampler, cut
from sr_experiments.data.sources import find_images
from sr_experiments.data.store import Pairs, open_pairs
from sr_experiments.imaging.resize import downscale, imresize
from sr_experiments.metrics.scoring import score_batch, score_image
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.network import upscale
from sr_experiments.training.module import Supervised

BATCH, PATCH, SCALE = 16, 48, 2


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth noise with the statistics of a photograph, uint8 ``(H, W, 3)``."""
    generator = np.random.default_rng(seed)
    coarse = torch.from_numpy(generator.uniform(0, 255, (1, 3, height // 8 + 2, width // 8 + 2)))
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0]
    fine += torch.from_numpy(generator.normal(0, 6, fine.shape))
    return fine.clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def write_pairs(folder: Path, height: int, width: int, count: int) -> Pairs:
    """Write ``count`` images and their LR halves in the layout of DIV2K, and open them."""
    hr, lr = folder / "set" / "HR", folder / "set" / "LR_bicubic" / "X2"
    for path in (hr, lr):
        path.mkdir(parents=True)
    image = photograph(height, width)
    for index in range(count):
        rolled = np.roll(image, 16 * index, axis=1)
        Image.fromarray(rolled).save(hr / f"{index:04}.png", compress_level=1)
        small = np.ascontiguousarray(rolled[::2, ::2])
        Image.fromarray(small).save(lr / f"{index:04}x2.png", compress_level=1)
    cache = folder / "cache"
    return open_pairs(find_images(str(hr), folder, cache), SCALE, cache)


def patches(folder: Path, rounds: int) -> Iterator[Figure]:
    """Batches of LR and HR patches, from images of DIV2K's size and from small ones."""
    edsr = peers.edsr_modules()
    for (height, width), count, wanted in (((1344, 2040), 12, 15.0), ((338, 510), 100, 4.0)):
        images = folder / f"{height}"
        pairs = write_pairs(images, height, width, count)
        works: list[tuple[Callable[[], object], int]] = [(batches(pairs), 60)]
        if edsr:
            works.append((partial(next, _edsr_stream(edsr, images)), 4))
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
    """Return a function that cuts the next batch, as training does."""
    sampler = CropSampler(pairs.lr.heights, pairs.lr.widths, PATCH, BATCH, 0)
    numbers = itertools.count()
    return lambda: cut(pairs, sampler(next(numbers)), PATCH)


def edsr_data(edsr: Any, folder: Path) -> Dataset[Any]:
    """EDSR-PyTorch's data set over the images of :func:`write_pairs`."""
    arguments = Namespace(
        model="EDSR", scale=[SCALE], dir_data=str(folder), ext="sep", batch_size=BATCH,
        test_every=1000, data_train=["set"], patch_size=SCALE * PATCH, n_colors=3, rgb_range=255,
        no_augment=False,
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):  # it prints the name of every file it writes
        dataset: Dataset[Any] = edsr.SRData(arguments, name="set")
    return dataset


def _edsr_stream(edsr: Any, folder: Path) -> Iterator[Any]:
    """Batches of EDSR-PyTorch's data set from torch's loader, in this process."""
    loader = DataLoader(edsr_data(edsr, folder), BATCH, shuffle=True)
    while True:
        yield from loader


def step(folder: Path, rounds: int) -> Iterator[Figure]:
    """An update of EDSR-baseline x2: in the default settings and in faster ones."""
    edsr = peers.edsr_modules()
    generator = torch.Generator().manual_seed(0)
    lr, hr = (
        torch.randint(0, 256, (BATCH, 3, side, side), generator=generator, dtype=torch.uint8)
        for side in (PATCH, SCALE * PATCH)
    )
    variants = {
        "fp32": edsr_update(Batch(lr, hr, 0), False, False),
        "fp32, channels last": edsr_update(Batch(lr, hr, 0), True, False),
        "bf16": edsr_update(Batch(lr, hr, 0), False, True),
        "trainer=fast": edsr_update(Batch(lr, hr, 0), True, True),
    }
    works = list(variants.values())
    if edsr:
        works.append(_peer_update(edsr, lr.float(), hr.float()))
    seconds = alternate([(work, 1) for work in works], max(2, rounds // 3))
    for name, ours in zip(variants, seconds, strict=False):
        yield Figure(
            f"update of EDSR 16x64 x2, {name}",
            1e3 * median(ours),
            "ms",
            0.45,
            peer=1e3 * median(seconds[-1]) if edsr else None,
            peer_name="EDSR-PyTorch",
            ratio=quotient(ours, seconds[-1]) if edsr else None,
            of_ratio=True,
        )


def edsr_update(
    batch: Batch, channels_last: bool, mixed: bool, **network: int
) -> Callable[[], None]:
    """Return a function that updates an EDSR, by default the baseline."""
    module = Supervised(EDSR(SCALE, **network))
    if channels_last:
        module.to(memory_format=torch.channels_last)
        batch = batch._replace(
            lr=batch.lr.contiguous(memory_format=torch.channels_last),
            hr=batch.hr.contiguous(memory_format=torch.channels_last),
        )
    return update(module, batch, mixed, fused=channels_last and mixed)  # both: trainer=fast


def update(
    module: Supervised, batch: Batch, mixed: bool = False, fused: bool = False
) -> Callable[[], None]:
    """Return a function that makes one update of a module with Adam."""
    optimizer = torch.optim.Adam(module.trained(), lr=1e-4, fused=fused or None)

    def work() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = module.training_step(batch, 0)
        loss.backward()
        optimizer.step()

    return work


def edsr_peer(edsr: Any) -> torch.nn.Module:
    """EDSR-PyTorch's baseline network."""
    return edsr.EDSR(
        Namespace(n_resblocks=16, n_feats=64, res_scale=1, scale=[SCALE], rgb_range=255, n_colors=3)
    )


def _peer_update(edsr: Any, lr: torch.Tensor, hr: torch.Tensor) -> Callable[[], None]:
    """EDSR-PyTorch's network in the loop of its trainer."""
    network = edsr_peer(edsr)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer, criterion = torch.optim.Adam(trained, lr=1e-4), torch.nn.L1Loss()

    def work() -> None:
        optimizer.zero_grad()
        criterion(network(lr), hr).backward()
        optimizer.step()

    return work


def scoring(folder: Path, rounds: int) -> Iterator[Figure]:
    """All protocols on images of B100's size, against four scores of BasicSR."""
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
        ours = score_image(sr, hr, SCALE)
        same = (*ours["y"], *ours["rgb"])
        difference = max(abs(a - b) for a, b in zip(same, theirs(), strict=True))
        note = f"largest difference {difference:.1e}"
    seconds = alternate(works, rounds)
    yield Figure(
        "all protocols, an image of 480x320",
        1e3 * median(seconds[0]),
        "ms",
        1 / 3,
        peer=1e3 * median(seconds[1]) if basicsr else None,
        peer_name="BasicSR, numpy, four scores",
        ratio=quotient(seconds[0], seconds[1]) if basicsr else None,
        of_ratio=True,
        note=note,
    )
    yield _share(hr)


def _share(hr: torch.Tensor) -> Figure:
    """Scoring's share of a validation pass, with the network of the quick budget."""
    network, lr = EDSR(SCALE, 4, 16).eval(), downscale(hr, SCALE)
    works = [
        (lambda: upscale(network, lr[None]), 2),
        (lambda: score_batch(hr[None].flip(-1), hr[None], SCALE), 2),
    ]
    enlarged, scored = alternate(works, 9)
    share = median(s / (e + s) for e, s in zip(enlarged, scored, strict=True))
    return Figure("scoring's share of validating an image, EDSR 4x16", share, "", 0.5)


def bicubic(folder: Path, rounds: int) -> Iterator[Figure]:
    """Bicubic of an image of 2040x1344 to half its size; tests check the values."""
    basicsr = peers.basicsr_modules()
    image = photograph(1344, 2040)
    works: list[tuple[Callable[[], object], int]] = [(lambda: imresize(image, 1 / 2), 2)]
    if basicsr:
        works.append((lambda: basicsr.imresize(image.astype(np.float32) / 255, 1 / 2), 1))
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
