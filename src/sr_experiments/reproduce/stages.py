"""The stages of papers as processes: each is a sweep, and none can end another."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sr_experiments.core.errors import UserError
from sr_experiments.reproduce.experiments import stage_sweep
from sr_experiments.sweep import refuse_launcher

#: Seconds that an interrupted stage has to write down where it was.
_GRACE = 30.0


@dataclass
class StageRun:
    """One experiment of a paper, and how it went."""

    name: str
    jobs: int = 0
    trouble: str | None = None
    refused: UserError | None = None  # why it cannot begin
    states: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        """Jobs that have no result, whatever the reason."""
        return self.jobs - self.states["finished"] - self.states["skipped"]

    @property
    def well(self) -> bool:
        """Whether every job has its result and the process ended as it should."""
        return self.trouble is None and self.failed == 0


def ready(name: str, overrides: Sequence[str]) -> StageRun:
    """A stage before it begins, or what would keep it from beginning."""
    stage = StageRun(name)
    try:
        sweep = stage_sweep(name, overrides)
        stage.jobs = len(sweep.jobs)
        refuse_launcher(sweep.config)
    except UserError as error:
        stage.refused, stage.trouble = error, str(error).splitlines()[0]
    return stage


def carry_out(stage: StageRun, overrides: Sequence[str], runs: Path) -> None:
    """Run a stage, and read how its jobs ended from the files that they leave."""
    folder = f".multirun/{time.strftime('%Y-%m-%d_%H-%M-%S')}-{os.getpid()}-{stage.name}"
    own = [f"+experiment={stage.name}", "paper=null"]  # one report is written, at the very end
    own += [f"hydra.sweep.dir=${{paths.runs}}/{folder}"]
    sys.stdout.flush()
    began = time.monotonic()
    code = _run([sys.executable, "-m", "sr_experiments", "-m", *own, *overrides])
    stage.seconds = time.monotonic() - began
    for file in (runs / folder).glob("job_*.json"):
        stage.states[json.loads(file.read_text())["state"]] += 1
    if code < 0:
        stage.trouble = f"its process was ended by signal {signal.Signals(-code).name}"
    elif code and stage.failed == 0:
        stage.trouble = f"its process ended with exit code {code}"


def _run(command: Sequence[str]) -> int:
    """Run a process in a session of its own, so that Ctrl-C reaches it once, through this one."""
    # As Ctrl-C, so that no stage is left behind.
    before = {end: signal.signal(end, _interrupt) for end in (signal.SIGTERM, signal.SIGHUP)}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        _stop(process)
        raise
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt a stage and its workers, and see that none is left."""
    deadline = time.monotonic() + _GRACE
    try:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(_GRACE)
        while time.monotonic() < deadline:  # workers that still write down where they were
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    except (ProcessLookupError, subprocess.TimeoutExpired, KeyboardInterrupt):
        pass  # gone, too slow, or the user does not want to wait
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
