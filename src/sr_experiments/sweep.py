"""Several runs of one command: what is refused, what happened, and the tables at the end."""

import json
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from sr_experiments.config.schema import from_hydra
from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.runs.processes import check_tasks, rank
from sr_experiments.runs.run import run

# Our joblib.yaml and ray.yaml bear the names of the plugins' own schemas; Hydra warns about it in
# every process. Here, because the workers import this file before they compose.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated")

#: Launchers that run several jobs on this machine at a time.
_SIDE_BY_SIDE = ("Joblib", "Ray")
#: What a launcher imports only when its first job starts.
_NEEDS = {"JoblibLauncher": "joblib", "SlurmLauncher": "submitit", "RayLauncher": "ray"}


@dataclass(frozen=True)
class Job:
    """How one job of a sweep ended; kept as a small file, whatever process it ran in."""

    number: int
    overrides: list[str]
    state: str
    directory: str | None = None
    error: str | None = None
    seconds: float = 0.0


class Refused(BaseException):
    """Stops a sweep before its first job. Hydra turns a callback's ``Exception`` into a warning."""


class SweepCallback(Callback):
    """Hydra's hooks around a multirun. Composed from ``conf/config.yaml``."""

    #: The config of the sweep that this process started, for the end of the command.
    started: DictConfig | None = None
    #: What stopped this process's run or sweep; Hydra would print it in its own way.
    error: UserError | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse what cannot work, before the first job.

        Raises:
            Refused: the reason is in ``error``.
        """
        try:
            refuse_launcher(config)
            _make(Path(str(config.hydra.sweep.dir)))
        except UserError as error:
            SweepCallback.error = error
            raise Refused from error
        SweepCallback.started = config


def refuse_launcher(config: DictConfig) -> None:
    """Check that a sweep's launcher can carry its trainer.

    Raises:
        UserError: a distributed trainer under a launcher that runs jobs side by side, or SLURM
            tasks that do not fit the trainer.
    """
    module, launcher = str(config.hydra.launcher._target_).rsplit(".", 1)
    for name in (module, _NEEDS.get(launcher, "sys")):
        try:
            import_module(name)
        except ImportError:
            word = launcher.removesuffix("Launcher").lower()
            raise UserError(
                f"hydra/launcher={word}: not installed; pip install 'sr_experiments[{word}]'"
            ) from None
    trainer = config.trainer
    several = trainer.strategy != "auto" or str(trainer.devices) != "1"
    if several and launcher.startswith(_SIDE_BY_SIDE):
        word = launcher.removesuffix("Launcher").lower()
        raise UserError(
            f"trainer.devices={trainer.devices}, trainer.strategy={trainer.strategy} with "
            f"hydra/launcher={word}: runs side by side would share their devices; use "
            "hydra/launcher=basic (one run after another, each on all devices) or "
            "hydra/launcher=slurm, or give each run one device (trainer=cpu or trainer=gpu)"
        )
    if launcher.startswith("Slurm"):
        check_tasks(trainer, config.hydra.launcher.nodes, int(config.hydra.launcher.tasks_per_node))


def task(cfg: DictConfig) -> None:
    """One Hydra job. In a sweep a failure is written down and the sweep goes on."""
    if rank() > 0:  # the first process tells the user, and writes everything down
        with suppress(UserError):
            run(from_hydra(cfg))
        return
    if HydraConfig.get().mode == RunMode.RUN:
        try:
            outcome = run(from_hydra(cfg))
        except UserError as error:
            SweepCallback.error = error
            return
        if outcome.state == "skipped":
            Console().print(f"already finished: {outcome.directory}", highlight=False)
        else:
            Console().print(f"  {outcome.directory}", highlight=False)
        return
    number = int(HydraConfig.get().job.num)
    folder = Path(str(HydraConfig.get().sweep.dir))
    overrides = list(HydraConfig.get().overrides.task)
    began = time.monotonic()
    _write(folder, Job(number, overrides, "died"))  # what stays if the process is killed
    try:
        outcome = run(from_hydra(cfg))
        job = Job(number, overrides, outcome.state, str(outcome.directory))
    except UserError as error:
        job = Job(number, overrides, "failed", error=str(error))
    except Exception as error:
        # A defect, not a user's mistake: its traceback is shown, and the other jobs still run.
        traceback.print_exc()
        job = Job(number, overrides, "failed", error=f"{type(error).__name__}: {error}")
    if job.error:
        Console(stderr=True).print(f"  failed: {job.error}", highlight=False, markup=False)
    _write(folder, Job(**(asdict(job) | {"seconds": time.monotonic() - began})))


def conclude(config: DictConfig, console: Console, trouble: Exception | None = None) -> int:
    """Summarise a sweep and write its paper's tables.

    Args:
        config: of the sweep.
        console: where to.
        trouble: what made the launcher give up; jobs that run elsewhere are waited for.

    Returns:
        The command's exit code: 1 if any job failed.
    """
    folder = Path(str(config.hydra.sweep.dir))
    if trouble is not None:
        _await_slurm(folder)
    jobs = _read(folder)
    failed = [job for job in jobs if job.state not in ("finished", "skipped")]
    count = {state: sum(job.state == state for job in jobs) for state in ("finished", "skipped")}
    if failed:
        table = Table("job", "overrides", "state", "why", title="Runs without a result")
        for job in failed:
            why = job.error or "the process ended without a word (killed, or out of memory)"
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
            f"the launcher gave up ({reason}); the same command goes on with what is missing",
            highlight=False,
            markup=False,
        )
    if config.paper and len(failed) < len(jobs):
        from sr_experiments.report.write import write_report

        runs, out = Path(config.paths.runs), Path(config.paths.report)
        write_report(config.paper, runs, out, console, shown=config.budget.name)
    return 1 if failed or trouble or not jobs else 0


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
                f"{argument}: each experiment brings its own sweep and cannot be joined; run "
                f"+experiment={first} and then +experiment={second}"
            )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"hydra.sweep.dir={folder}: cannot be made ({error.strerror})") from None


def _await_slurm(folder: Path) -> None:
    """One job that dies makes submitit give up on all; the others still run."""
    places = sorted((folder / ".submitit").glob("[0-9]*"))
    if not places:
        return
    from submitit import SlurmJob

    for place in places:
        SlurmJob(place, place.name).wait()


def _write(folder: Path, job: Job) -> None:
    with atomic_write(folder / f"job_{job.number:04d}.json") as temporary:
        temporary.write_text(json.dumps(asdict(job), indent=1))


def _read(folder: Path) -> list[Job]:
    files = sorted(folder.glob("job_*.json"))
    return [Job(**json.loads(file.read_text())) for file in files]
