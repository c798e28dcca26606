"""Downloads from a real server on this machine: whole, resumed, refused."""

import hashlib
import io
import json
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_experiments.core.errors import UserError
from sr_experiments.data import layouts
from sr_experiments.data.__main__ import main
from sr_experiments.data.catalogue import Archive, Piece
from sr_experiments.data.fetch import disk, download
from sr_experiments.data.fetch import fetch as fetching
from sr_experiments.data.fetch.fetch import fetch_archive

SET5 = ("baby", "bird", "butterfly", "head", "woman")


@dataclass
class Server:
    """One file, and how the server misbehaves."""

    content: bytes = b""
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)  # bytes sent before each cut
    redirect: str | None = None
    asked: list[str | None] = field(default_factory=list)  # the Range header of each request
    sent: int = 0
    url: str = ""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.redirect:
                self.send_response(302)
                self.send_header("Location", state.redirect)
                self.end_headers()
                return
            tag = f'"{hashlib.sha256(state.content).hexdigest()[:8]}"'
            start = 0
            if wanted and state.ranges and self.headers.get("If-Range", tag) == tag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(state.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                last = len(state.content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
            else:
                self.send_response(200)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(state.content) - start))
            self.end_headers()
            body = state.content[start:]
            if state.cuts:
                body = body[: state.cuts.pop(0)]
            state.sent += len(body)
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}/files/"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_S", 0.0)


def image(seed: int, side: int = 40) -> bytes:
    buffer = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(*members: tarfile.TarInfo, content: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


GOOD = zipped({f"Set5/HR/{stem}.png": image(i) for i, stem in enumerate(SET5)})


def archive_of(content: bytes, file: str = "set.zip", pinned: bool = True) -> Archive:
    """A catalogue entry whose size and checksum are those of ``content``."""
    return Archive(
        file=file,
        base_url="https://nowhere.invalid/",
        bytes=len(content) if pinned else None,
        sha256=hashlib.sha256(content).hexdigest() if pinned else None,
        target="benchmark",
        top="Set5",
        gives=(Piece("Set5"),),
    )


def left_in(root: Path) -> set[str]:
    """Every file under ``root`` but the lock against a second process."""
    files = (p for p in root.rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p.relative_to(root)) for p in files}


WHOLE = {f"benchmark/Set5/HR/{stem}.png" for stem in SET5}


def test_whole_and_then_nothing_to_do(tmp_path: Path, server: Server) -> None:
    server.content = GOOD
    stale = tmp_path / "benchmark/.unpacking-set.zip/Set5/HR/baby.png"  # of a killed process
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half")
    assert fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert left_in(tmp_path) == WHOLE
    paths = layouts.find_split(tmp_path, "Set5")
    assert [path.read_bytes() for path in paths] == [image(i) for i in range(5)]
    assert not fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert len(server.asked) == 1


def test_a_cut_connection_is_resumed_where_it_was_cut(tmp_path: Path, server: Server) -> None:
    server.content, server.cuts = GOOD, [9_000, 5_000]
    assert fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert server.asked == [None, "bytes=9000-", "bytes=14000-"]
    assert server.sent == len(GOOD)  # not a byte twice
    assert left_in(tmp_path) == WHOLE


@pytest.mark.parametrize("ranges", [True, False])
def test_a_second_call_goes_on(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, ranges: bool
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    server.content, server.cuts = GOOD, [9_000]
    with pytest.raises(UserError, match=r"run the same command again to resume"):
        fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert left_in(tmp_path) == {"downloads/set.zip.part", "downloads/set.zip.part.json"}
    server.ranges = ranges  # a server that ignores the range sends all of it once more
    assert fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert server.asked == [None, "bytes=9000-"]
    assert server.sent == (len(GOOD) if ranges else len(GOOD) + 9_000)
    assert left_in(tmp_path) == WHOLE


def test_a_server_that_is_always_cut_is_given_up(tmp_path: Path, server: Server) -> None:
    server.content, server.cuts = GOOD, [0] * 99
    with pytest.raises(UserError, match=f"ended at 0 of {len(GOOD)} bytes"):
        fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert len(server.asked) == download.ATTEMPTS


def test_a_line_that_drops_often_but_moves_on_is_not_given_up(
    tmp_path: Path, server: Server
) -> None:
    server.content, server.cuts = GOOD, [1_000] * (2 * download.ATTEMPTS)
    assert fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert server.sent == len(GOOD)


@pytest.mark.parametrize(("pinned", "asked"), [(True, "bytes=9000-"), (False, None)])
def test_another_mirror_goes_on_only_where_a_checksum_watches(
    tmp_path: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    pinned: bool,
    asked: str | None,
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    archive = archive_of(GOOD, pinned=pinned)
    server.content, server.cuts = GOOD, [9_000]
    with pytest.raises(UserError):
        fetch_archive(archive, tmp_path, server.url)
    assert fetch_archive(archive, tmp_path, server.url + "mirror/")
    assert server.asked == [None, asked]


def test_two_versions_of_a_file_are_not_joined(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a checksum only the server's own mark tells that the file has changed."""
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    old = archive_of(GOOD, pinned=False)
    server.content, server.cuts = GOOD, [9_000]
    with pytest.raises(UserError):
        fetch_archive(old, tmp_path, server.url)
    server.content = zipped({f"Set5/HR/{s}.png": image(9 + i) for i, s in enumerate(SET5)})
    assert fetch_archive(old, tmp_path, server.url)
    assert (tmp_path / "benchmark/Set5/HR/baby.png").read_bytes() == image(9)


def test_a_wrong_checksum_is_caught_before_unpacking(tmp_path: Path, server: Server) -> None:
    server.content = GOOD[:-1] + b"\x01"
    with pytest.raises(UserError, match="its SHA-256 is") as caught:
        fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert hashlib.sha256(GOOD).hexdigest() in str(caught.value)
    assert left_in(tmp_path) == {"downloads/set.zip.bad"}
    server.content = GOOD  # the next call is not held up by it
    assert fetch_archive(archive_of(GOOD), tmp_path, server.url)


def test_a_wrong_size_is_caught_before_downloading(tmp_path: Path, server: Server) -> None:
    server.content = GOOD + b"x"
    with pytest.raises(UserError, match=f"has {len(GOOD) + 1} bytes, where {len(GOOD)}"):
        fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert not any(name.endswith((".part", ".zip")) for name in left_in(tmp_path))


def test_an_unpublished_checksum_is_pinned_and_said(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = archive_of(GOOD, pinned=False)
    server.content = GOOD
    fetch_archive(unknown, tmp_path, server.url)
    digest = hashlib.sha256(GOOD).hexdigest()
    lock = tmp_path / "downloads" / fetching.LOCK_FILE
    assert json.loads(lock.read_text())["set.zip"]["sha256"] == digest
    said = capsys.readouterr().out
    assert "nobody has published its checksum" in said and digest in said

    (tmp_path / "benchmark/Set5/HR/head.png").unlink()
    server.content = zipped({f"Set5/HR/{s}.png": image(9 + i) for i, s in enumerate(SET5)})
    with pytest.raises(UserError, match=r"pinned in .*checksums\.lock\.json"):
        fetch_archive(unknown, tmp_path, server.url)
    server.content = GOOD
    assert fetch_archive(unknown, tmp_path, server.url)


def test_what_was_there_stays_beside_what_comes(tmp_path: Path, server: Server) -> None:
    folder = tmp_path / "benchmark/Set5/HR"
    folder.mkdir(parents=True)
    (folder / "baby.png").write_bytes(b"broken")
    (folder / "notes.txt").write_text("mine")
    server.content = GOOD
    fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert left_in(tmp_path) == WHOLE | {"benchmark/Set5/HR/notes.txt"}
    assert (folder / "baby.png").read_bytes() == image(0)


def zip_member(name: str, mode: int = 0, content: bytes = b"x") -> bytes:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("Set5/HR/baby.png", image(0))
        archive.writestr(info, content)
    return buffer.getvalue()


def zip_that_lies() -> bytes:
    """A megabyte declared as ten bytes in every header."""
    content = zipped({"Set5/HR/baby.png": b"\0" * 1_000_000})
    return content.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return tarred(info, content=b"x")


@pytest.mark.parametrize(
    ("make", "file", "said"),
    [
        (lambda: zip_member("../outside.png"), "a.zip", "outside of its folder"),
        (lambda: zip_member("Set5/../../../outside.png"), "a.zip", "outside of its folder"),
        (lambda: zip_member("..\\outside.png"), "a.zip", "outside of its folder"),
        (lambda: zip_member("/tmp/outside.png"), "a.zip", "outside of its folder"),
        (lambda: zip_member("C:/outside.png"), "a.zip", "outside of its folder"),
        (lambda: zip_member("Set5/l", stat.S_IFLNK | 0o777, b"/"), "a.zip", "a link"),
        (lambda: zip_member("Set5/HR/baby.png/x"), "a.zip", "twice"),
        (lambda: zipped({"Set5/HR/b.png": b"\0" * 9_000_000}), "a.zip", "would unpack to more"),
        (zip_that_lies, "a.zip", "refused"),
        (lambda: GOOD[:-300], "a.zip", "not a zip"),
        (lambda: zipped({"Other/baby.png": b"x"}), "a.zip", "no folder Set5"),
        (lambda: tar_member("../outside.png"), "a.tar", "outside of its folder"),
        (lambda: tar_member("/tmp/outside.png"), "a.tar", "outside of its folder"),
        (lambda: tar_member("Set5/l", tarfile.SYMTYPE, "/"), "a.tar", "a link"),
        (lambda: tar_member("Set5/l", tarfile.LNKTYPE, "../x"), "a.tar", "a link"),
        (lambda: tar_member("Set5/d", tarfile.CHRTYPE), "a.tar", "a device"),
        (lambda: tar_member("Set5/HR/baby.png")[:600], "a.tar", "refused"),
        (lambda: b"<html>not found</html>", "a.tar", "refused"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_could_do_harm_is_refused(
    tmp_path: Path, server: Server, make: Callable[[], bytes], file: str, said: str
) -> None:
    server.content = make()
    root = tmp_path / "a" / "b" / "root"
    archive = archive_of(server.content, file)  # even if its checksum is right
    with pytest.raises(UserError, match="nothing was unpacked") as caught:
        fetch_archive(archive, root, server.url)
    assert said in str(caught.value)
    assert left_in(tmp_path) == {f"a/b/root/downloads/{file}.bad"}


def test_a_bad_download_is_not_pinned(tmp_path: Path, server: Server) -> None:
    unknown = archive_of(GOOD, pinned=False)
    server.content = b"<html>come back later</html>"
    with pytest.raises(UserError, match="refused"):
        fetch_archive(unknown, tmp_path, server.url)
    server.content = GOOD
    assert fetch_archive(unknown, tmp_path, server.url)


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/", "file:///etc/", "ftp://127.0.0.1/", "//127.0.0.1/", "DIV2K"]
)
def test_only_https_is_downloaded_from(tmp_path: Path, server: Server, url: str) -> None:
    with pytest.raises(UserError, match="only https"):
        fetch_archive(archive_of(GOOD), tmp_path, url)
    assert server.asked == [] and left_in(tmp_path) == set()


def test_a_redirection_is_held_to_the_same_rule(tmp_path: Path, server: Server) -> None:
    server.redirect = "http://192.0.2.1/set.zip"
    with pytest.raises(UserError, match=r"192\.0\.2\.1/set\.zip: only https"):
        fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert left_in(tmp_path) == set()


def test_a_full_disk_is_seen_before_the_download(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = GOOD
    usage = disk.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: usage._replace(free=9_999))
    with pytest.raises(UserError, match=r"needs .* and 10\.0 kB are free"):
        fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert server.asked == []


def test_two_at_once_are_refused(tmp_path: Path, server: Server) -> None:
    server.content = GOOD
    (tmp_path / "downloads").mkdir()
    with (
        fetching._only_one(tmp_path / "downloads"),
        pytest.raises(UserError, match="another fetch"),
    ):
        fetch_archive(archive_of(GOOD), tmp_path, server.url)
    assert fetch_archive(archive_of(GOOD), tmp_path, server.url)


def test_a_file_put_there_by_hand_is_checked_and_used(tmp_path: Path, server: Server) -> None:
    path = tmp_path / "downloads/set.zip"
    path.parent.mkdir()
    path.write_bytes(GOOD)
    assert fetch_archive(archive_of(GOOD), tmp_path, server.url, keep=True)
    assert server.asked == [] and left_in(tmp_path) == WHOLE | {"downloads/set.zip"}
    path.write_bytes(GOOD + b"x")
    other = replace(archive_of(GOOD), gives=(Piece("Set14"),))
    with pytest.raises(UserError, match="are expected"):
        fetch_archive(other, tmp_path, server.url)


def test_the_command_fetches_the_benchmark_from_a_mirror(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    members = [tarfile.TarInfo(f"benchmark/Set5/HR/{stem}.png") for stem in SET5]
    server.content = tarred(*members, content=image(0))
    command = ["fetch", "Set5", "--root", str(tmp_path / "new"), "--url", server.url]
    assert main(command) == 0
    assert "unpacked" in capsys.readouterr().out
    assert len(layouts.find_split(tmp_path / "new", "Set5")) == 5
    assert main(command) == 0
    assert "nothing to do" in capsys.readouterr().out and len(server.asked) == 1
    # DIV2K's size is known: this server's file is not it.
    assert main(["fetch", "DIV2K/valid", *command[2:]]) == 2
    printed = capsys.readouterr()
    assert "where 448993893 are expected" in printed.err and printed.err.count("\n") == 1
    assert main(["fetch", "Manga109", *command[2:]]) == 2
    assert "manga109.org" in capsys.readouterr().err
