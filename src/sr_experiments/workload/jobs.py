"""What experiments come to: the jobs of each sweep, their parents, and what of it is done.

Nothing is trained and no picture is needed; nothing here imports torch.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from sr_experiments import plan as planning
from sr_experiments.data.sources import Pictures
from sr_experiments.errors import UserError
from sr_experiments.messages import explained
from sr_experiments.places import conf_dir
from sr_experiments.runs.directory import find
from sr_experiments.runs.identity import identity, is_trained
from sr_experiments.settings import compose, plain, register, without_repeats

# Our joblib.yaml and ray.yaml bear the names of the plugins' own schemas; Hydra warns about it.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated")

_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True)
class Work:
    """One run, to be computed or already there.

    Attributes:
        config: resolved, plain.
        identity: as the run's own; where pictures are missing, a stand-in that still tells runs
            apart by all that can change their results.
        pictures: role -> its files; ``None`` where some are missing.
        done: whether it is finished; never where pictures are missing.
        parents: the runs that have to be there first.
    """

    config: Mapping[str, Any]
    identity: str
    pictures: Mapping[str, Pictures] | None
    done: bool
    parents: Mapping[str, "Work"]

    @property
    def trained(self) -> bool:
        """Whether there is anything to train."""
        return is_trained(self.config)

    def line(self) -> "dict[str, Work]":
        """This run and all that it stands on, parents first, by identity."""
        found: dict[str, Work] = {}
        for parent in self.parents.values():
            found |= parent.line()
        return found | {self.identity: self}

    def ahead(self) -> "dict[str, Work]":
        """What of it is still to be computed."""
        if self.done:
            return {}
        found: dict[str, Work] = {}
        for parent in self.parents.values():
            found |= parent.ahead()
        return found | {self.identity: self}


@dataclass(frozen=True)
class Stage:
    """One experiment.

    Attributes:
        name: of its file in ``conf/experiment``.
        jobs: of its sweep.
        refused: why the configs of further jobs are refused, one line each.
    """

    name: str
    jobs: Sequence[Work]
    refused: Sequence[str] = ()

    @property
    def runs(self) -> dict[str, Work]:
        """Each run that it needs once, parents first, by identity."""
        found: dict[str, Work] = {}
        for job in self.jobs:
            found |= job.line()
        return found

    @property
    def ahead(self) -> dict[str, Work]:
        """Of these runs those to be computed; a finished one asks for no parents."""
        found: dict[str, Work] = {}
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


@dataclass
class Survey:
    """Looks at the jobs of experiments; what several have in common is looked at once.

    Attributes:
        missing: which pictures could not be found, and why; one line each.
    """

    missing: list[str] = field(default_factory=list)
    _known: dict[tuple[str, ...], Work] = field(default_factory=dict)

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
                refused.append(_first_line(error))
        return Stage(experiment, jobs, refused)

    def work(self, overrides: Sequence[str]) -> Work:
        """The run of a command line.

        Raises:
            UserError: its config is refused.
        """
        key = tuple(without_repeats(overrides))
        if key not in self._known:
            self._known[key] = self._look(compose(key), ())
        return self._known[key]

    def _look(self, cfg: DictConfig, line: tuple[Mapping[str, Any], ...]) -> Work:
        """As :func:`sr_experiments.plan.plan`, but pictures may be missing."""
        key = tuple(cfg.overrides)
        if key in self._known:
            return self._known[key]
        config = plain(cfg)
        bare = {k: v for k, v in config.items() if k != "overrides"}
        if bare in line:
            raise UserError(f"start={config['start']}: one of these parents is this very run")
        parents = self._parents(cfg, config, (*line, bare))
        weights = planning.weights_of(config)
        entering = {role: p.identity for role, p in parents.items() if role != "reference"}
        entering |= {"weights": weights} if weights else {}
        pictures = self._pictures(config)
        if pictures is None:
            own = identity(config, _asked_for(config), entering)
        else:
            own = identity(config, {k: p.fingerprint for k, p in pictures.items()}, entering)
        # Where a run is follows from its identity; the words in front are for people.
        directory = find(Path(config["paths"]["runs"]), config["name"], "run", own)
        done = pictures is not None and directory.is_finished()
        self._known[key] = Work(config, own, pictures, done, parents)
        return self._known[key]

    def _parents(
        self, cfg: DictConfig, config: Mapping[str, Any], line: tuple[Mapping[str, Any], ...]
    ) -> dict[str, Work]:
        parents = {}
        if config["start"]:
            start = self._look(planning.parent_config(cfg, config, "start"), line)
            if start.trained:  # else it is bicubic in a sweep whose networks begin with others
                parents["start"] = start
        if "teacher" in (config["method"] or {}):
            if not config["teacher"]:
                raise UserError("method: needs a teacher; say teacher={model:edsr}")
            wanted = planning.parent_config(cfg, config, "teacher", "method=supervised")
            parents["teacher"] = self._look(wanted, line)
        if planning.is_compared(config):
            parents["reference"] = self._look(
                planning.parent_config(cfg, config, "reference"), line
            )
        return parents

    def _pictures(self, config: Mapping[str, Any]) -> Mapping[str, Pictures] | None:
        try:
            return planning.find_all(config, is_trained(config))
        except UserError as error:
            reason = _first_line(error)
            if reason not in self.missing:
                self.missing.append(reason)
            return None


def _asked_for(config: Mapping[str, Any]) -> dict[str, str]:
    """In place of the fingerprints of pictures, what was asked for."""
    wanted: dict[str, Any] = {"benchmarks": config["benchmarks"]["sets"]}
    if is_trained(config):
        wanted |= {role: config["data"][role] for role in ("train", "val")}
    text = json.dumps(wanted, sort_keys=True)
    return {"missing": hashlib.sha256(text.encode()).hexdigest()}


def _first_line(error: UserError) -> str:
    return str(error).splitlines()[0]
