"""How many pixels a run scores: of its images, or of its data sets where they are missing."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from sr_experiments.data.catalogue import IMAGE_SETS
from sr_experiments.runs.plan import Plan

#: Mean pixels of an image of the known sets. The first three are measured; DIV2K's are 2040 wide
#: or high and mostly about 1380 the other way, Urban100's and Manga109's are as published.
MEAN_PIXELS = {
    "Set5": 113_491,
    "Set14": 230_096,
    "B100": 153_600,
    "Urban100": 770_000,
    "Manga109": 966_000,
    "DIV2K/valid": 2_800_000,
    "DIV2K/train": 2_800_000,
}


def pixels(work: Plan, role: str) -> int:
    """Pixels of all ground truths of a role.

    Args:
        work: a run.
        role: ``train``, ``val`` or ``benchmark``, which are all sets that it is scored on.

    Returns:
        What the files say; where they are missing, what is known of the sets; 0 for others.
    """
    if not work.lacks_images:
        found = [p for key, p in work.images.items() if key.split("/")[0] == role]
        if role == "train":
            found = [p for key, p in work.images.items() if key == role]
        return sum(_measured(files.paths) for files in found)
    config = work.config
    if role == "benchmark":
        return sum(_known(name, None) for name in config.benchmarks.sets)
    source = config.data.train if role == "train" else config.data.val
    return _known(source.source, source.numbers)


@lru_cache(maxsize=64)
def _measured(paths: Sequence[Path]) -> int:
    total = 0
    for path in paths:
        with Image.open(path) as image:  # reads the header alone
            total += image.width * image.height
    return total


def _known(name: str, numbers: Any) -> int:
    name = {"DIV2K": "DIV2K/valid"}.get(name, name)
    if name not in MEAN_PIXELS:
        return 0
    count = IMAGE_SETS[name].images
    first, dash, last = str(numbers or "").partition("-")
    if dash and first.isdigit() and last.isdigit():
        count = int(last) - int(first) + 1
    return count * MEAN_PIXELS[name]
