"""Downloading a data set so that what lies on disk afterwards is whole, or is not there.

A download goes to ``downloads/NAME.part`` under the data root and is resumed there, by this
process and by the next one. Its size and SHA-256 are checked before anything is unpacked; it is
unpacked into a hidden folder beside its place and moved there file by file, folders whole where
nothing stood before. Files of other names are never touched.

Where nobody has published a checksum, the first download's is pinned in
``downloads/checksums.lock.json`` and later downloads are held to it.
"""

import hashlib
import http.client
import ipaddress
import json
import shutil
import stat
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows: two fetches at once are then not told apart
    fcntl = None  # type: ignore[assignment]

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sr_experiments.data import catalogue, layouts
from sr_experiments.data.catalogue import Archive, Piece
from sr_experiments.errors import UserError
from sr_experiments.imaging.io import replacing

TIMEOUT_S = 60.0
#: Attempts without a new byte before a download is given up, and the pause before the second one.
ATTEMPTS = 4
PAUSE_S = 1.0
CHUNK = 1 << 20
#: Pictures hardly compress: an archive that unpacks to more than this is no archive of pictures.
EXPANSION = 3
SLACK = 1 << 20
MAX_MEMBERS = 50_000
#: A file of unpublished size may not be larger than this.
MAX_UNKNOWN_BYTES = 4 << 30
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
    """Download and unpack a set or a group of sets; what is complete on disk is left alone.

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
    console = console or Console()
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
    console = console or Console()
    root = Path(root)
    if all(_is_complete(root, piece) for piece in archive.gives):
        _say(console, f"{archive.file}: complete under {root}, nothing to do")
        return False
    url = _address(archive, base_url)
    downloads = root / "downloads"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        with _only_one(downloads):
            path = downloads / archive.file
            if not path.exists():
                _download(url, path, archive, console)
            digest = _checked(path, archive, console)
            with _set_aside_if_bad(path), console.status(f"unpacking {archive.file}"):
                _unpack(path, root / archive.target, archive.top)
            _pin(path, archive, url, digest, console)
            if not keep:
                path.unlink()
    except OSError as error:
        where = error.filename or root
        raise UserError(
            f"{where}: {error.strerror or error}, while fetching {archive.file}; "
            "mend it and run the same command to go on"
        ) from error
    short = [piece for piece in archive.gives if not _is_complete(root, piece)]
    for piece in short:
        low = f" LR x{piece.scale}" if piece.scale else ""
        _say(console, f"warning: {archive.file} did not complete {piece.image_set}{low}")
    return True


def _say(console: Console, text: str) -> None:
    # Paths may hold brackets, and a log wants unbroken lines.
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _require_space(folder: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{what} needs {decimal(needed)} of disk in {folder} and {decimal(free)} are free; "
            "make room, or choose another --root"
        )


@contextmanager
def _only_one(downloads: Path) -> Iterator[None]:
    """Two processes must not write the same partial file."""
    with (downloads / ".lock").open("w") as handle:
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{downloads}: another fetch is at work here; wait until it is done"
                ) from None
        yield


def _is_complete(root: Path, piece: Piece) -> bool:
    wanted = catalogue.image_set(piece.image_set)
    if len(layouts.locate(root, wanted)) < wanted.images:
        return False
    try:
        return piece.scale is None or layouts.find_lr(root, wanted.name, piece.scale) is not None
    except UserError:
        return False


# The address ------------------------------------------------------------------------------------


def _address(archive: Archive, base_url: str | None) -> str:
    base = base_url or archive.base_url
    url = f"{base.rstrip('/')}/{urllib.parse.quote(archive.file)}"
    _require_safe(url)
    return url


def _require_safe(url: str) -> None:
    """Https, or plain http on this machine only."""
    parts = urllib.parse.urlsplit(url)
    if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and _local(url))):
        return
    raise UserError(f"{url}: only https addresses are downloaded from; give one with --url")


def _local(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """A redirection is held to the same rule as the first address."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _require_safe(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    if _local(url):  # never through a proxy
        return urllib.request.build_opener(_SafeRedirects(), urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(_SafeRedirects())


# The download -----------------------------------------------------------------------------------


class _CutOffError(Exception):
    """The connection failed; what has come so far is on disk."""


@dataclass(frozen=True)
class _Part:
    """A file being downloaded, and beside it what is needed to resume it."""

    path: Path
    url: str
    archive: Archive

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def record(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def validator(self) -> str | None:
        """The server's mark of the version that was begun, if it was begun at this address."""
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
            return record["validator"] if record["url"] == self.url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, headers: Message) -> None:
        tag = headers.get("ETag", "")
        # A weak tag may not be used to resume.
        mark = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")
        with replacing(self.record) as temporary:
            temporary.write_text(json.dumps({"url": self.url, "validator": mark}), encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)


def _download(url: str, path: Path, archive: Archive, console: Console) -> None:
    """Bring ``url`` to ``path``, resuming what is there and trying again when cut off."""
    part = _Part(path.with_name(path.name + ".part"), url, archive)
    # Without a checksum to catch it, two versions of a file must not be joined.
    if archive.sha256 is None and part.validator() is None:
        part.discard()
    if archive.bytes is not None:
        if part.size > archive.bytes:
            part.discard()
        # Twice: the archive, and what it unpacks to.
        _require_space(path.parent, 2 * archive.bytes - part.size, archive.file)
    if part.size:
        _say(console, f"{archive.file}: resuming at {decimal(part.size)}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    failures = 0
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(archive.file, total=archive.bytes, completed=part.size)
        while archive.bytes is None or part.size < archive.bytes:
            before = part.size
            try:
                _attempt(part, progress, task)
                break
            except _CutOffError as error:
                failures = 1 if part.size > before else failures + 1
                if failures >= ATTEMPTS:
                    kept = f"{decimal(part.size)} are kept in {part.path}: " if part.size else ""
                    raise UserError(
                        f"{url}: {error}; {kept}run the same command to go on, "
                        "or give a mirror with --url"
                    ) from error
                time.sleep(PAUSE_S * 2 ** (failures - 1))
    part.path.replace(path)
    part.record.unlink(missing_ok=True)


def _attempt(part: _Part, progress: Progress, task: TaskID) -> None:
    """One request: to the end, or :class:`_CutOffError`."""
    offset = part.size
    request = urllib.request.Request(part.url, headers={"Accept-Encoding": "identity"})
    if offset:
        request.add_header("Range", f"bytes={offset}-")
        if validator := part.validator():
            request.add_header("If-Range", validator)
    try:
        with _opener(part.url).open(request, timeout=TIMEOUT_S) as response:
            _receive(response, part, offset, progress, task)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what is here is not the beginning of what is there
            part.discard()
        elif error.code < 500 and error.code != 429:
            raise UserError(
                f"{part.url}: the server answers {error.code} {error.reason}; "
                "give a mirror with --url"
            ) from error
        raise _CutOffError(f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _CutOffError(f"no connection ({error.reason})") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _CutOffError(f"the connection broke ({error or type(error).__name__})") from error


def _receive(
    response: http.client.HTTPResponse, part: _Part, offset: int, progress: Progress, task: TaskID
) -> None:
    """Append the answer to the part, or begin anew where the server does not resume."""
    archive = part.archive
    length = response.headers.get("Content-Length")
    if response.status == 206:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            part.discard()
            raise _CutOffError("the server resumed at another place than was asked")
    else:
        offset = 0
        part.begin(response.headers)
    total = offset + int(length) if length is not None else archive.bytes
    if archive.bytes is not None and total != archive.bytes:
        raise UserError(
            f"{part.url}: the file there has {total} bytes, where {archive.bytes} are expected; "
            "give another mirror with --url"
        )
    if archive.bytes is None and total is not None:
        _require_space(part.path.parent, 2 * total - offset, archive.file)
    limit = min(total or MAX_UNKNOWN_BYTES, archive.bytes or MAX_UNKNOWN_BYTES)
    progress.update(task, total=total, completed=offset)
    size = offset
    with part.path.open("ab" if offset else "wb") as file:
        while chunk := _read(response):
            size += len(chunk)
            if size > limit:
                raise UserError(
                    f"{part.url}: the file there is larger than the {decimal(limit)} that are "
                    "accepted; give another mirror with --url"
                )
            file.write(chunk)
            progress.advance(task, len(chunk))
    if total is not None and size < total:
        raise _CutOffError(f"the connection ended at {size} of {total} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(CHUNK)
    except OSError as error:  # told apart here from an error of the disk
        raise _CutOffError(f"the connection broke ({error})") from error


# The check --------------------------------------------------------------------------------------


def _checked(path: Path, archive: Archive, console: Console) -> str:
    """The SHA-256 of a download that has the size and checksum it should have."""
    lock = path.with_name(LOCK_FILE)
    pinned = _pins(lock).get(archive.file, {}).get("sha256")
    expected = archive.sha256 or pinned
    with console.status(f"checking {archive.file}"), path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    if archive.bytes is not None and size != archive.bytes:
        wrong = f"{size} bytes, where {archive.bytes} are expected"
    elif expected is not None and found != expected:
        wrong = f"its SHA-256 is {found}, where {expected} is expected"
        if archive.sha256 is None:
            wrong += f" (pinned in {lock}; remove the entry if the file has really changed)"
    else:
        return found
    raise UserError(f"{archive.file}: {wrong}; kept as {_set_aside(path)}, fetch again")


def _pin(path: Path, archive: Archive, url: str, digest: str, console: Console) -> None:
    """Remember the checksum of a file for which nobody has published one."""
    lock = path.with_name(LOCK_FILE)
    pins = _pins(lock)
    if archive.sha256 is not None or archive.file in pins:
        return
    pins[archive.file] = {"sha256": digest, "bytes": path.stat().st_size, "url": url}
    with replacing(lock) as temporary:
        temporary.write_text(json.dumps(pins, indent=2) + "\n", encoding="utf-8")
    _say(
        console,
        f"{archive.file}: nobody has published its checksum, so this download could not be "
        f"checked; pinned from now on in {lock} (SHA-256 {digest})",
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
    raise UserError(f"{lock}: not a list of checksums; mend or remove it") from None


def _set_aside(path: Path) -> Path:
    bad = path.with_name(path.name + ".bad")
    path.replace(bad)
    return bad


# The unpacking ----------------------------------------------------------------------------------


class _BadArchiveError(Exception):
    """The archive is damaged, or is not one to be unpacked safely."""


@dataclass(frozen=True)
class _Member:
    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]]


@contextmanager
def _set_aside_if_bad(path: Path) -> Iterator[None]:
    damaged = (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        NotImplementedError,  # zipfile: an unknown compression
        UnicodeError,  # a name in no known encoding
    )
    try:
        yield
    except (_BadArchiveError, *damaged) as error:
        raise UserError(
            f"{path.name}: refused, nothing was unpacked ({error}); kept as {_set_aside(path)}"
        ) from error


def _unpack(path: Path, target: Path, top: str) -> None:
    """Unpack ``path`` so that its folder ``top`` comes to stand in ``target``."""
    staging = target / f".unpacking-{path.name}"
    if staging.exists():  # left by a process that was killed
        shutil.rmtree(staging)
    try:
        staging.mkdir(parents=True)
        with _members(path) as members:
            _require_space(target, sum(member.size for member in members), path.name)
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
