"""What experiments come to: the jobs of each sweep, their parents, and what of it is done.

Nothing is trained and no picture is needed; nothing here imports torch.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from sr_experiments.config.hydra_errors import explained
from sr_experiments.config.schema import compose, register, without_repeats
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir
from sr_experiments.runs.plan import Plan, Planner

# Our joblib.yaml and ray.yaml bear the names of the plugins' own schemas; Hydra warns about it.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated")

_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True)
class Stage:
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


@dataclass(frozen=True)
class Sweep:
    """An experiment with its overrides.

    Attributes:
        config: of the whole, with the node ``hydra``; keys that the sweep changes have their values
            of before.
        jobs: the overrides of each job.
    """

    config: DictConfig
    jobs: Sequence[Sequence[str]]


def common(overrides: Sequence[str], refused: Sequence[str]) -> tuple[DictConfig, set[str]]:
    """What overrides say for every run.

    Args:
        overrides: some of them may sweep.
        refused: keys that must not be among them.

    Returns:
        The config of a run with those that do not sweep, and the keys of those that do.

    Raises:
        UserError: an override that no config takes, or of a refused key.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    with explained():
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    for override in parsed:
        if override.key_or_group in refused:
            raise UserError(f"{override.input_line}: is said by the stages of the papers")
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()}
    return compose([o.input_line or "" for o in parsed if o.key_or_group not in swept]), swept


def expand(experiment: str, overrides: Sequence[str]) -> Sweep:
    """What ``python -m sr_experiments -m +experiment=EXPERIMENT OVERRIDES`` would run.

    Raises:
        UserError: no such experiment, or an override that no config takes.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    register()
    given = [f"+experiment={experiment}", *overrides]
    parser = OverridesParser.create()
    with explained(), initialize_config_dir(str(conf_dir()), version_base="1.3"):
        parsed = parser.parse_overrides(given)
        fixed = [o.input_line or "" for o in parsed if not o.is_sweep_override()]
        config = hydra_compose("config", overrides=fixed, return_hydra_config=True)
        sweeper = config.hydra.sweeper
        if sweeper._target_ != _SWEEPER:
            raise UserError(f"hydra.sweeper._target_={sweeper._target_}: only basic can be planned")
        own = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
        # Hydra's own sweeper does the same: what the command line says of a key comes last.
        parsed = parser.parse_overrides([*own, *given])
        batches = BasicSweeper.split_arguments(
            [override for override in parsed if not override.is_hydra_override()], None
        )
    return Sweep(config, [job for batch in batches for job in batch])


class Survey:
    """Looks at the jobs of experiments; what several have in common is looked at once."""

    def __init__(self) -> None:
        self._planner = Planner(tolerant=True)

    @property
    def missing(self) -> list[str]:
        """Which pictures could not be found, and why; one line each."""
        return self._planner.missing

    def stage(self, experiment: str, overrides: Sequence[str]) -> Stage:
        """The jobs of an experiment with all their parents.

        Raises:
            UserError: no such experiment, or an override that no config takes.
        """
        jobs, refused = [], []
        for job in expand(experiment, overrides).jobs:
            try:
                jobs.append(self.work(job))
            except UserError as error:
                refused.append(str(error).splitlines()[0])
        return Stage(experiment, jobs, refused)

    def work(self, overrides: Sequence[str]) -> Plan:
        """The run of a command line; its pictures may be missing.

        Raises:
            UserError: its config is refused.
        """
        return self._planner.plan(compose(without_repeats(overrides)))
