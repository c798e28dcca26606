"""Downloading one file, with resumption and over https only."""

import http.client
import ipaddress
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO

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

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.data.catalogue import Archive
from sr_experiments.data.fetch.disk import CHUNK, require_space

TIMEOUT_S = 60.0
#: Attempts without a new byte before a download is given up, and the pause before the second one.
ATTEMPTS = 4
PAUSE_S = 1.0
#: A file of unpublished size may not be larger than this.
MAX_UNKNOWN_BYTES = 4 << 30


def address(archive: Archive, base_url: str | None) -> str:
    """Where an archive is downloaded from.

    Raises:
        UserError: neither https nor an address of this machine.
    """
    base = base_url or archive.base_url
    url = f"{base.rstrip('/')}/{urllib.parse.quote(archive.file)}"
    _require_safe(url)
    return url


def _require_safe(url: str) -> None:
    """Https, or plain http on this machine only."""
    parts = urllib.parse.urlsplit(url)
    if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and _local(url))):
        return
    raise UserError(
        "url-not-https",
        "{url}: only https addresses are downloaded from; give one with --url",
        url=url,
    )


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
        with atomic_write(self.record) as temporary:
            temporary.write_text(json.dumps({"url": self.url, "validator": mark}), encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)


def download(url: str, path: Path, archive: Archive, console: Console) -> None:
    """Download ``url`` to ``path``, resuming a partial file and retrying broken connections."""
    part = _Part(path.with_name(path.name + ".part"), url, archive)
    # Without a checksum to catch it, two versions of a file must not be joined.
    if archive.sha256 is None and part.validator() is None:
        part.discard()
    if archive.bytes is not None:
        if part.size > archive.bytes:
            part.discard()
        # Twice: the archive, and what it unpacks to.
        require_space(path.parent, 2 * archive.bytes - part.size, archive.file)
    if part.size:
        console.print(f"{archive.file}: resuming at {decimal(part.size)}")
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
                        "download-interrupted",
                        "{url}: {reason}; {kept}run the same command again to resume, or give a "
                        "mirror with --url",
                        url=url,
                        reason=error,
                        kept=kept,
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
                "download-refused",
                "{url}: the server answers {status} {reason}; give a mirror with --url",
                url=part.url,
                status=error.code,
                reason=error.reason,
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
            "mirror-size-wrong",
            "{url}: the file there has {bytes} bytes, where {expected} are expected; give another "
            "mirror with --url",
            url=part.url,
            bytes=total,
            expected=archive.bytes,
        )
    if archive.bytes is None and total is not None:
        require_space(part.path.parent, 2 * total - offset, archive.file)
    limit = min(total or MAX_UNKNOWN_BYTES, archive.bytes or MAX_UNKNOWN_BYTES)
    progress.update(task, total=total, completed=offset)
    size = offset
    with part.path.open("ab" if offset else "wb") as file:
        while chunk := _read(response):
            size += len(chunk)
            if size > limit:
                raise UserError(
                    "download-too-large",
                    "{url}: the file there is larger than the {limit} that are accepted; give "
                    "another mirror with --url",
                    url=part.url,
                    limit=decimal(limit),
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
