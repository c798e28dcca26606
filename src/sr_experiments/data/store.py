"""Images decoded once into a memory-mapped file of uint8 values.

A batch is then a gather from that file, without decoding, opening files or a loop over patches.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from filelock import FileLock
from rich.progress import track
from torch import Tensor

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write, writable_cache
from sr_experiments.data.sources import ImageFiles
from sr_experiments.imaging.io import read_image
from sr_experiments.imaging.resize import Border, downscale

_FORMAT = 1  # raised when the meaning of a stored byte changes
_T = TypeVar("_T")


@dataclass(frozen=True)
class ImageStore:
    """RGB images of any sizes in one flat array.

    Attributes:
        pixels: uint8 ``(total pixels, 3)``, row after row, image after image.
        first: int64 ``(n,)``, index of each image's first pixel.
        heights, widths: int64 ``(n,)``.
        names: of the files, without suffix.
        grey: whether each file has a single plane (it is stored three times).
    """

    pixels: Tensor
    first: Tensor
    heights: Tensor
    widths: Tensor
    names: tuple[str, ...]
    grey: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Tensor:
        """One image, uint8 ``(3, H, W)``: a view of the store."""
        start, height, width = (int(v[index]) for v in (self.first, self.heights, self.widths))
        return self.pixels[start : start + height * width].view(height, width, 3).permute(2, 0, 1)

    def to(self, device: torch.device | str) -> "ImageStore":
        """The same images with all tensors on a device."""
        tensors = ("pixels", "first", "heights", "widths")
        return replace(self, **{name: getattr(self, name).to(device) for name in tensors})


@dataclass(frozen=True)
class Pairs:
    """Ground truth and its low-resolution images, in the same order.

    ``hr[i]`` may have up to ``scale - 1`` rows and columns more than ``scale`` times ``lr[i]``.
    """

    name: str
    scale: int
    hr: ImageStore
    lr: ImageStore

    def __len__(self) -> int:
        return len(self.hr)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """``(lr, hr)``, uint8 ``(3, h, w)`` and ``(3, scale * h, scale * w)``."""
        lr, hr = self.lr[index], self.hr[index]
        return lr, hr[:, : self.scale * lr.shape[-2], : self.scale * lr.shape[-1]]

    def to(self, device: torch.device | str) -> "Pairs":
        """The same images with all tensors on a device."""
        return replace(self, hr=self.hr.to(device), lr=self.lr.to(device))


def open_pairs(
    files: ImageFiles,
    scale: int,
    cache: Path,
    *,
    border: Border = "mirror",
    progress: bool = False,
) -> Pairs:
    """Decode images, or open what an earlier run decoded.

    Low-resolution images are made by the exact bicubic unless ``files`` has LR paths.

    Args:
        files: what to open; its fingerprint is the key of the cache.
        scale: of the super-resolution.
        cache: folder of the stores.
        border: of the bicubic.
        progress: show a bar while decoding.

    Raises:
        UserError: a damaged image, an LR file whose size does not fit its HR, or a full disk.
    """
    key = files.fingerprint
    decode = partial(_each, _read, files.paths)
    hr = _open(cache, f"{key}-hr", files.paths, decode, f"decoding {files.name}", progress)
    if files.lr_paths is not None:
        decode = partial(_each, _read, files.lr_paths)
        kind, doing = f"{key}-disk-x{scale}", f"decoding {files.name} x{scale}"
    else:
        _, file = _files(cache, f"{key}-hr")
        decode = partial(_each, lambda i: _shrink(hr, file, i, scale, border), range(len(hr)))
        kind, doing = f"{key}-{border}-x{scale}", f"shrinking {files.name} by {scale}"
    lr = _open(cache, kind, files.paths, decode, doing, progress)
    for i, name in enumerate(hr.names):
        found = (int(lr.heights[i]), int(lr.widths[i]))
        wanted = (int(hr.heights[i]) // scale, int(hr.widths[i]) // scale)
        if found != wanted:
            raise UserError(
                "lr-size-does-not-fit",
                "{set}/{name}: its x{scale} image has {height}x{width} pixels (height x width), "
                "where {expected_height}x{expected_width} fit the ground truth",
                set=files.name,
                name=name,
                scale=scale,
                height=found[0],
                width=found[1],
                expected_height=wanted[0],
                expected_width=wanted[1],
            )
    return Pairs(files.name, scale, hr, lr)


def open_made(
    pairs: Pairs,
    key: str,
    cache: Path,
    make: Callable[[Tensor], Tensor],
    *,
    doing: str,
    progress: bool = False,
) -> ImageStore:
    """Images made from a set's low-resolution ones, or opened if an earlier run made them.

    Args:
        pairs: whose low-resolution files.
        key: a text that identifies everything the images depend on.
        cache: folder of the stores.
        make: uint8 ``(3, h, w)`` -> uint8 ``(3, H, W)``; called one image after the other.
        doing: the label of the bar.
        progress: show a bar.
    """

    def images() -> Iterator[np.ndarray]:
        for index in range(len(pairs)):
            yield make(pairs.lr[index]).permute(1, 2, 0).contiguous().cpu().numpy()

    paths = [Path(name) for name in pairs.hr.names]
    return _open(cache, key, paths, images, doing, progress)


def _read(path: Path) -> np.ndarray:
    return read_image(path, keep_grey=True)


def _shrink(hr: ImageStore, file: Path, index: int, scale: int, border: Border) -> np.ndarray:
    # Read, not mapped: touched pages of a mapping count as this process's memory.
    first, height, width = (int(v[index]) for v in (hr.first, hr.heights, hr.widths))
    pixels = np.fromfile(file, np.uint8, 3 * height * width, offset=3 * first)
    try:
        large = torch.from_numpy(pixels).view(height, width, 3).permute(2, 0, 1)
        image = downscale(large, scale, border=border)
    except UserError as error:
        raise UserError(
            "image-not-downscaled", "{path}: {reason}", path=hr.names[index], reason=error
        ) from None
    return image.permute(1, 2, 0).contiguous().numpy()


def _each(work: Callable[[_T], np.ndarray], items: Iterable[_T]) -> Iterator[np.ndarray]:
    """``map`` in threads, in order, with a short queue so that memory stays bounded."""
    workers = os.cpu_count() or 1
    waiting: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _files(cache: Path, key: str) -> tuple[Path, Path]:
    """Where a store's index and its pixels lie."""
    name = hashlib.sha256(f"{_FORMAT}:{key}".encode()).hexdigest()[:24]
    return cache / "stores" / f"{name}.json", cache / "stores" / f"{name}.bin"


def _open(
    cache: Path,
    key: str,
    paths: Sequence[Path],
    images: Callable[[], Iterator[np.ndarray]],
    doing: str,
    progress: bool,
) -> ImageStore:
    """Open a store, writing it first if it is not there."""
    index_file, pixel_file = _files(cache, key)
    if not index_file.exists():
        with writable_cache(cache):
            index_file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(index_file.with_suffix(".lock")):
            if not index_file.exists():
                _write(index_file, pixel_file, paths, images, doing, progress)
    try:
        index = json.loads(index_file.read_text())
        sizes = torch.tensor(index["sizes"], dtype=torch.int64).view(-1, 2)
        counts = sizes.prod(1)
        # Mode "c": torch wants writable memory; a write would stay private to this process.
        pixels = np.memmap(pixel_file, np.uint8, "c", shape=(int(counts.sum()), 3))
        whole = pixel_file.stat().st_size == pixels.size
    except (OSError, ValueError, KeyError, TypeError):  # cut short, emptied, gone or not JSON
        whole = False
    if not whole:
        index_file.unlink(missing_ok=True)
        pixel_file.unlink(missing_ok=True)
        raise UserError(
            "cache-damaged",
            "{path}: damaged cache, now removed; run the same command again",
            path=pixel_file,
        )
    return ImageStore(
        pixels=torch.from_numpy(pixels),
        first=counts.cumsum(0) - counts,
        heights=sizes[:, 0].contiguous(),
        widths=sizes[:, 1].contiguous(),
        names=tuple(index["names"]),
        grey=tuple(index["grey"]),
    )


def _write(
    index_file: Path,
    pixel_file: Path,
    paths: Sequence[Path],
    images: Callable[[], Iterator[np.ndarray]],
    doing: str,
    progress: bool,
) -> None:
    sizes, grey = [], []
    with atomic_write(pixel_file) as temporary, temporary.open("wb") as file:
        bar = track(images(), doing, len(paths), transient=True, disable=not progress)
        for image in bar:
            sizes.append(image.shape[:2])
            grey.append(image.ndim == 2)
            rgb = np.repeat(image[..., None], 3, 2) if grey[-1] else image
            file.write(rgb.tobytes())
    # The index comes last: where it stands, the pixels are whole.
    with atomic_write(index_file) as temporary:
        temporary.write_text(
            json.dumps({"sizes": sizes, "grey": grey, "names": [p.stem for p in paths]})
        )
