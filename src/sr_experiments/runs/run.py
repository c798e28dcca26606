"""One run from its config to its scores: found, skipped, resumed or computed.

Nothing here imports torch until something has to be computed.
"""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from sr_experiments.config.schema import RunConfig
from sr_experiments.core.errors import UserError
from sr_experiments.core.interruption import INTERRUPTION, interruptible
from sr_experiments.runs import processes
from sr_experiments.runs.directory import RunDirectory
from sr_experiments.runs.launch import rank
from sr_experiments.runs.lease import Lease
from sr_experiments.runs.plan import Plan, plan


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``finished``, or ``skipped`` because it already was."""

    state: str
    directory: Path
    seconds: float


def run(config: RunConfig, console: Console | None = None) -> Outcome:
    """Carry out a run, its parents first.

    A finished run is skipped, an interrupted one goes on where its last checkpoint stands. Other
    processes that ask for the same run wait for it.

    Args:
        config: from :func:`sr_experiments.config.compose.compose`.
        console: where progress is shown.

    Raises:
        UserError: a mistake in the config, missing data, or a training that failed.
        Preempted: the process was asked to end; what was trained has been saved.
    """
    if rank() > 0:  # the first process keeps the books and says what to compute
        runs = config.paths.runs
        with interruptible(heeds=False):
            processes.assist(runs, assist)
        return Outcome("finished", runs, 0.0)
    try:
        with interruptible():
            return _carry_out(plan(config), console or Console())
    except SystemExit:
        if isinstance(INTERRUPTION.asked, KeyboardInterrupt):  # Lightning exits instead
            raise KeyboardInterrupt from None
        raise
    finally:
        processes.dismiss(config.paths.runs)


def assist(task: processes.Task) -> None:
    """Compute a run as a helper process of a distributed one; nothing is shown or kept.

    Raises:
        RuntimeError: this process understands the run in another way than its leader.
    """
    mine = plan(RunConfig.model_validate_json(task.config))
    if mine.identity != task.identity:
        raise RuntimeError(f"{mine.title}: this process finds other images or another config")
    _execute(mine, Console(quiet=True))


def _carry_out(plan: Plan, console: Console) -> Outcome:
    if plan.directory.is_finished():
        return Outcome("skipped", plan.directory.path, 0.0)
    for role, parent in plan.parents.items():
        _carry_out(parent, console)
        if role != "reference" and not parent.directory.weights.exists():
            raise UserError(
                "parent-without-weights",
                "{path}: this run's {role} is finished, but its weights are not there; remove that "
                "directory to train it again",
                path=parent.directory.path,
                role=role,
            )

    def say(line: str) -> None:
        console.print(f"{plan.title}: {line}", soft_wrap=True, highlight=False)

    with Lease(plan.runs, plan.identity, say) as lease:
        if plan.directory.is_finished():
            return Outcome("skipped", plan.directory.path, 0.0)
        return _guarded(plan, console, lease)


def _guarded(plan: Plan, console: Console, lease: Lease) -> Outcome:
    """Execute; whatever happens is written into the run's directory, if it has come to be."""
    directory = plan.directory
    try:
        return _execute(plan, console, lease.check)
    except UserError as error:
        if error.code != "run-taken-over":  # the directory is another process's now
            _close(directory, "failed", str(error))
        raise
    except (KeyboardInterrupt, SystemExit):
        _close(directory, "interrupted", None)
        raise
    except Exception as error:
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        _close(directory, "failed", line, traceback.format_exc())
        raise


def _close(directory: RunDirectory, state: Any, error: str | None, details: str = "") -> None:
    status = directory.status()
    if status is None or status.state != "running":
        return  # it failed before it began: nothing was written, and nothing is
    try:
        directory.end(state, error, details)
    except UserError:
        return  # the disk is full: the failure itself is told by the caller


def _execute(plan: Plan, console: Console, check: Callable[[], None] = lambda: None) -> Outcome:
    with INTERRUPTION.held():
        from sr_experiments.runs.execute import execute  # imports torch and Lightning

    began = time.monotonic()
    execute(plan, console, check)
    return Outcome("finished", plan.directory.path, time.monotonic() - began)
