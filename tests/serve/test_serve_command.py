"""The command that serves the page: what it says before it serves."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from sr_experiments.serve import __main__ as serve

WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
from sr_experiments.serve.__main__ import main
raise SystemExit(main({argv!r}))
"""


def run_without(names: list[str], argv: list[str]) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(names=names, argv=argv)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_help_needs_nothing_that_is_slow() -> None:
    done = run_without(["torch", "jinja2", "uvicorn", "starlette", "av", "PIL"], ["--help"])
    assert done.returncode == 0 and "--password-file" in done.stdout
    assert "(60.0)" in done.stdout  # defaults are told


def test_without_starlette_one_line_says_what_to_install() -> None:
    done = run_without(["starlette"], ["--port", "0"])
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and "pip install 'sr_experiments[web]'" in line


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--port", "99999"], "--port: 99999"),
        (["--megabytes", "0"], "--megabytes: 0: expected an integer"),
        (["--keep-minutes", "soon"], "a number above 0"),
        (["--password-file", "{tmp}/none"], "cannot be read"),
        (["--password-file", "{tmp}/empty"], "its first line is empty"),
        (["--keep-uploads", "{tmp}/empty/x"], "cannot be written"),
        (["--model", "mine"], "expected NAME=PATH"),
        (["--model", "mine={tmp}/none"], "no such file or folder"),
        (["--work", "{tmp}/empty/x"], "cannot create a folder"),
        (["--host", "203.0.113.7"], "cannot listen there"),
        (["--share"], "unrecognized arguments"),
    ],
)
def test_a_mistake_is_one_line(
    argv: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("starlette")
    (tmp_path / "empty").touch()
    argv = [word.format(tmp=tmp_path) for word in argv]
    assert serve.main([*argv, *([] if "--port" in argv else ["--port", "0"])]) == 2
    err = capfd.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and said in err


def test_a_taken_port_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert serve.main(["--port", str(port)]) == 2
    assert f"--port {port}: cannot listen there" in capfd.readouterr().err


def test_it_serves_until_it_is_ended_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    out = (tmp_path / "out").open("w+")
    options = ["--host", "0.0.0.0", "--port", "0", "--seconds", "7"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sr_experiments.serve", *options, "--work", tmp_path / "work"],
        stdout=out,
        stderr=subprocess.STDOUT,
        cwd=tmp_path,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        end = time.monotonic() + 60
        address = None
        while address is None and time.monotonic() < end:
            time.sleep(0.1)
            address = re.search(r"http://[\d.:]+/", (tmp_path / "out").read_text())
        assert address is not None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        content = None
        while content is None and time.monotonic() < end:
            try:
                content = opener.open(address[0] + "en/", timeout=5).read()
            except OSError:
                time.sleep(0.1)
        assert content is not None and b'"megabytes": 200' in content
        speed = None
        while speed is None and time.monotonic() < end:  # PyTorch is loaded meanwhile
            time.sleep(0.1)
            speed = json.load(opener.open(address[0] + "api/jobs?lang=en", timeout=5))["speed"]
        assert re.search(r"ecbsr enlarges [\d.]+ frames of 640x360 per second by 2", str(speed))
        (folder,) = (tmp_path / "work").iterdir()
        assert folder.stat().st_mode & 0o077 == 0
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(20)
    said = (tmp_path / "out").read_text()
    assert "seconds 7" in said  # limits are told
    assert "without a password" in said  # as it is open to others
    assert "Traceback" not in said and code == 0
    assert list((tmp_path / "work").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"out", "work"}
