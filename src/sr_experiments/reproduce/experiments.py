"""What experiments come to: the jobs of each sweep, their parents, and what of it is done.

Nothing is trained and no image is needed; nothing here imports torch.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from sr_experiments.config.compose import SweepConfig, compose, expand, parse
from sr_experiments.config.schema import RunConfig
from sr_experiments.core.errors import UserError
from sr_experiments.runs.plan import Plan, Planner

# Our joblib.yaml and ray.yaml bear the names of the plugins' own schemas; Hydra warns about it.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated")


@dataclass(frozen=True)
class StagePlan:
    """One experiment.

    Attributes:
        name: of its file in ``conf/experiment``.
        jobs: of its sweep.
        refused: why the configs of further jobs are refused, one line each.
    """

    name: str
    jobs: Sequence[Plan]
    refused: Sequence[str] = ()

    @property
    def runs(self) -> dict[str, Plan]:
        """Each run that it needs once, parents first, by identity."""
        found: dict[str, Plan] = {}
        for job in self.jobs:
            found |= job.line()
        return found

    @property
    def ahead(self) -> dict[str, Plan]:
        """Of these runs those to be computed; a finished one asks for no parents."""
        found: dict[str, Plan] = {}
        for job in self.jobs:
            found |= job.ahead()
        return found


def common(overrides: Sequence[str], refused: Sequence[str]) -> tuple[RunConfig, set[str]]:
    """What overrides set for every run.

    Args:
        overrides: some of them may sweep.
        refused: keys that must not be among them.

    Returns:
        The config of a run with those that do not sweep, and the keys of those that do.

    Raises:
        UserError: an override that no config takes, or of a refused key.
    """
    parsed = parse(overrides)
    for override in parsed:
        if override.key_or_group in refused:
            raise UserError(
                "set-by-stage",
                "{text}: is set by the stages of the papers",
                text=override.input_line,
            )
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()}
    return compose([o.input_line or "" for o in parsed if o.key_or_group not in swept]), swept


def stage_sweep(experiment: str, overrides: Sequence[str]) -> SweepConfig:
    """The sweep of ``python -m sr_experiments -m +experiment=EXPERIMENT OVERRIDES``.

    Raises:
        UserError: no such experiment, or an override that no config takes.
    """
    sweep = expand([f"+experiment={experiment}", *overrides])
    if not sweep.jobs:
        raise UserError(
            "sweeper-not-planned",
            "hydra.sweeper._target_={sweeper}: only the basic sweeper can be planned",
            sweeper=sweep.config.hydra.sweeper._target_,
        )
    return sweep


class Survey:
    """Looks at the jobs of experiments; what several have in common is looked at once."""

    def __init__(self) -> None:
        self._planner = Planner(tolerant=True)

    @property
    def missing(self) -> list[str]:
        """Which images could not be found, and why; one line each."""
        return self._planner.missing

    def stage(self, experiment: str, overrides: Sequence[str]) -> StagePlan:
        """The jobs of an experiment with all their parents.

        Raises:
            UserError: no such experiment, or an override that no config takes.
        """
        jobs, refused = [], []
        for job in stage_sweep(experiment, overrides).jobs:
            try:
                jobs.append(self.work(job))
            except UserError as error:
                refused.append(str(error).splitlines()[0])
        return StagePlan(experiment, jobs, refused)

    def work(self, overrides: Sequence[str]) -> Plan:
        """The run of a command line; its images may be missing.

        Raises:
            UserError: its config is refused.
        """
        return self._planner.plan(compose(overrides))
