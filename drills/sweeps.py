"""What the drills on clusters have in common: one sweep, how far its runs are, and equal bits."""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from common import end_started

from sr_experiments.runs.directory import RunDirectory

EPOCHS = 8
#: What has to be equal, byte for byte; a run of nothing to train has scores only.
FILES = ("scores.csv", "history.csv", "checkpoints/weights.safetensors")
#: One thread in every run: the order of a sum is then the same in all of them. No checkpoint is due
#: before the end: what a run goes on from was saved on request.
RUN = (
    *("budget=smoke", "logger=csv", "trainer=cpu", "trainer.threads=1", "trainer.progress=lines"),
    *("paper=null", "benchmarks.save_images=false", f"training.epochs={EPOCHS}"),
    *("training.updates_per_epoch=300", "training.checkpoint_every=1000000"),
)
SWEEP = ("-m", "+experiment=activation_sweep", *RUN)

Found = TypeVar("Found")


class DrillError(Exception):
    """Something went otherwise than it has to; the text says what."""


def say(text: str) -> None:
    """Print one line of the drill, with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def finish(process: subprocess.Popen[str], log: Path, seconds: float = 900) -> str:
    """Wait for a command; its exit code and its summary, or its last line.

    Raises:
        DrillError: it did not end in time.
    """
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise DrillError(f"no end in {seconds:.0f} s:\n{log.read_text()[-2000:]}") from None
    said = log.read_text().splitlines()
    lines = [line for line in said if " runs: " in line] or said or [""]
    return f"exit code {process.returncode}; {lines[-1].strip()}"


def until(what: str, look: Callable[[], Found | None], seconds: float = 180) -> Found:
    """Wait until there is something to be seen.

    Raises:
        DrillError: there was nothing in time.
    """
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise DrillError(f"not seen in {seconds:.0f} s: {what}")
        time.sleep(0.1)
    return found


def check(holds: bool, what: str) -> None:
    """Refuse to go on if something does not hold.

    Raises:
        DrillError: it does not hold.
    """
    if not holds:
        raise DrillError(f"it does not hold that {what}")


def runs_of(folder: Path) -> Iterator[RunDirectory]:
    """The runs that a sweep has begun."""
    for file in sorted(folder.glob("runs/*/*/status.json")):
        try:
            yield RunDirectory(file.parent, json.loads(file.read_text())["identity"])
        except (OSError, ValueError):
            continue  # it is being replaced


def state(run: RunDirectory) -> str | None:
    """What its ``status.json`` says."""
    status = run.status()
    return status.state if status else None


def epochs(run: RunDirectory) -> int:
    """How many epochs a run has behind it."""
    return len(run.history.read_text().splitlines()) - 1 if run.history.exists() else 0


def in_mid_training(
    folder: Path, where: Callable[[RunDirectory], bool] = lambda run: True
) -> RunDirectory | None:
    """A run between its second epoch and its last but two, if there is one."""
    for run in runs_of(folder):
        if state(run) == "running" and 2 <= epochs(run) <= EPOCHS - 3 and where(run):
            return run
    return None


def process_of(run: RunDirectory) -> int:
    """The process that computes a run."""
    status = run.status()
    if status is None or status.process is None:
        raise DrillError(f"{run.path}: status.json names no process")
    return status.process


def compare(reference: Path, other: Path, experiments: str = "*") -> int:
    """Compare all runs byte for byte, and say how many are equal; the exit code.

    Args:
        reference: folder of what nobody disturbed.
        other: folder of the same runs.
        experiments: only these (a pattern).
    """
    found, equal = sorted(reference.glob(f"runs/{experiments}/*/scores.csv")), 0
    for scores in found:
        name = scores.parent.relative_to(reference)
        differ = [
            file
            for file in FILES
            if (scores.parent / file).exists()
            and _bytes(other / name / file) != _bytes(scores.parent / file)
        ]
        equal += not differ
        if differ:
            say(f"{name}: {', '.join(differ)} differ")
    say(f"{equal} of {len(found)} runs bit-identical")
    return int(not found or equal < len(found))


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def carry_out(
    description: str | None, drill: Callable[[Path], int], stop: Callable[[], None] = lambda: None
) -> int:
    """A drill's command: its exit code, and no process or daemon left.

    Args:
        description: of the drill, for its help.
        drill: carries it out below a folder.
        stop: ends the daemons.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--folder", type=Path, help="keep all files there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            return drill((options.folder or Path(temporary)).resolve())
        except DrillError as error:
            say(str(error))
            return 1
        finally:
            end_started()
            stop()
