"""The page under a path behind nginx, with the configuration of the README."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from web_helpers import Server, png, wait_until

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[[int, str], int]]:
    """Start nginx in front of a port with a location; returns its own port."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("no nginx is installed")
    started: list[subprocess.Popen[bytes]] = []

    def start(port: int, location: str) -> int:
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            own = free.getsockname()[1]
        folder = tmp_path / f"nginx-{own}"
        folder.mkdir()
        paths = "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;\n"
            f"events {{}}\nhttp {{ access_log off; {paths}\n"
            f"server {{ listen 127.0.0.1:{own}; {location.replace('7860', str(port))} }} }}\n"
        )
        command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", own)) == 0

        wait_until(listens)
        return own

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def of_readme() -> str:
    (location,) = re.findall(r"```nginx\n.*?\n(location .*?)```", README.read_text(), re.DOTALL)
    assert "--root-path /sr/ --trusted-proxy 127.0.0.1" in README.read_text()
    return location


def browser(port: int, origin: str) -> Any:
    httpx = pytest.importorskip("httpx")
    headers = {"Host": origin.partition("//")[2], "Origin": origin}
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, trust_env=False
    )


REWRITTEN = "location /sr/ { proxy_pass http://127.0.0.1:7860/; proxy_set_header Host $http_host;"


@pytest.mark.parametrize(
    "location",
    [
        None,
        REWRITTEN + " proxy_set_header X-Forwarded-Host $http_host; }",  # and the path removed
    ],
)
def test_the_page_works_under_a_path(
    tmp_path: Path, nginx: Callable[[int, str], int], location: str | None
) -> None:
    server = Server(tmp_path, root_path="/sr", trusted_proxies=["127.0.0.1"])
    try:
        port = nginx(server.port, location or of_readme())
        client = browser(port, "http://photos.example:8080")
        first = client.get("/sr/", headers={"Accept-Language": "ko"})
        assert first.status_code == 303
        page = client.get(first.next_request.url.path)
        assert page.status_code == 200 and page.url.path == "/sr/ko/"
        for address in re.findall(r'(?:src|href)="([^"#]+)"', page.text):
            found = client.get(page.url.join(address).path)
            assert found.status_code in (200, 303), address
            assert page.url.join(address).path.startswith("/sr/")
        upload = client.post("/sr/api/jobs?name=a.png&lang=en", content=png())
        assert upload.status_code == 201, upload.text
        job = upload.json()["id"]
        assert client.post(f"/sr/api/jobs/{job}/start", json={}).status_code < 300
        wait_until(lambda: client.get("/sr/api/jobs").json()["jobs"][0]["state"] == "done")
        assert client.get(f"/sr/files/{job}/result").headers["content-type"] == "image/png"
        # A page elsewhere still cannot send anything.
        other = client.post(
            "/sr/api/jobs?name=a.png", content=png(), headers={"Origin": "http://evil.example"}
        )
        assert other.status_code == 403
    finally:
        server.close()


def test_a_proxy_that_the_server_was_not_told_about(
    tmp_path: Path, nginx: Callable[[int, str], int]
) -> None:
    server = Server(tmp_path)
    try:
        port = nginx(server.port, REWRITTEN + " }")
        answer = browser(port, "http://photos.example").get("/sr/en/")
        assert answer.status_code == 400 and "--trusted-proxy" in answer.text
        kept = nginx(server.port, "location /sr/ { proxy_pass http://127.0.0.1:7860/; }")
        client = browser(kept, "http://photos.example")
        assert client.get("/sr/en/").status_code == 200
        answer = client.post("/sr/api/jobs?name=a.png", content=png())
        assert answer.status_code == 403 and "--trusted-proxy" in answer.text
    finally:
        server.close()


def test_forwarded_headers_of_others_are_not_believed(tmp_path: Path) -> None:
    for proxies in ([], ["10.0.0.1"]):
        server = Server(tmp_path / str(len(proxies)), trusted_proxies=proxies)
        try:
            client = server.visitor()
            headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
            assert client.get("/en/", headers=headers).status_code == 400
            headers = {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"}
            assert client.post("/api/jobs?name=a.png", headers=headers).status_code == 403
        finally:
            server.close()


def test_the_cookie_is_secure_over_https(tmp_path: Path) -> None:
    server = Server(tmp_path, trusted_proxies=["127.0.0.1"])
    try:
        forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "photos.example"}
        client = server.visitor()
        assert "Secure" in client.get("/en/", headers=forwarded).headers["set-cookie"]
        assert "Secure" not in client.get("/en/").headers["set-cookie"]
    finally:
        server.close()
