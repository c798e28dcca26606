"""What the server answers, whoever asks: also to what no page of ours would send."""

import base64
import re
import socket
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from web_helpers import Server, photograph, png, wait_until, write_clip

from sr_experiments.serve.limits import Limits


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def constant_png(width: int, height: int, extra: bytes = b"") -> bytes:
    """A valid PNG of one grey, a few hundred kilobytes however large."""
    packer = zlib.compressobj(1)
    row = b"\0" + bytes(width)
    rows = b"".join(packer.compress(row * 100) for _ in range(height // 100)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )  # fmt: skip


def post(visitor: Any, name: str, content: bytes, path: str = "/api/jobs", **more: Any) -> Any:
    return visitor.post(path, params={"name": name, "lang": "en"}, content=content, **more)


def listed(visitor: Any) -> list[dict[str, Any]]:
    return visitor.get("/api/jobs", params={"lang": "en"}).json()["jobs"]


def finished(visitor: Any) -> list[dict[str, Any]]:
    def ended() -> list[dict[str, Any]]:
        jobs = listed(visitor)
        return jobs if all(j["state"] in ("done", "failed", "cancelled") for j in jobs) else []

    return wait_until(ended)


def test_200_megapixels_are_refused_by_the_header_alone(server: Server) -> None:
    visitor = server.visitor()
    content = constant_png(20_000, 10_000)
    assert len(content) < 1_000_000
    before = server.folders()
    answer = post(visitor, "huge.png", content)
    assert answer.status_code == 400
    assert answer.json()["error"] == "huge.png: larger than the limit of 24 megapixels."
    assert listed(visitor) == [] and server.folders() == before


def test_bombs_in_a_small_image_fail_alone_and_the_next_file_works(server: Server) -> None:
    visitor = server.visitor()
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9))
    bomb = post(visitor, "bomb.png", constant_png(100, 100, text))
    short = post(visitor, "short.png", constant_png(4000, 4000)[:900])
    good = post(visitor, "good.png", png())
    for answer in (bomb, short, good):
        if answer.status_code == 201:
            visitor.post(f"/api/jobs/{answer.json()['id']}/start", json={})
    found = {job["name"]: job for job in finished(visitor)}
    assert found["good.png"]["state"] == "done"
    assert found["short.png"]["failure"].startswith("short.png: the image is damaged")
    assert found["bomb.png"]["state"] == "done"  # its text is left out, unpacked to 1 MiB only


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("notes.mp4", b"this is a text file\n" * 50, "the video is damaged"),
        ("notes.mkv", b"#EXTM3U\nhttp://127.0.0.1:9/x\n", "the video is damaged"),
        ("notes.png", b"this is a text file", "the image is damaged"),
        ("page.png", b"<script>alert(1)</script>", "the image is damaged"),
        ("drawing.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n", "the image is damaged"),
        ("empty.gif", b"", "the file is empty"),
        ("../../x", png(), "not supported"),
        ("x.svg", b"<svg/>", "not supported"),
    ],
)
def test_what_is_not_taken_is_told(server: Server, name: str, content: bytes, said: str) -> None:
    visitor, before = server.visitor(), server.folders()
    answer = post(visitor, name, content)
    assert answer.status_code == 400 and said in answer.json()["error"]
    korean = visitor.post("/api/jobs", params={"name": name, "lang": "ko"}, content=content)
    assert re.search("[가-힣]", korean.json()["error"])
    assert listed(visitor) == [] and server.folders() == before


def test_a_video_cut_short_is_named_as_such(server: Server, tmp_path: Path) -> None:
    visitor = server.visitor()
    whole = write_clip(tmp_path / "clip.mp4").read_bytes()
    answer = post(visitor, "clip.mp4", whole[: len(whole) // 2])
    assert "cut short" in answer.json()["error"]


@pytest.mark.parametrize("name", ["../../../../tmp/x.png", "n" * 300 + ".png", "a/b\\..\\c.png"])
def test_names_are_never_paths(server: Server, name: str) -> None:
    visitor, before = server.visitor(), server.folders()
    job = post(visitor, name, png()).json()
    assert len(job["name"]) <= 80 and not set("/\\") & set(job["name"])
    (new,) = server.folders() - before
    folder = server.storage.root / new
    assert [path.name for path in folder.iterdir()] == ["source.png"]
    visitor.post(f"/api/jobs/{job['id']}/start", json={})
    (job,) = finished(visitor)
    answer = visitor.get(f"/files/{job['id']}/result")
    assert answer.status_code == 200
    assert "/" not in answer.headers["content-disposition"].replace("utf-8''", "")
    assert visitor.delete(f"/api/jobs/{job['id']}").status_code == 204
    assert server.folders() == before


def test_of_fifty_uploads_at_once_the_allowed_are_taken_and_the_others_told(
    server: Server,
) -> None:
    visitor = server.visitor()
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda n: post(visitor, f"{n}.png", png()), range(50)))
    taken = [answer for answer in answers if answer.status_code == 201]
    assert len(taken) == 20
    assert {a.status_code for a in answers} == {201, 429}
    assert all("you have 20 files" in a.json()["error"] for a in answers if a.status_code == 429)
    assert len(listed(visitor)) == 20
    for answer in taken:
        visitor.delete(f"/api/jobs/{answer.json()['id']}")
    assert post(visitor, "again.png", png()).status_code == 201


def test_too_many_bytes_are_refused_announced_or_not(tmp_path: Path) -> None:
    small = Server(tmp_path, limits=Limits(megabytes=1))
    try:
        visitor = small.visitor()
        content = bytes(3_000_000)

        def pieces() -> Any:  # sent without a length
            yield from (content[:100_000] for _ in range(30))

        for body in (content, pieces()):
            answer = post(visitor, "big.png", body)
            assert answer.status_code == 413
            assert answer.json()["error"] == "big.png: the file is larger than the limit of 1 MB."
        assert small.folders() == set()
    finally:
        small.close()


def test_a_connection_cut_in_an_upload_leaves_nothing_and_its_place_is_free(
    server: Server,
) -> None:
    visitor = server.visitor()
    before = server.folders()
    cookie = f"sr_visitor={visitor.cookies['sr_visitor']}"
    for _ in range(25):  # more than a visitor has places
        raw = socket.create_connection(("127.0.0.1", server.port))
        raw.sendall(
            f"POST /api/jobs?name=a.png HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n"
            "Content-Length: 1000000\r\n\r\n".encode()
            + bytes(50_000)
        )
        raw.close()
    wait_until(lambda: server.folders() == before)
    assert wait_until(lambda: post(visitor, "b.png", png()).status_code == 201)


def test_an_upload_that_stands_still_is_ended(tmp_path: Path) -> None:
    patient = Server(tmp_path, limits=Limits(idle_seconds=0.2))
    try:
        raw = socket.create_connection(("127.0.0.1", patient.port))
        raw.sendall(
            b"POST /api/jobs?name=a.png&lang=en HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Length: 1000\r\n\r\nabc"
        )
        wait_until(lambda: len(patient.folders()) == 1, 5)
        wait_until(lambda: not patient.folders(), 5)
        raw.close()
    finally:
        patient.close()


def test_a_full_disk_is_told_and_the_page_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor, before = server.visitor(), server.folders()

    async def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("sr_experiments.serve.routes.save_body", full)
        answer = post(visitor, "a.png", png())
    assert answer.status_code == 507 and "disk is full" in answer.json()["error"]
    assert server.folders() == before
    assert post(visitor, "a.png", png()).status_code == 201


def test_a_visitor_sees_and_changes_her_own_files_only(server: Server) -> None:
    ann, bob = server.visitor(), server.visitor()
    job = post(ann, "mine.png", png()).json()["id"]
    assert listed(bob) == []
    for answer in (
        bob.get(f"/files/{job}/source"),
        bob.get(f"/files/{job}/result"),
        bob.delete(f"/api/jobs/{job}"),
        bob.post(f"/api/jobs/{job}/start", json={}),
        post(bob, "hr.png", png(), f"/api/jobs/{job}/reference"),
    ):
        assert answer.status_code == 404 and "no longer here" in answer.json()["error"]
    source = ann.get(f"/files/{job}/source")
    assert source.content == png() and source.headers["x-content-type-options"] == "nosniff"
    assert [j["state"] for j in listed(ann)] == ["ready"]


def test_the_original_may_come_after_the_result(server: Server) -> None:
    visitor = server.visitor()
    job = post(visitor, "a.png", png()).json()["id"]
    visitor.post(f"/api/jobs/{job}/start", json={"scale": "3"})
    finished(visitor)
    right = png(photograph(120, 156))
    for name, content, said in (
        ("wrong.png", png(), "the original has 52x40 pixels and the result 156x120"),
        ("text.png", b"text", "the image is damaged"),
        ("film.mp4", b"text", "not supported"),
    ):
        answer = post(visitor, name, content, f"/api/jobs/{job}/reference")
        told = answer.json().get("error")
        if told is None:
            told = wait_until(lambda: listed(visitor)[0]["reference_failure"])
        assert said in told
    post(visitor, "right.png", right, f"/api/jobs/{job}/reference")
    measured = wait_until(lambda: listed(visitor)[0]["scores"])
    assert measured["protocol"] == "y"
    assert re.fullmatch(r"\d+\.\d\d dB, 0\.\d{4}", measured["network"])


@pytest.mark.parametrize(
    "path",
    [
        "/xx/",
        "/docs",
        "/openapi.json",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/templates/page.html",
        "/files/x/../../../etc/passwd",
        "/static/../../../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    ],
)
def test_nothing_else_is_served(server: Server, path: str) -> None:
    raw = socket.create_connection(("127.0.0.1", server.port))
    raw.settimeout(10)
    raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = b"".join(iter(lambda: raw.recv(65536), b""))
    raw.close()
    assert answer.startswith(b"HTTP/1.1 404") and b"root:" not in answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 400),
    ],
)
def test_pages_elsewhere_cannot_use_the_server(
    server: Server, headers: dict[str, str], status: int
) -> None:
    headers = {key: value.format(port=server.port) for key, value in headers.items()}
    answer = post(server.visitor(), "a.png", png(), headers=headers)
    assert answer.status_code == status


def test_with_a_password_nothing_is_served_without_it(tmp_path: Path) -> None:
    closed = Server(tmp_path, password="열려라 sesame", any_host=True)
    try:
        stranger = closed.visitor()
        for path in ("/en/", "/api/jobs"):
            assert stranger.get(path).status_code == 401
        wrong = closed.visitor(auth=("x", "sesame"))
        assert wrong.get("/en/").status_code == 401
        word = base64.b64encode("me:열려라 sesame".encode()).decode()
        right = closed.visitor(headers={"Authorization": f"Basic {word}", "Host": "lab:80"})
        assert right.get("/en/").status_code == 200
    finally:
        closed.close()


def test_a_page_that_is_open_while_another_uploads_slowly_is_answered(server: Server) -> None:
    visitor, release = server.visitor(), threading.Event()

    def slowly() -> Any:
        yield png()[:100]
        release.wait(10)
        yield png()[100:]

    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(post, visitor, "slow.png", slowly())
        assert listed(server.visitor()) == []
        assert not upload.done()
        release.set()
        assert upload.result().status_code == 201


@pytest.mark.parametrize(
    ("header", "asked", "page"),
    [
        ("ko-KR,ko;q=0.9,en;q=0.8", "", "ko/"),
        ("xx-XX,xx;q=0.9,en;q=0.8,ko;q=0.3", "", "en/"),
        ("fr", "", "en/"),
        ("en-US", "ko", "ko/"),
        ("ko;q=0,en;q=bad,,,", "", "en/"),
    ],
)
def test_the_language_is_the_browsers_unless_one_is_chosen(
    server: Server, header: str, asked: str, page: str
) -> None:
    visitor = server.visitor(headers={"Accept-Language": header})
    answer = visitor.get("/", params={"lang": asked} if asked else {})
    assert answer.headers["location"] == page
    if asked:  # and it stays chosen
        assert visitor.get("/").headers["location"] == page


def test_a_file_that_was_deleted_is_not_found(server: Server) -> None:
    visitor = server.visitor()
    job = post(visitor, "a.png", png(photograph(8, 8))).json()
    (server.storage.root / job["id"] / "source.png").unlink()
    assert visitor.get(f"/files/{job['id']}/source").status_code == 404


def test_the_page_allows_its_own_files_only(server: Server) -> None:
    answer = server.visitor().get("/ko/")
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
    assert "unsafe" not in str(policy)
    # Nothing inline that the policy would have to allow.
    assert not re.search(
        r"<style|\sstyle=|\son\w+=|<script(?! type=\"application/json\"| [^>]*src=)", answer.text
    )
