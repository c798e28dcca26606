"""Several processes for one run: who leads, who helps, and how all of them end.

The process that the user called leads: it holds the lock and writes status and results. It starts
its helpers itself and tells them which run to compute in a file, so that nobody repeats the command
line; that is why a distributed run works inside a sweep, too. Where SLURM or torchrun has started
the processes already, those of rank above 0 wait until the leader says what to compute.

Not Lightning's launchers: one repeats the command line, which in a sweep is that of all runs, and
kills the leader, which then cannot say why; the other pickles the trainer. Not
``torch.multiprocessing.spawn``: it passes an exception on as text, without an error's code, and
only interrupts orphans, which does not end a collective operation.

Nothing here imports torch before there is something to compute.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from sr_experiments.core.device import cores
from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.runs.launch import HELPER_RANK, outside_start, rank, started_outside

if TYPE_CHECKING:
    from sr_experiments.runs.plan import Plan

_GRACE = 15.0  # seconds in which the others should notice by themselves that one has failed
_turn = 0  # how many messages of the leader this process has written or read


@dataclass(frozen=True)
class Task:
    """What a helper has to know: a run's config as JSON, and the identity it must lead to."""

    config: str
    identity: str

    @classmethod
    def of(cls, plan: "Plan") -> "Task":
        """The task of a planned run."""
        return cls(plan.config.model_dump_json(), plan.identity)


#: Computes a run as one of several processes.
Compute = Callable[[Task], None]


class Team:
    """The processes of one run, from before the trainer is made until all have ended.

    Args:
        plan: what is computed.
    """

    def __init__(self, plan: "Plan") -> None:
        trainer = plan.config.trainer
        self.plan = plan
        self.alone = not trainer.is_distributed
        self.leads, self.outside = rank() == 0, started_outside()
        self.helpers: list[subprocess.Popen[bytes]] = []
        self.folder = Path()
        self._afterwards = ExitStack()
        self._over = threading.Event()
        if self.outside and self.alone:
            raise UserError(
                "several-tasks-one-device",
                "several tasks were started for trainer.devices=1: start one task, or set "
                "trainer=ddp and trainer.devices to the tasks of a node",
            )
        if not self.outside and trainer.num_nodes != 1:
            raise UserError(
                "nodes-without-launcher",
                "trainer.num_nodes={num_nodes}: processes on other nodes are started by SLURM "
                "(hydra/launcher=slurm) or torchrun",
                num_nodes=trainer.num_nodes,
            )

    def __enter__(self) -> "Team":
        """Make ready for a trainer to be built."""
        if self.alone or not self.leads:
            return self
        if self.outside:
            self.folder = _meeting(self.plan.runs)
            _tell(self.folder, Task.of(self.plan))
        else:
            folder = tempfile.TemporaryDirectory(prefix="sr-team-", ignore_cleanup_errors=True)
            self.folder = Path(self._afterwards.enter_context(folder))
            # So Lightning joins the processes that stand ready instead of starting its own.
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
            place = {"NODE_RANK": "0", "LOCAL_RANK": "0"}
            self._afterwards.enter_context(_environment(address | place))
        return self

    def gather(self, processes: int) -> int | None:
        """Start the helpers and watch them.

        Args:
            processes: of the run on this node, the leader included.

        Returns:
            CPU threads for this process; ``None`` leaves it to PyTorch.
        """
        if self.leads and not self.alone:
            self._start(processes)
        threads = self._threads(processes)
        if threads is not None and not self.alone:
            # Without it Lightning sets another number when a distributed training begins.
            self._afterwards.enter_context(_environment({"OMP_NUM_THREADS": str(threads)}))
        return threads

    def _threads(self, processes: int) -> int | None:
        threads = self.plan.config.trainer.threads
        if threads is not None or "OMP_NUM_THREADS" in os.environ:  # joblib and Ray set the latter
            return threads
        if "SLURM_CPUS_PER_TASK" in os.environ and self.outside:
            return cores()
        if "SLURM_CPUS_PER_TASK" in os.environ or processes > 1:
            return max(1, cores() // processes)
        return None

    def _start(self, processes: int) -> None:
        if not self.outside:
            task = self.folder / "task.json"
            task.write_text(json.dumps(asdict(Task.of(self.plan))))
            command = [sys.executable, "-m", "sr_experiments.runs.helper", str(task)]
            for number in range(1, processes):
                ranks = {"LOCAL_RANK": str(number), HELPER_RANK: str(number)}
                with (self.folder / f"log-{number}").open("wb") as log:
                    helper = subprocess.Popen(
                        command,
                        env=os.environ | ranks,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=log,
                    )
                self.helpers.append(helper)
        threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all processes.

        Raises:
            UserError: a helper's, if that is why the leader failed.
            RuntimeError: a helper met a defect; the text holds its traceback.
        """
        if self.alone or not self.leads:
            self._afterwards.close()
            return
        self._over.set()
        trouble = self._trouble() if isinstance(error, Exception) else None
        with self._afterwards:
            if error is not None and self.outside:
                (self.folder / "abort").touch()
            self._end_helpers(0 if error is not None else _GRACE)
            self._leave()
        if trouble is not None and not isinstance(error, UserError):
            raise trouble from error

    def _leave(self) -> None:
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized() and not self.outside:
            dist.destroy_process_group()

    def _end_helpers(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        for helper in self.helpers:
            try:
                helper.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                helper.kill()  # SIGTERM does not reach a process in a collective operation
                helper.wait()

    def _watch(self) -> None:
        """End a leader that waits in a collective operation for a helper that is gone."""
        while not self._over.wait(1.0):
            trouble = self._trouble()
            if trouble is None or self._over.wait(_GRACE):
                continue
            line, details = _first_line(trouble), str(trouble)
            self.plan.directory.end("failed", line, details)
            sys.stderr.write(f"error: {line}\n")
            sys.stderr.flush()
            self._end_helpers(0)
            os._exit(1)

    def _trouble(self) -> UserError | RuntimeError | None:
        """Why a helper failed, if one did."""
        for file in sorted(self.folder.glob("failed-*")):
            report = json.loads(file.read_text())
            if report["user"]:
                return UserError("process-failed", "{reason}", reason=report["line"])
            return RuntimeError(f"process {report['rank']}: {report['line']}\n{report['trace']}")
        for number, helper in enumerate(self.helpers, 1):
            code = helper.poll()
            if code:
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                log = (self.folder / f"log-{number}").read_text(errors="replace").strip()
                said = f": {log.splitlines()[-1]}" if log else ""
                return UserError(
                    "process-ended",
                    "process {number} of this distributed run ended ({how}{said}); the same "
                    "command resumes from the last checkpoint",
                    number=number,
                    how=how,
                    said=said,
                )
        return None


def assist(runs: Path, compute: Compute) -> None:
    """A process that SLURM or torchrun started does what the leader says, until it says no more.

    Args:
        runs: root of the run directories, which all processes see.
        compute: what a helper does with a task.
    """
    global _turn
    folder = _meeting(runs)
    while True:
        message = folder / f"{_turn:04d}"
        while not message.exists():
            time.sleep(0.2)
        _turn += 1
        said = json.loads(message.read_text())
        if said is None or not help_leader(Task(**said), folder, compute):
            return


def dismiss(runs: Path) -> None:
    """Tell processes that were started outside that a run has ended."""
    if started_outside() and rank() == 0:
        _tell(_meeting(runs), None)


def _meeting(runs: Path) -> Path:
    outside = outside_start()
    if outside is None:
        raise RuntimeError("the leader starts its helpers itself")
    folder = runs / ".locks" / outside[1]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _tell(folder: Path, task: Task | None) -> None:
    global _turn
    with atomic_write(folder / f"{_turn:04d}") as temporary:
        temporary.write_text(json.dumps(asdict(task) if task else None))
    _turn += 1


def help_leader(task: Task, folder: Path, compute: Compute) -> bool:
    """Compute as a helper; a failure is told to the leader, who tells the user.

    Args:
        task: what to compute.
        folder: in which leader and helpers write messages to each other.
        compute: computes it.

    Returns:
        Whether all went well.
    """
    over = threading.Event()
    threading.Thread(target=_leave_with_leader, args=(folder, over), daemon=True).start()
    try:
        compute(task)
    except Exception as error:
        report = {
            "rank": rank(),
            "user": isinstance(error, UserError),
            "line": _first_line(error),
            "trace": traceback.format_exc(),
        }
        with atomic_write(folder / f"failed-{rank()}") as temporary:
            temporary.write_text(json.dumps(report))
        return False
    finally:
        over.set()
    return True


def _leave_with_leader(folder: Path, over: threading.Event) -> None:
    """End this process when the leader is gone, wherever its main thread waits."""
    parent = os.getppid()
    while not over.wait(1.0):
        if os.getppid() != parent:
            os._exit(1)
        if (folder / "abort").exists() and not over.wait(_GRACE):
            os._exit(0)


def _first_line(error: BaseException) -> str:
    name = "" if isinstance(error, UserError | RuntimeError) else f"{type(error).__name__}: "
    return f"{name}{error}".splitlines()[0]


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
