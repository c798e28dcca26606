"""The images that a config's source names, and a fingerprint of their content.

Nothing here imports torch: a finished run is recognised without it.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write, writable_cache
from sr_experiments.data import catalogue
from sr_experiments.data.layouts import find_lr, find_split
from sr_experiments.imaging.formats import list_images

#: What a benchmark's short name stands for.
_BENCHMARKS = {"embedded": "embedded/test", "div2k": "DIV2K/valid"}
#: Folder names that do not tell a data set.
_GENERIC = frozenset({"hr", "gt", "images", "high", "original", "test", "val", "valid"})


@dataclass(frozen=True)
class ImageFiles:
    """A named list of ground-truth images, with their low-resolution files if requested.

    Attributes:
        name: as tables show it.
        paths: ground truth.
        fingerprint: SHA-256 over the names and contents of all files.
        lr_paths: low-resolution partners on disk, in the same order; ``None`` to make them.
        hashes: SHA-256 of each ground-truth file.
    """

    name: str
    paths: tuple[Path, ...]
    fingerprint: str
    lr_paths: tuple[Path, ...] | None = None
    hashes: tuple[str, ...] = ()


def find_images(
    source: str | Sequence[str],
    root: Path,
    cache: Path,
    *,
    numbers: str | None = None,
    lr_from_disk: bool = False,
    scale: int = 1,
    benchmark: bool = False,
) -> ImageFiles:
    """List a source's images and fingerprint them.

    Args:
        source: ``embedded/train|val|test``, a data set of the catalogue by name or alias
            (``DIV2K/train``, ``Set5``, ``BSD100`` ...), or a folder; or several of these.
        root: the data root.
        cache: where hashes of unchanged files are remembered.
        numbers: a range of a numbered set, such as ``0801-0810``; of several sources, of those that
            are numbered.
        lr_from_disk: take low-resolution partners from disk.
        scale: of those partners.
        benchmark: also know the short names ``DIV2K`` and ``embedded`` of what is scored of them.

    Raises:
        UserError: nothing of that name, nothing there, no partners, or no source is numbered.
    """
    several = [source] if isinstance(source, str) else list(source)
    short = _BENCHMARKS if benchmark else {}
    resolved = [short.get(one.casefold(), one) for one in several]
    numbered = [one for one in resolved if (s := catalogue.known(one)) and s.numbers]
    if numbers is not None and not numbered:
        raise UserError(
            "source-not-numbered",
            "numbers={numbers}: the images of {source} are not numbered",
            numbers=numbers,
            source=" + ".join(resolved),
        )
    found = [
        _find(one, alias, root, numbers if one in numbered else None, lr_from_disk, scale)
        for alias, one in zip(several, resolved, strict=True)
    ]
    paths = [path for _, images, _ in found for path in images]
    lr = [path for _, _, partners in found for path in partners]
    stems: dict[str, Path] = {}
    for path in paths:  # scores are kept by this name
        if path.stem in stems:
            raise UserError(
                "two-images-of-one-name",
                "{source}: {first} and {second} have the same name (without suffix); rename or "
                "leave out one",
                source=" + ".join(several),
                first=stems[path.stem].name,
                second=path.name,
            )
        stems[path.stem] = path
    files = [*paths, *lr]
    hashes = hash_files(files, cache)
    fingerprint = hashlib.sha256()
    for path, digest in zip(files, hashes, strict=True):
        fingerprint.update(f"{path.stem}\0{digest}\n".encode(errors="surrogateescape"))
    return ImageFiles(
        name=" + ".join(name for name, _, _ in found),
        paths=tuple(paths),
        fingerprint=fingerprint.hexdigest(),
        lr_paths=tuple(lr) if lr_from_disk else None,
        hashes=tuple(hashes[: len(paths)]),
    )


def _find(
    source: str, alias: str, root: Path, numbers: str | None, lr_from_disk: bool, scale: int
) -> tuple[str, Sequence[Path], Sequence[Path]]:
    """Name, images and low-resolution partners (if wanted) of one source."""
    name, lr = alias, None
    dataset = catalogue.known(source)
    paths: Sequence[Path]
    if source.startswith("embedded/"):
        paths = catalogue.embedded(source.removeprefix("embedded/"))
    elif dataset is not None:
        name = "DIV2K" if alias.casefold() == "div2k" else dataset.name
        paths = find_split(root, dataset.name, numbers=numbers)
        if lr_from_disk:
            lr = find_lr(root, dataset.name, scale, numbers=numbers)
    elif Path(source).is_dir():
        paths = list_images(Path(source))
        name = _folder_name(Path(source))
    else:
        sets = catalogue.IMAGE_SETS
        raise UserError(
            "unknown-source",
            "{source}: neither a known data set ({known}) nor a folder",
            source=source,
            known=", ".join([*(f"embedded/{split}" for split in catalogue.EMBEDDED), *sets]),
        )
    if lr_from_disk and lr is None:
        raise UserError(
            "no-lr-on-disk",
            "data.lr=disk: {source} has no x{scale} images on disk; use data.lr=make",
            source=source,
            scale=scale,
        )
    return name, paths, lr or ()


def _folder_name(folder: Path) -> str:
    """The name of the nearest folder that tells what it holds: ``Urban100`` of ``Urban100/HR``."""
    folder = folder.resolve()
    for candidate in (folder, *folder.parents):
        if candidate.name and candidate.name.casefold() not in _GENERIC:
            return candidate.name
    return folder.name


def refuse_overlap(train: ImageFiles, benchmark: ImageFiles) -> None:
    """Refuse to score images that were trained on.

    Files are compared by content, whatever their names; a re-encoded copy is not recognised.

    Raises:
        UserError: naming the first image that is in both.
    """
    scored = dict(zip(benchmark.hashes, benchmark.paths, strict=True))
    shared = [pair for pair in zip(train.hashes, train.paths, strict=True) if pair[0] in scored]
    if shared:
        digest, path = shared[0]
        raise UserError(
            "benchmark-trained-on",
            "{train}: {path} is trained on, and {benchmark} scores the same image, {scored} "
            "({count} of {total} are shared); choose other images, or set data.allow_overlap=true",
            train=train.name,
            path=path,
            benchmark=benchmark.name,
            scored=scored[digest],
            count=len({digest for digest, _ in shared}),
            total=len(benchmark.paths),
        )


def hash_files(paths: Sequence[Path], cache: Path) -> list[str]:
    """SHA-256 of files; a file that did not change since the last call is not read again.

    A change is noticed by path, size, inode and the times of content and metadata.

    Raises:
        UserError: a file cannot be read.
    """
    index_file = cache / "hashes.json"
    try:
        index = json.loads(index_file.read_text())
    except (OSError, ValueError):
        index = None
    if not isinstance(index, dict):  # damaged: made again
        index = {}
    try:
        stamps = [_stamp(path) for path in paths]
        missing = [(p, s) for p, s in zip(paths, stamps, strict=True) if s not in index]
        if missing:
            with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                digests = list(pool.map(_hash, [path for path, _ in missing]))
            index |= zip([stamp for _, stamp in missing], digests, strict=True)
    except OSError as error:
        raise UserError(
            "source-unreadable",
            "{path}: cannot be read ({reason})",
            path=error.filename,
            reason=error.strerror or error,
        ) from None
    if missing:
        with writable_cache(cache), atomic_write(index_file) as temporary:
            temporary.write_text(json.dumps(index))
    return [index[stamp] for stamp in stamps]


def _stamp(path: Path) -> str:
    state = path.stat()
    times = f"{state.st_mtime_ns}|{state.st_ctime_ns}"
    return f"{path.resolve()}|{state.st_size}|{state.st_ino}|{times}"


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
