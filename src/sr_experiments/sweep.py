"""Several runs of one command: what is refused, how each job ended, and the tables at the end."""

import csv
import hashlib
import json
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from sr_experiments.config.compose import SweepConfig, compose_job, config_search_path
from sr_experiments.config.messages import launcher_missing
from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.core.interruption import (
    INTERRUPTION,
    REQUEUE,
    Preempted,
    end_all,
    end_with_parent,
    interruptible,
)
from sr_experiments.runs.launch import check_tasks, rank
from sr_experiments.runs.run import run

# Our joblib.yaml and ray.yaml bear the names of the plugins' own schemas; Hydra warns about it in
# every process. Here, because the workers import this file before they compose.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated")

#: Launchers that run several jobs on this machine at a time.
_SIDE_BY_SIDE = ("Joblib", "Ray")
#: Seconds between two questions to SLURM whether a job has ended.
_ASK_SLURM = 10.0
#: What a launcher imports only when its first job starts.
_NEEDS = {"JoblibLauncher": "joblib", "SlurmLauncher": "submitit", "RayLauncher": "ray"}


@dataclass(frozen=True)
class JobRecord:
    """How one job of a sweep ended; kept as a small file, whatever process it ran in.

    ``process`` is the number of the sweep's worker that it runs in, if it has workers.
    """

    number: int
    overrides: list[str]
    state: str
    directory: str | None = None
    error: str | None = None
    seconds: float = 0.0
    process: int | None = None


def sweep(config: SweepConfig, console: Console) -> int:
    """Carry out a sweep with Hydra's launcher, and sum it up.

    Returns:
        The command's exit code: 1 if any job failed.

    Raises:
        UserError: the sweep cannot begin.
    """
    refuse_launcher(config.config)
    folder = Path(str(config.config.hydra.sweep.dir))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            "sweep-folder",
            "hydra.sweep.dir={folder}: cannot be made ({reason})",
            folder=folder,
            reason=error.strerror or error,
        ) from None
    # Hydra names the folder by the time at which it is asked; here it was asked already.
    overrides = [*config.overrides, f"hydra.sweep.dir='{folder}'", "hydra.mode=MULTIRUN"]
    trouble = None
    with config_search_path(), interruptible():
        INTERRUPTION.prepare = partial(_end_workers, folder)
        if str(config.config.hydra.launcher._target_).endswith("JoblibLauncher"):
            _workers_end_with_us()
        try:
            GlobalHydra.instance().hydra.multirun("config", job, overrides)  # type: ignore[union-attr]
        except Exception as error:
            if not any(folder.iterdir()):  # refused before the first job
                raise
            trouble = error  # a job's process was killed: the summary says what is missing
        finally:
            INTERRUPTION.prepare = None
    return conclude(config.config, folder, console, trouble)


def refuse_launcher(config: DictConfig) -> None:
    """Check that a sweep's launcher can carry its trainer.

    Raises:
        UserError: a launcher that is not installed, a distributed trainer under one that runs jobs
            side by side, or SLURM tasks that do not fit the trainer.
    """
    module, launcher = str(config.hydra.launcher._target_).rsplit(".", 1)
    name = launcher.removesuffix("Launcher").lower()
    for needed in (module, _NEEDS.get(launcher, "sys")):
        try:
            import_module(needed)
        except ImportError:
            raise launcher_missing(name) from None
    trainer = config.trainer
    distributed = trainer.strategy != "auto" or str(trainer.devices) != "1"
    if distributed and launcher.startswith(_SIDE_BY_SIDE):
        raise UserError(
            "launcher-shares-devices",
            "trainer.devices={devices}, trainer.strategy={strategy} with hydra/launcher={launcher}:"
            " runs side by side would share their devices; use hydra/launcher=basic (one run after "
            "another, each on all devices) or hydra/launcher=slurm, or give each run one device "
            "(trainer=cpu or trainer=gpu)",
            devices=trainer.devices,
            strategy=trainer.strategy,
            launcher=name,
        )
    if launcher.startswith("Slurm"):
        slurm = config.hydra.launcher
        tasks = int(slurm.tasks_per_node)
        check_tasks(trainer.devices, trainer.num_nodes, slurm.nodes, tasks)


def job(_: DictConfig) -> None:
    """One job of a sweep, called by Hydra. A failure is written down and the sweep continues."""
    if rank() > 0:  # the first process tells the user, and writes everything down
        with suppress(UserError):
            run(compose_job())
        return
    folder = Path(str(HydraConfig.get().sweep.dir))
    number, overrides = int(HydraConfig.get().job.num), list(HydraConfig.get().overrides.task)
    record = JobRecord(number, overrides, "died", process=os.getpid() if _worker.is_set() else None)
    try:
        with interruptible():
            _run_and_record(folder, record)
    except (KeyboardInterrupt, SystemExit) as end:
        why = str(end) if isinstance(end, Preempted) else None
        _write(folder, replace(record, state="interrupted", error=why))
        if _worker.is_set():
            _await_other_workers(folder)
            os._exit(REQUEUE)  # else the worker would begin the next job
        raise


def _run_and_record(folder: Path, record: JobRecord) -> None:
    began = time.monotonic()
    _write(folder, record)  # what stays if the process is killed
    try:
        outcome = run(compose_job())
        record = replace(record, state=outcome.state, directory=str(outcome.directory))
    except UserError as error:
        record = replace(record, state="failed", error=str(error))
    except Exception as error:
        # A defect, not a user's mistake: its traceback is shown, and the other jobs still run.
        traceback.print_exc()
        record = replace(record, state="failed", error=f"{type(error).__name__}: {error}")
    if record.error:
        Console(stderr=True).print(f"  failed: {record.error}", highlight=False, markup=False)
    _write(folder, replace(record, seconds=time.monotonic() - began))


#: Set in a worker of joblib.
_worker = threading.Event()


def _begin_worker(sweep: int) -> None:
    _worker.set()

    def between_jobs(*_: object) -> None:
        if os.getppid() != sweep:
            os._exit(REQUEUE)

    # A worker with nothing to save would end first, and joblib then kills those that save.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as for a shell's background job
            signal.signal(number, between_jobs)
    end_with_parent(sweep)


def _workers_end_with_us() -> None:
    """Let joblib's workers watch this process from their start.

    A worker that waits for its next job when this process is killed would stay for five minutes.
    The launcher cannot pass an initialiser on.
    """
    from hydra_plugins.hydra_joblib_launcher import _core
    from joblib import Parallel

    begin = {"initializer": _begin_worker, "initargs": (os.getpid(),)}
    _core.Parallel = partial(Parallel, **begin)


def _end_workers(folder: Path) -> None:
    """Let jobs in other processes of this machine save; joblib would kill them."""
    end_all(_under_way(folder))


def _await_other_workers(folder: Path, patience: float = 20.0) -> None:
    """Let the others save too: joblib kills all workers as soon as one has ended.

    For 20 seconds: if this worker alone was asked to end, the others train on.
    """
    deadline = time.monotonic() + patience
    while set(_under_way(folder)) - {os.getpid()} and time.monotonic() < deadline:
        time.sleep(0.1)


def _under_way(folder: Path) -> list[int]:
    """The workers that have neither finished their jobs nor saved them."""
    return [job.process for job in _read(folder) if job.process and job.state == "died"]


def conclude(
    config: DictConfig, folder: Path, console: Console, trouble: Exception | None = None
) -> int:
    """Summarise a sweep and write its paper's tables.

    Args:
        config: of the sweep.
        folder: of its jobs' records.
        console: where the summary is printed.
        trouble: what made the launcher give up; jobs that run elsewhere are waited for.

    Returns:
        The command's exit code: 1 if any job failed.
    """
    if trouble is not None:
        _await_slurm(folder)
    jobs = _read(folder)
    failed = [job for job in jobs if job.state not in ("finished", "skipped")]
    count = {state: sum(job.state == state for job in jobs) for state in ("finished", "skipped")}
    if failed:
        table = Table("job", "overrides", "state", "why", title="Runs without a result")
        for job in failed:
            why = job.error or "the process was ended from outside (killed, or out of memory)"
            own = [o for o in job.overrides if not all(o in other.overrides for other in jobs)]
            table.add_row(str(job.number), " ".join(own or job.overrides), job.state, why)
        console.print(table)
    console.print(
        f"{len(jobs)} runs: {count['finished']} computed, {count['skipped']} already there, "
        f"{len(failed)} failed",
        highlight=False,
    )
    if trouble is not None:
        reason = f"{type(trouble).__name__}: {trouble}".splitlines()[0]
        console.print(
            f"the launcher gave up ({reason}); the same command computes what is missing",
            highlight=False,
            markup=False,
        )
    if config.paper and len(failed) < len(jobs):
        from sr_experiments.report.write import write_report

        runs, out = Path(config.paths.runs), Path(config.paths.report)
        written = write_report(config.paper, runs, out, console, shown=config.budget.name)
        _show_tables(config, folder, [path for path in written if path.suffix == ".csv"])
    return 1 if failed or trouble or not jobs else 0


def _show_tables(config: DictConfig, folder: Path, files: Sequence[Path]) -> None:
    """Close a sweep on a dashboard with its paper's table and verdicts."""
    node: Any = OmegaConf.to_container(config.logger, resolve=True) if config.logger else {}
    if not str(node.get("_target_")).endswith("wandb_logger"):
        return
    from sr_experiments.config.instantiate import build

    name = f"{config.paper} {config.budget.name}"
    words = {"paper": config.paper, "budget": config.budget.name}
    logger = build(node, "logger")(
        directory=folder,
        identity=hashlib.sha256(f"{config.name} {name}".encode()).hexdigest(),
        name=f"report {name}",
        group=config.name,
        tags=list(words.values()),
        job_type="report",
        config=words,
    )
    for file in files:
        key = "verdicts" if file.stem.endswith("_claims") else "table"
        with file.open(newline="") as text:
            header, *lines = csv.reader(text)
        logger.log_rows(key, header, [[_number(cell) for cell in line] for line in lines])
    logger.close(failed=False)


def _number(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell


def refuse_combined_experiments(arguments: Sequence[str]) -> None:
    """``+experiment=a,b`` would silently drop the sweeps of both files.

    Raises:
        UserError: always in that case.
    """
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key.lstrip("+") == "experiment" and "," in value:
            first, second = value.split(",")[:2]
            raise UserError(
                "experiments-combined",
                "{argument}: each experiment brings its own sweep and cannot be joined; run "
                "+experiment={first} and then +experiment={second}",
                argument=argument,
                first=first,
                second=second,
            )


def _await_slurm(folder: Path) -> None:
    """One job that dies makes submitit give up on all; the others still run."""
    # Not each folder: that of an array itself holds no job, and SLURM knows no state of it.
    submitted = sorted((folder / ".submitit").glob("*/*_submitted.pkl"))
    if not submitted:
        return
    from submitit import SlurmJob

    for file in submitted:
        waited: SlurmJob[object] = SlurmJob(file.parent, file.parent.name)
        # Its own wait asks SLURM after 2, 4, 8, ... s, up to ten minutes after a job has ended.
        while not waited.done(force_check=True):
            time.sleep(_ASK_SLURM)


def _write(folder: Path, record: JobRecord) -> None:
    with atomic_write(folder / f"job_{record.number:04d}.json") as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=1))


def _read(folder: Path) -> list[JobRecord]:
    files = sorted(folder.glob("job_*.json"))
    return [JobRecord(**json.loads(file.read_text())) for file in files]
