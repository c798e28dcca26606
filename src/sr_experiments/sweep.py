"""Several runs of one command: what is refused, what happened, and the tables at the end."""

import json
import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from sr_experiments.errors import UserError
from sr_experiments.imaging.io import replacing
from sr_experiments.run import run
from sr_experiments.settings import from_hydra

#: Launchers whose jobs are processes that a distributed run cannot start its helpers from.
_SHARED = ("Basic", "Joblib", "Ray")


@dataclass(frozen=True)
class Job:
    """How one job of a sweep ended; kept as a small file, whatever process it ran in."""

    number: int
    overrides: list[str]
    state: str
    directory: str | None = None
    error: str | None = None
    seconds: float = 0.0


class SweepCallback(Callback):
    """Hydra's hooks around a multirun. Composed from ``conf/config.yaml``."""

    #: The config of the sweep that this process started, for the end of the command.
    started: DictConfig | None = None
    #: What stopped the single run of this process; Hydra would print it in its own way.
    error: UserError | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse what cannot work, before the first job.

        Raises:
            UserError: a distributed trainer under a launcher that runs jobs in shared processes.
        """
        launcher = str(config.hydra.launcher._target_).rsplit(".", 1)[-1]
        trainer = config.trainer
        several = trainer.strategy != "auto" or trainer.devices not in (1, "1")
        if several and launcher.startswith(_SHARED):
            raise UserError(
                f"trainer.devices={trainer.devices}, strategy={trainer.strategy} under -m with "
                f"the {launcher.removesuffix('Launcher').lower()} launcher: each helper process "
                "would start the whole sweep again. Use hydra/launcher=slurm, or trainer=gpu with "
                "hydra/launcher=joblib (one run a GPU), or run the jobs one by one without -m"
            )
        Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        SweepCallback.started = config


def task(cfg: DictConfig) -> None:
    """One Hydra job. In a sweep a failure is written down and the sweep goes on."""
    if HydraConfig.get().mode == RunMode.RUN:
        try:
            outcome = run(from_hydra(cfg))
        except UserError as error:
            SweepCallback.error = error
            return
        if outcome.state == "skipped":
            Console().print(f"already finished: {outcome.directory}", highlight=False)
        elif not os.environ.get("LOCAL_RANK"):
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


def conclude(config: DictConfig, console: Console) -> int:
    """Summarise a sweep and write its paper's tables.

    Returns:
        The command's exit code: 1 if any job failed.
    """
    jobs = _read(Path(str(config.hydra.sweep.dir)))
    failed = [job for job in jobs if job.state not in ("finished", "skipped")]
    count = {state: sum(job.state == state for job in jobs) for state in ("finished", "skipped")}
    if failed:
        table = Table("job", "overrides", "state", "why", title="Runs without a result")
        for job in failed:
            why = job.error or "the process ended without a word (killed, or out of memory)"
            table.add_row(str(job.number), " ".join(job.overrides), job.state, why)
        console.print(table)
    console.print(
        f"{len(jobs)} runs: {count['finished']} computed, {count['skipped']} already there, "
        f"{len(failed)} failed",
        highlight=False,
    )
    if config.paper and len(failed) < len(jobs):
        from sr_experiments.papers.report import write_report

        runs, out = Path(config.paths.runs), Path(config.paths.report)
        write_report(config.paper, runs, out, console, shown=config.budget.name)
    return 1 if failed or not jobs else 0


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


def _write(folder: Path, job: Job) -> None:
    with replacing(folder / f"job_{job.number:04d}.json") as temporary:
        temporary.write_text(json.dumps(asdict(job), indent=1))


def _read(folder: Path) -> list[Job]:
    files = sorted(folder.glob("job_*.json"))
    return [Job(**json.loads(file.read_text())) for file in files]
