"""What every test may use."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from warm_process import WarmProcess

# One thread a process, set before torch is imported: the tests run in several processes, and sums
# come out the same on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
REPOSITORY = Path(__file__).resolve().parents[1]


def _research_root() -> Path | None:
    """Research images beside the repository, or where ``SR_RESEARCH`` points."""
    root = Path(os.environ.get("SR_RESEARCH", REPOSITORY.parent / "shared" / "data"))
    return root if (root / "benchmark" / "Set5").is_dir() else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """``-n auto``: one more than there are cores, as many tests wait; at most four."""
    from sr_experiments.core.device import cores

    return min(4, cores() + 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses research images, so that ``-m research`` finds it; runs of the suite first.

    They take longest, and no worker should be left with one when the others have nothing to do.
    """
    items.sort(key=lambda item: "environment" not in getattr(item, "fixturenames", ()))
    for item in items:
        if "research" in getattr(item, "fixturenames", ()):
            item.add_marker("research")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests saw research images."""
    terminalreporter.write_line(
        f"research images: {_research_root() or 'none'}; "
        f"{_seen['passed']} tests used them, {_seen['skipped']} were skipped"
    )


_seen = {"passed": 0, "failed": 0, "skipped": 0}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the tests that need research images, by outcome."""
    decided = report.when == "call" or report.outcome == "skipped"
    if decided and "research" in report.keywords:
        _seen[report.outcome] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where research images are, a test that needs them must not be skipped."""
    if _research_root() is not None and _seen["skipped"]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def research() -> Path:
    """The folder of research images; tests that need it run wherever it is."""
    root = _research_root()
    if root is None:
        pytest.skip("no research images beside the repository")
    return root


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoded images, shared by the whole session and nobody else."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def cut_photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A square out of the middle of every embedded photograph, under the same name."""
    from PIL import Image

    from sr_experiments.data.catalogue import EMBEDDED, embedded

    folder = tmp_path_factory.mktemp("photographs")
    for path in (path for split in EMBEDDED for path in embedded(split)):
        with Image.open(path) as whole:
            left, top = (side // 2 - 64 for side in whole.size)
            whole.crop((left, top, left + 128, top + 128)).save(folder / path.name)
    return folder


@pytest.fixture
def small_photographs(cut_photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of this process train on and score small images, for tests that compare no scores.

    At the smallest budget a run spends nearly all its time on scoring five whole photographs.
    """
    from sr_experiments.data import catalogue

    def small(split: str) -> list[Path]:
        return [cut_photographs / name for name in catalogue.EMBEDDED[split]]

    monkeypatch.setattr(catalogue, "embedded", small)


@pytest.fixture
def logged_records() -> Callable[[Path], list[list[dict[str, Any]]]]:
    """The records of each W&B file of a run's directory, oldest first, read by W&B itself."""

    def read(file: Path) -> list[dict[str, Any]]:
        wandb = Path(sys.executable).parent / "wandb"
        output = subprocess.run(
            [wandb, "leet", "inspect", "--json", file], capture_output=True, text=True, check=True
        ).stdout
        return [json.loads(line) for line in output.splitlines() if line.startswith("{")]

    return lambda folder: [read(f) for f in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]


Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser that is installed; none is downloaded."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser on PATH ({', '.join(BROWSERS)})")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def environment(tmp_path: Path, cache: Path) -> dict[str, str]:
    """An environment in which the suite writes nowhere but into temporary folders."""
    return os.environ | {
        "SR_RUNS": str(tmp_path / "runs"),
        "SR_REPORT": str(tmp_path / "report"),
        "SR_DATA": str(tmp_path / "data"),
        "SR_CACHE": str(cache),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
    }


@pytest.fixture
def cli(tmp_path: Path, environment: dict[str, str]) -> Cli:
    """Run ``python -m sr_experiments[.MODULE] ARGS`` in a real process and capture its output."""

    def call(
        *args: str, module: str = "", timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        name = f"sr_experiments.{module}" if module else "sr_experiments"
        return subprocess.run(
            [sys.executable, "-m", name, *args],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return call


@pytest.fixture
def warm(tmp_path: Path, environment: dict[str, str]) -> Callable[..., WarmProcess]:
    """Start ``python -m sr_experiments ARGS`` in a process of its own whose imports are done."""

    def start(*args: str, before: Callable[[], None] | None = None, **changes: Any) -> WarmProcess:
        return WarmProcess(args, tmp_path, environment | changes, before)

    return start


@pytest.fixture
def command(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """As ``cli``, but in this process, whose imports are paid for.

    For what a command computes, says and returns. What a process of its own is needed for takes
    ``warm`` (signals, several processes) or ``cli`` (starting up, what reaches a terminal).
    """

    def call(*args: str, module: str = "") -> subprocess.CompletedProcess[str]:
        # Only a folder has a `__main__`; of the others the file itself is the command.
        name = f"sr_experiments.{module}" if module else "sr_experiments"
        place = REPOSITORY.joinpath("src", *name.split("."))
        main = import_module(f"{name}.__main__" if place.is_dir() else name).main
        out, err = io.StringIO(), io.StringIO()
        with (
            monkeypatch.context() as patch,
            mock.patch.dict(os.environ, environment, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            patch.chdir(tmp_path)
            code = main(list(args))
        return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def stages_here(small_photographs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages run in this process; that each has its own is what `reproduce`'s signals show."""
    from sr_experiments.__main__ import main
    from sr_experiments.reproduce import stages

    def run_here(command: list[str]) -> int:
        assert command[:3] == [sys.executable, "-m", "sr_experiments"]
        return main(command[3:])

    monkeypatch.setattr(stages, "_run", run_here)
