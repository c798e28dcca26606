"""From a word in a config to a list of pictures, and to a fingerprint of what they hold.

Nothing here imports torch: a finished run is recognised without it.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.data.catalogue import embedded
from sr_experiments.data.layouts import find_lr, find_split
from sr_experiments.imaging.io import list_images

#: Short names of benchmark sets whose list of pictures has a longer one.
_BENCHMARKS = {"embedded": "embedded/test", "DIV2K": "DIV2K/valid"}
#: The data sets that the catalogue knows; anything else must be a folder.
_KNOWN = ("DIV2K/train", "DIV2K/valid", "Set5", "Set14", "B100", "Urban100", "Manga109")


@dataclass(frozen=True)
class ImageFiles:
    """A named list of ground-truth pictures, with their low-resolution files if asked for.

    Attributes:
        name: as tables show it.
        paths: ground truth.
        fingerprint: SHA-256 over the names and contents of all files; empty until asked for.
        lr_paths: low-resolution partners on disk, in the same order; ``None`` to make them.
        hashes: SHA-256 of each ground-truth file.
    """

    name: str
    paths: tuple[Path, ...]
    fingerprint: str
    lr_paths: tuple[Path, ...] | None = None
    hashes: tuple[str, ...] = ()


def find_images(
    source: str,
    root: Path,
    cache: Path,
    *,
    numbers: str | None = None,
    lr_from_disk: bool = False,
    scale: int = 1,
) -> ImageFiles:
    """List a source's pictures and fingerprint them.

    Args:
        source: ``embedded/train|val|test``, ``embedded``, a data set of the catalogue
            (``DIV2K/train``, ``DIV2K/valid``, ``DIV2K``, ``Set5`` ...), or a folder.
        root: the data root.
        cache: where hashes of unchanged files are remembered.
        numbers: a range of DIV2K, such as ``0801-0810``.
        lr_from_disk: take low-resolution partners from disk.
        scale: of those partners.

    Raises:
        UserError: nothing of that name, nothing there, or no partners.
    """
    name = source
    source = _BENCHMARKS.get(source, source)
    lr: Sequence[Path] | None = None
    if numbers is not None and source not in _KNOWN:
        raise UserError(f"numbers={numbers}: the pictures of {source} are not numbered")
    if source.startswith("embedded/"):
        split = source.removeprefix("embedded/")
        if split not in ("train", "val", "test"):
            raise UserError(f"{source}: no such split; choose from train, val, test")
        paths: Sequence[Path] = embedded(cast(Literal["train", "val", "test"], split))
    elif source in _KNOWN:
        paths = find_split(root, source, numbers=numbers)
        if lr_from_disk:
            lr = find_lr(root, source, scale, numbers=numbers)
    elif Path(source).is_dir():
        paths = list_images(source)
        name = Path(source).resolve().name
    else:
        known = ", ".join(["embedded", *_KNOWN])
        raise UserError(f"{source}: neither a known data set ({known}) nor a folder")
    if lr_from_disk and lr is None:
        raise UserError(
            f"data.lr=disk: {source} has no x{scale} pictures on disk; use data.lr=make"
        )
    if lr is not None and len(lr) != len(paths):
        raise UserError(f"{source}: {len(paths)} HR pictures but {len(lr)} LR at x{scale}")
    stems: dict[str, Path] = {}
    for path in paths:  # scores are kept by this name
        if stems.setdefault(path.stem, path) != path:
            raise UserError(
                f"{source}: {stems[path.stem].name} and {path.name} have the same name but for "
                "their endings; rename one"
            )
    hashes = hash_files([*paths, *(lr or [])], cache)
    total = hashlib.sha256()
    for path, digest in zip([*paths, *(lr or [])], hashes, strict=True):
        total.update(f"{path.stem}\0{digest}\n".encode())
    return ImageFiles(
        name=name,
        paths=tuple(paths),
        fingerprint=total.hexdigest(),
        lr_paths=tuple(lr) if lr is not None else None,
        hashes=tuple(hashes[: len(paths)]),
    )


def refuse_overlap(train: ImageFiles, benchmark: ImageFiles) -> None:
    """Scores on a picture that was trained on say nothing.

    Files are compared by content, whatever their names; a re-encoded copy is not recognised.

    Raises:
        UserError: naming the first picture that stands in both.
    """
    scored = dict(zip(benchmark.hashes, benchmark.paths, strict=True))
    for digest, path in zip(train.hashes, train.paths, strict=True):
        if digest in scored:
            count = len(scored.keys() & set(train.hashes))
            raise UserError(
                f"{train.name}: {path} is trained on, and {benchmark.name} scores the same "
                f"picture, {scored[digest]} ({count} of {len(benchmark.paths)} are shared); choose "
                "other pictures, or set data.allow_overlap=true"
            )


def hash_files(paths: Sequence[Path], cache: Path) -> list[str]:
    """SHA-256 of files; one that has kept its size and time since last time is not read again."""
    index_file = cache / "hashes.json"
    try:
        index = json.loads(index_file.read_text())
    except (OSError, ValueError):
        index = {}
    stamps = []
    for path in paths:
        state = path.stat()
        stamps.append(f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}")
    missing = [(p, s) for p, s in zip(paths, stamps, strict=True) if s not in index]
    if missing:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            digests = pool.map(_hash, [path for path, _ in missing])
            index |= zip([stamp for _, stamp in missing], digests, strict=True)
        with atomic_write(index_file) as temporary:
            temporary.write_text(json.dumps(index))
    return [index[stamp] for stamp in stamps]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
