"""Unpacking an untrusted archive completely, or not at all."""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from rich.filesize import decimal

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import DAMAGED_ZIP
from sr_experiments.data.fetch.disk import CHUNK, require_space, set_aside

#: Images hardly compress: an archive that unpacks to more than this is no archive of images.
EXPANSION = 3
SLACK = 1 << 20
MAX_MEMBERS = 50_000


class _BadArchiveError(Exception):
    """The archive is damaged, or is not one to be unpacked safely."""


@dataclass(frozen=True)
class _Member:
    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]]


@contextmanager
def set_aside_if_bad(path: Path) -> Iterator[None]:
    """Rename an archive that proves damaged or harmful while it is unpacked.

    Raises:
        UserError: saying what is wrong with it.
    """
    try:
        yield
    except (_BadArchiveError, tarfile.TarError, *DAMAGED_ZIP) as error:
        raise UserError(
            "archive-refused",
            "{file}: refused, nothing was unpacked ({reason}); kept as {kept}",
            file=path.name,
            reason=error,
            kept=set_aside(path),
        ) from error


def unpack(path: Path, target: Path, top: str) -> None:
    """Unpack ``path`` so that its folder ``top`` comes to stand in ``target``."""
    staging = target / f".unpacking-{path.name}"
    if staging.exists():  # left by a process that was killed
        shutil.rmtree(staging)
    try:
        staging.mkdir(parents=True)
        with _members(path) as members:
            require_space(target, sum(member.size for member in members), path.name)
            for member in members:
                _write(member, staging.joinpath(*member.path.parts))
        if not (staging / top).is_dir():
            raise _BadArchiveError(f"it holds no folder {top}")
        _move(staging / top, target / top)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _members(path: Path) -> Iterator[list[_Member]]:
    """The regular files of a zip or tar; anything that could do harm is refused."""
    bound = path.stat().st_size * EXPANSION + SLACK
    members: list[_Member] = []
    total = 0
    with _open_archive(path) as archive:
        found = (
            _zip_members(archive) if isinstance(archive, zipfile.ZipFile) else _tar_members(archive)
        )
        for member in found:
            members.append(member)
            total += member.size
            if total > bound or len(members) > MAX_MEMBERS:
                raise _BadArchiveError(
                    f"it would unpack to more than {decimal(bound)} or {MAX_MEMBERS} files"
                )
        yield members


def _open_archive(path: Path) -> zipfile.ZipFile | tarfile.TarFile:
    # "r:" takes plain tar only: nothing is decompressed, so nothing can swell.
    return zipfile.ZipFile(path) if path.suffix == ".zip" else tarfile.open(path, "r:")


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        path = _safe(info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the zip knows no Unix modes
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _BadArchiveError(f"{info.filename} is a link or a device")
        if info.flag_bits & 1:
            raise _BadArchiveError(f"{info.filename} is encrypted")
        if not info.is_dir():
            yield _Member(path, info.file_size, partial(archive.open, info))


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Member]:
    for info in archive:
        path = _safe(info.name)
        if not (info.isdir() or info.isreg()) or info.issparse():
            raise _BadArchiveError(f"{info.name} is a link, a device or a sparse file")
        if hasattr(tarfile, "data_filter"):  # absent from Python 3.11.0 to 3.11.3
            tarfile.data_filter(info, ".")
        if info.isreg():
            yield _Member(path, info.size, partial(_tar_stream, archive, info))


def _tar_stream(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    if stream is None:
        raise _BadArchiveError(f"{info.name} is not a regular file")
    return stream


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise _BadArchiveError(f"{name!r} would be written outside of its folder")
    return path


def _write(member: _Member, goal: Path) -> None:
    left = member.size
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        file = goal.open("xb")
    except (FileExistsError, NotADirectoryError):
        raise _BadArchiveError(f"it holds {member.path} twice") from None
    with file, member.open() as source:
        while chunk := source.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            file.write(chunk)
    if left:
        raise _BadArchiveError(f"{member.path} is not of the size it declares")


def _move(source: Path, goal: Path) -> None:
    """Move a folder into place; into one that is there, file by file, replacing the same names."""
    if not goal.exists():
        source.replace(goal)
        return
    for child in source.iterdir():
        if child.is_dir():
            _move(child, goal / child.name)
        else:
            child.replace(goal / child.name)
