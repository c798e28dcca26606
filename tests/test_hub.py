"""An export is uploaded with its card, by the real client to a server on loopback."""

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")
OID = "1" * 40


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The calls of the Hub that an upload makes; ``.asked`` are (path, authorization, body)."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.asked.append((self.path, self.headers["Authorization"], body))
            where = f"http://127.0.0.1:{server.server_port}/someone/net"
            if self.path.endswith("/create"):
                answer: Any = {"url": where}
            elif "/preupload/" in self.path:
                paths = [file["path"] for file in json.loads(body)["files"]]
                kinds = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
                answer = {"files": [{"path": path} | kinds for path in paths]}
            else:
                answer = {"commitUrl": f"{where}/commit/{OID}", "commitOid": OID}
            self.answer(answer, server.status)

        def do_GET(self) -> None:
            self.answer({"id": "someone/net", "sha": OID}, 200)

        def answer(self, answer: Any, status: int) -> None:
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.status = [], 200
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_TOKEN": "hf_secret",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }.items():
        monkeypatch.setitem(os.environ, name, value)
    yield server
    server.shutdown()


def test_file_and_card_are_one_commit(hub: Any, cli: Any, tmp_path: Path) -> None:
    words = ["ecbsr", "net.safetensors", "--push-to-hub", "someone/net"]
    done = cli(*words, module="export", timeout=120)
    assert done.returncode == 0, done.stderr
    assert "hf_secret" not in done.stdout + done.stderr
    assert {authorization for _, authorization, _ in hub.asked} == {"Bearer hf_secret"}
    (commit,) = [body for path, _, body in hub.asked if "/commit/" in path]
    lines = [json.loads(line) for line in commit.decode().splitlines()]
    sent = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"])
        for line in lines
        if line["key"] == "file"
    }
    assert sent.keys() == {"net.safetensors", "README.md"}
    assert sent["net.safetensors"] == (tmp_path / "net.safetensors").read_bytes()
    assert sent["README.md"] == (tmp_path / "net.safetensors.md").read_bytes()


def test_a_refusal_is_one_line_and_the_file_stays(hub: Any, cli: Any, tmp_path: Path) -> None:
    hub.status = 403
    done = cli("ecbsr", "net.safetensors", "--push-to-hub", "someone/net", module="export")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --push-to-hub someone/net: not uploaded (")
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "net.safetensors").is_file()
