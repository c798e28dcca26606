"""Download a data set so that it is complete on disk afterwards, or not there.

A download goes to ``downloads/NAME.part`` under the data root and is resumed there, by this
process and by the next one. Its size and SHA-256 are checked before anything is unpacked; it is
unpacked into a hidden folder beside its place and moved there file by file, folders whole where
nothing stood before. Files of other names are never touched.

Where nobody has published a checksum, the first download's is pinned in
``downloads/checksums.lock.json`` and later downloads are held to it.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console

from sr_experiments.core.console import output
from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.data import catalogue, layouts
from sr_experiments.data.catalogue import Archive, Piece
from sr_experiments.data.fetch.disk import set_aside
from sr_experiments.data.fetch.download import address, download
from sr_experiments.data.fetch.unpack import set_aside_if_bad, unpack

LOCK_FILE = "checksums.lock.json"


def fetch(
    name: str,
    root: Path,
    base_url: str | None = None,
    console: Console | None = None,
    *,
    lr_scales: Sequence[int] = (),
    keep_archives: bool = False,
) -> list[str]:
    """Download and unpack a set or a group of sets; what is complete on disk is skipped.

    Args:
        name: ``DIV2K``, ``DIV2K/train``, ``DIV2K/valid``, ``benchmark``, or one of its sets.
        root: the data root, made if needed.
        base_url: a mirror, the address up to the file names.
        console: where progress is shown.
        lr_scales: DIV2K's LR images at these scales too.
        keep_archives: leave the verified archives in ``downloads/``.

    Returns:
        The names of the archives that were unpacked; empty when all was there.

    Raises:
        UserError: an unknown name, an address that is not https, no space, a download that
            cannot be finished or is not what it should be, an archive that is not safe.
    """
    console = console or output()
    wanted = catalogue.archives(name, tuple(lr_scales))
    return [
        archive.file
        for archive in wanted
        if fetch_archive(archive, root, base_url, console, keep=keep_archives)
    ]


def fetch_archive(
    archive: Archive,
    root: Path,
    base_url: str | None = None,
    console: Console | None = None,
    *,
    keep: bool = False,
) -> bool:
    """Download, check and unpack one archive; see :func:`fetch`.

    Returns:
        False if all that it gives was already on disk.
    """
    console = console or output()
    root = Path(root)
    if all(_is_complete(root, piece) for piece in archive.gives):
        console.print(f"{archive.file}: complete under {root}, nothing to do")
        return False
    url = address(archive, base_url)
    downloads = root / "downloads"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        with _only_one(downloads):
            path = downloads / archive.file
            if not path.exists():
                download(url, path, archive, console)
            digest = _checked(path, archive, console)
            with set_aside_if_bad(path), console.status(f"unpacking {archive.file}"):
                unpack(path, root / archive.target, archive.top)
            _pin(path, archive, url, digest, console)
            if not keep:
                path.unlink()
    except OSError as error:
        raise UserError(
            "fetch-failed",
            "{path}: {reason}, while fetching {archive}; correct it and run the same command again "
            "to resume",
            path=error.filename or root,
            reason=error.strerror or error,
            archive=archive.file,
        ) from error
    short = [piece for piece in archive.gives if not _is_complete(root, piece)]
    for piece in short:
        low = f" LR x{piece.scale}" if piece.scale else ""
        console.print(f"warning: {archive.file} did not complete {piece.image_set}{low}")
    return True


@contextmanager
def _only_one(downloads: Path) -> Iterator[None]:
    """Two processes must not write the same partial file."""
    try:
        with FileLock(downloads / ".lock", blocking=False):
            yield
    except Timeout:
        raise UserError(
            "fetch-already-running",
            "{folder}: another fetch is running here; wait until it is done",
            folder=downloads,
        ) from None


def _is_complete(root: Path, piece: Piece) -> bool:
    wanted = catalogue.image_set(piece.image_set)
    if len(layouts.locate(root, wanted)) < wanted.images:
        return False
    try:
        return piece.scale is None or layouts.find_lr(root, wanted.name, piece.scale) is not None
    except UserError:
        return False


def _checked(path: Path, archive: Archive, console: Console) -> str:
    """The SHA-256 of a download that has the size and checksum it should have."""
    lock = path.with_name(LOCK_FILE)
    pinned = _pins(lock).get(archive.file, {}).get("sha256")
    expected = archive.sha256 or pinned
    with console.status(f"checking {archive.file}"), path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    if archive.bytes is not None and size != archive.bytes:
        raise UserError(
            "download-size-wrong",
            "{file}: {bytes} bytes, where {expected} are expected; kept as {kept}, fetch again",
            file=archive.file,
            bytes=size,
            expected=archive.bytes,
            kept=set_aside(path),
        )
    if expected is not None and found != expected:
        pin = f" (pinned in {lock}; remove the entry if the file has really changed)"
        raise UserError(
            "download-checksum-wrong",
            "{file}: its SHA-256 is {found}, where {expected} is expected{pin}; kept as {kept}, "
            "fetch again",
            file=archive.file,
            found=found,
            expected=expected,
            pin=pin if archive.sha256 is None else "",
            kept=set_aside(path),
        )
    return found


def _pin(path: Path, archive: Archive, url: str, digest: str, console: Console) -> None:
    """Remember the checksum of a file for which nobody has published one."""
    lock = path.with_name(LOCK_FILE)
    pins = _pins(lock)
    if archive.sha256 is not None or archive.file in pins:
        return
    pins[archive.file] = {"sha256": digest, "bytes": path.stat().st_size, "url": url}
    with atomic_write(lock) as temporary:
        temporary.write_text(json.dumps(pins, indent=2) + "\n", encoding="utf-8")
    console.print(
        f"{archive.file}: nobody has published its checksum, so this download could not be "
        f"checked; pinned from now on in {lock} (SHA-256 {digest})"
    )


def _pins(lock: Path) -> dict[str, dict[str, Any]]:
    if not lock.exists():
        return {}
    try:
        pins = json.loads(lock.read_text(encoding="utf-8"))
        if all(isinstance(pin, dict) for pin in pins.values()):
            return pins
    except (ValueError, AttributeError):
        pass
    raise UserError(
        "checksum-list-damaged", "{path}: not a list of checksums; correct or remove it", path=lock
    ) from None
