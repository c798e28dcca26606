"""How the cost grows with the size of images, batches, networks and sets of runs."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

import torch
from figures import BATCH, SCALE, batches, edsr_update, photograph
from processes import used, write_runs
from timing import Figure, alternate

from sr_experiments.data.datamodule import Batch
from sr_experiments.data.store import ImageStore, Pairs
from sr_experiments.imaging.resize import downscale, imresize
from sr_experiments.metrics.scoring import score_batch


def growth(folder: Path, rounds: int) -> Iterator[Figure]:
    """Patches, updates, scores, bicubic and the report."""
    yield from _patches(rounds)
    yield from _updates(max(3, rounds // 3))
    yield from _scores(max(3, rounds // 2))
    yield from _reports(folder)


def _noise(height: int, width: int, count: int) -> Pairs:
    def store(rows: int, columns: int) -> ImageStore:
        pixels = torch.randint(0, 256, (count * rows * columns, 3), dtype=torch.uint8)
        counts = torch.full((count,), rows * columns)
        sides = torch.full((count,), rows), torch.full((count,), columns)
        return ImageStore(
            pixels, counts.cumsum(0) - counts, *sides, ("",) * count, (False,) * count
        )

    return Pairs("noise", SCALE, store(height, width), store(height // SCALE, width // SCALE))


def _patches(rounds: int) -> Iterator[Figure]:
    for (height, width), count in (
        ((168, 254), 64), ((338, 510), 64), ((672, 1020), 64), ((1344, 2040), 64),
        ((338, 510), 4), ((338, 510), 512),
    ):  # fmt: skip
        (seconds,) = alternate([(batches(_noise(height, width, count)), 60)], rounds)
        name = f"patches, {count} images of {width}x{height}"
        yield Figure(name, BATCH / median(seconds), "patches/s")


def _updates(rounds: int) -> Iterator[Figure]:
    """EDSR 8x32 with batches of 16 patches of 24x24, one of these varied at a time."""
    default = {"n_resblocks": 8, "n_feats": 32}
    sizes = [(batch, 24, default) for batch in (4, 8, 16, 32)]
    sizes += [(16, patch, default) for patch in (12, 48)]
    sizes += [(16, 24, default | {"n_feats": feats}) for feats in (16, 64, 128)]
    sizes += [(16, 24, default | {"n_resblocks": blocks}) for blocks in (4, 16, 32)]
    works = []
    for batch, patch, network in sizes:
        lr, hr = (
            torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
            for side in (patch, SCALE * patch)
        )
        works.append((edsr_update(Batch(lr, hr, 0), True, False, **network), 1))
    for (batch, patch, network), seconds in zip(sizes, alternate(works, rounds), strict=True):
        name = f"{network['n_resblocks']}x{network['n_feats']}"
        name = f"update of EDSR {name}, batch {batch}, patch {patch}"
        yield Figure(name, 1e3 * median(seconds), "ms")


def _scores(rounds: int) -> Iterator[Figure]:
    for height, width in ((160, 240), (320, 480), (640, 960), (1344, 2040)):
        image = torch.from_numpy(photograph(height, width)).permute(2, 0, 1).contiguous()
        sr = imresize(downscale(image, SCALE), SCALE)
        works = [
            (partial(score_batch, sr[None], image[None], SCALE), 1),
            (partial(imresize, image, 1 / 2), 1),
        ]
        scored, shrunk = alternate(works, rounds)
        area = height * width / 1e6
        for work, seconds in (("scores", scored), ("bicubic to a half", shrunk)):
            note = f"{1e3 * median(seconds) / area:.0f} ms per megapixel"
            yield Figure(f"{work}, {width}x{height}", 1e3 * median(seconds), "ms", note=note)


def _reports(folder: Path) -> Iterator[Figure]:
    for count in (25, 50, 100, 200):
        runs = folder / f"{count}"
        write_runs(runs, count)
        command = [sys.executable, "-m", "sr_experiments.report", "--runs", str(runs)]
        command += ["--out", str(folder / f"report{count}")]
        seconds = used(partial(subprocess.run, command, check=True, capture_output=True))
        yield Figure(f"report, {count} runs", seconds, "s")
