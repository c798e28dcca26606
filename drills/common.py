"""What drills share: real processes of the suite."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def environment(runs: Path) -> dict[str, str]:
    """Variables of a process that keeps its runs in a folder and its decoded images beside it."""
    return os.environ | {
        "PYTHONPATH": str(REPOSITORY / "src"),
        "SR_RUNS": str(runs),
        "SR_CACHE": str(runs.parent / "cache"),
        "OMP_NUM_THREADS": "1",
    }


def start(words: list[str], runs: Path) -> subprocess.Popen[str]:
    """A process of the suite that trains, its output piped, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "sr_experiments", *words],
        env=environment(runs),
        cwd=runs.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def command(words: list[str], runs: Path) -> subprocess.CompletedProcess[str]:
    """The same, to its end."""
    process = start(words, runs)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
