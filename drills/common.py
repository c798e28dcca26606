"""What drills share: real processes of the suite."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

_started: list[subprocess.Popen[str]] = []


def places(folder: Path) -> dict[str, str]:
    """The variables with which the suite writes all inside a folder."""
    names = {"SR_RUNS": "runs", "SR_REPORT": "report", "SR_DATA": "data", "SR_CACHE": "cache"}
    return {name: str((folder / place).resolve()) for name, place in names.items()}


def start(words: Sequence[str], folder: Path, log: Path | None = None) -> subprocess.Popen[str]:
    """Start ``python -m sr_experiments``, in a session of its own and on one thread.

    Args:
        words: the arguments.
        folder: for all that it writes; made where it is missing.
        log: takes its output; else that is piped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    variables = {
        "PYTHONPATH": str(REPOSITORY / "src"),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
    }
    with log.open("wb") if log else nullcontext() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sr_experiments", *words],
            env=os.environ | places(folder) | variables,
            cwd=folder,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.STDOUT if output else subprocess.PIPE,
            start_new_session=True,
        )
    _started.append(process)
    return process


def command(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The same, to its end."""
    process = start(words, folder)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def end_started() -> None:
    """End the processes that a drill which failed has left."""
    for process in _started:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
