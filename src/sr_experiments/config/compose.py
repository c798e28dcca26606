"""Composing ``conf/`` and what a user set into a :class:`RunConfig`, for a run or its parents.

Nothing here imports torch.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import omegaconf
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, grammar_parser, open_dict

from sr_experiments.config.choices import config_groups
from sr_experiments.config.messages import explained, unknown_choice, unknown_key
from sr_experiments.config.schema import CHOICES, Change, RunConfig, Section
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir

#: Keys of a run that its parents do not inherit from what was set for the run.
_NOT_INHERITED = ("start", "start_optimizer", "teacher", "reference", "weights")
_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True)
class SweepConfig:
    """A sweep before its jobs.

    Attributes:
        config: as composed, unresolved, with the node ``hydra``; keys that the sweep changes have
            the values they had before.
        overrides: all that was set for it.
        jobs: the overrides of each job.
    """

    config: DictConfig
    overrides: Sequence[str]
    jobs: Sequence[Sequence[str]]


def compose(overrides: Sequence[str]) -> RunConfig:
    """The config of ``python -m sr_experiments OVERRIDES``.

    Raises:
        UserError: an unknown key or choice, or a value that is refused.
    """
    parsed = parse(overrides)
    for override in parsed:
        if override.is_sweep_override():
            key = override.key_or_group
            raise UserError(
                "sweep-without-m",
                "{text}: several values need -m (a sweep), or {key}=[a,b] for a list",
                text=override.input_line,
                key=key,
            )
    return _run_config(_changes(parsed), _of_hydra(parsed))


def compose_job() -> RunConfig:
    """The config of the job that Hydra is running."""
    return compose(list(HydraConfig.get().overrides.task))


def parent_config(config: RunConfig, role: str, **usual: Any) -> RunConfig:
    """The config of a run's parent: the run's, with the differences that its key ``role`` states.

    Args:
        config: of the run.
        role: ``start``, ``teacher`` or ``reference``.
        usual: differences that hold unless the key states others.

    Raises:
        UserError: the differences make no config.
    """
    differences = usual | dict(getattr(config, role))
    # Another choice of a group has its own keys: values set for the former choice stay behind.
    renewed = {k for k, choice in differences.items() if config.choices.get(k, choice) != choice}
    inherited = []
    for change in config.changes:
        group, dot, _ = change.key.partition(".")
        if group not in _NOT_INHERITED and not (dot and group in renewed):
            inherited.append(change)
    return _run_config([*inherited, *(Change(k, value) for k, value in differences.items())])


def expand(overrides: Sequence[str]) -> SweepConfig:
    """The sweep of ``python -m sr_experiments -m OVERRIDES``.

    Raises:
        UserError: an unknown key or choice.
    """
    parsed = parse(overrides)
    fixed = [override for override in parsed if not override.is_sweep_override()]
    config = _composed(_changes(fixed), _of_hydra(fixed))
    sweeper = config.hydra.sweeper
    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    for override in parse(params) + parsed:
        _check_swept(override)
    if sweeper._target_ != _SWEEPER:
        return SweepConfig(config, overrides, [])
    # As Hydra's own sweeper does it: what the command line sets comes last.
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    swept = [o for o in parse([*params, *overrides]) if not o.is_hydra_override()]
    with explained():
        batches = BasicSweeper.split_arguments(swept, None)
    return SweepConfig(config, overrides, [job for batch in batches for job in batch])


def parse(overrides: Sequence[str]) -> list[Override]:
    """Overrides of a command line, read by Hydra's grammar.

    Raises:
        UserError: one cannot be read.
    """
    with explained():
        return OverridesParser.create().parse_overrides(list(overrides))


@contextmanager
def config_search_path() -> Iterator[ConfigLoader]:
    """Hydra's loader for ``conf/``, or the one of the command or job under way."""
    register()
    with explained():
        if GlobalHydra.instance().is_initialized():
            yield GlobalHydra.instance().config_loader()
        else:
            with initialize_config_dir(str(conf_dir()), "sr_experiments", version_base="1.3"):
                yield GlobalHydra.instance().config_loader()


def register() -> None:
    """Make the resolver ``by`` known to OmegaConf, and its grammar fast. May be called again."""
    OmegaConf.register_new_resolver("by", _by, replace=True)
    _keep_parsed()


@cache
def _keep_parsed() -> None:
    """Parse each text of ``conf/`` with an interpolation once; OmegaConf does so at every access.

    That took a fifth of the time to compose a sweep. A parse tree is read and never changed, and
    follows from its text alone.
    """
    kept = lru_cache(maxsize=1024)(grammar_parser.parse)
    omegaconf.base.parse = omegaconf._utils.parse = kept


def _by(choice: Any, table: dict[Any, Any]) -> Any:
    """``${by:${budget.name},{quick: 4, paper: 32}}``: an entry of a small table; null is none."""
    choice = "none" if choice is None else choice
    if choice not in table:
        raise UserError(
            "no-entry",
            "no value for {choice}; there is one for {known}",
            choice=choice,
            known=", ".join(map(str, table)),
        )
    found = table[choice]
    # `--cfg job --resolve` puts nodes in the place of interpolations, where it has no plain ones.
    return OmegaConf.create(found) if isinstance(found, dict | list) else found


def _changes(parsed: Iterable[Override]) -> list[Change]:
    """Overrides as data; of two for one key the last holds."""
    last: dict[str, Change] = {}
    for override in parsed:
        if override.is_hydra_override():
            continue
        key = override.key_or_group
        kind = "delete" if override.is_delete() else "set"
        kind = "add" if override.is_add() or override.is_force_add() else kind
        last.pop(key, None)
        last[key] = Change(key, override.value(), kind)  # type: ignore[arg-type]
    return list(last.values())


def _of_hydra(parsed: Iterable[Override]) -> list[str]:
    return [override.input_line or "" for override in parsed if override.is_hydra_override()]


def _run_config(changes: Sequence[Change], of_hydra: Sequence[str] = ()) -> RunConfig:
    changes = list({change.key: change for change in changes}.values())
    cfg = _composed(changes, of_hydra)
    made = cfg.hydra.runtime.choices
    choices = {group: str(made[group]) for group in CHOICES}
    with open_dict(cfg):
        del cfg["hydra"]
    unresolved = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(unresolved, dict)
    for name, node in unresolved.items():
        field = RunConfig.model_fields.get(str(name))
        kind = field.annotation if field else None
        if isinstance(kind, type) and issubclass(kind, Section) and not isinstance(node, dict):
            raise UserError(
                "invalid-value",
                "{key}={value}: expected {expected}",
                key=str(name),
                value=node,
                expected=f"keys, such as {name!s}.KEY=VALUE",
            )
    with explained():
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
    own = {str(key): value for key, value in values.items()}
    return RunConfig.of(own | {"choices": choices, "changes": tuple(changes)})


def _composed(changes: Sequence[Change], of_hydra: Sequence[str]) -> DictConfig:
    """Compose ``conf/``, unresolved, with the node ``hydra``.

    The only place that writes overrides for Hydra: plain choices of groups. Values are set here as
    Hydra would set them; written out as text they would have to be quoted and read again.
    """
    groups = config_groups(conf_dir())
    with config_search_path() as loader:
        chosen = [_choice(change, groups[change.key]) for change in changes if change.key in groups]
        for text in of_hydra:
            key, _, value = text.lstrip("+").partition("=")
            if key == "hydra/launcher":
                _check_choice(key, value, loader.get_group_options(key))
        places = tuple(str(place.path) for place in loader.get_search_path().get_path())
        cfg = copy.deepcopy(_of_choices(places, (*chosen, *of_hydra)))
        for change in changes:
            if change.key not in groups:
                _apply(cfg, change, groups)
    return cfg


@lru_cache(maxsize=256)
def _of_choices(_: tuple[str, ...], overrides: tuple[str, ...]) -> DictConfig:
    """What Hydra composes, kept: a sweep's jobs and their parents mostly differ in keys alone.

    It takes Hydra a quarter of a second. Interpolations are not resolved yet.
    """
    return hydra_compose("config", overrides=list(overrides), return_hydra_config=True)


def _choice(change: Change, choices: Sequence[str]) -> str:
    group, choice = change.key, change.value
    if group == "experiment":
        if change.kind == "set":
            raise UserError(
                "experiment-without-plus",
                "experiment={choice}: an experiment is added to a run, so write "
                "+experiment={choice}",
                choice=choice,
            )
    elif change.kind == "delete" or not isinstance(choice, str | int | float | bool):
        raise UserError(
            "one-choice-needed",
            "{group}: exactly one choice is needed, or {group}=a,b with -m; choose from {choices}",
            group=group,
            choices=", ".join(choices),
        )
    _check_choice(group, choice, choices)
    return f"{'+' if change.kind == 'add' else ''}{group}={choice}"


def _check_choice(group: str, choice: object, choices: Sequence[str]) -> None:
    if str(choice) not in choices:
        raise unknown_choice(group, choice, choices)


def _check_swept(override: Override) -> None:
    """Refuse unknown choices of a group that is swept over."""
    group = override.key_or_group
    choices = config_groups(conf_dir()).get(group)
    if override.is_sweep_override() and choices:
        for choice in override.sweep_string_iterator():
            _check_choice(group, choice, choices)


def _apply(cfg: DictConfig, change: Change, groups: Iterable[str]) -> None:
    """Set, add or delete one key, as Hydra does it.

    Raises:
        UserError: there is no such key, or it only shows the value of another one.
    """
    parent, _, last = change.key.rpartition(".")
    node: Any = cfg
    walked: list[str] = []
    for part in parent.split(".") if parent else ():
        if isinstance(node, DictConfig) and part in node and OmegaConf.is_interpolation(node, part):
            raise UserError(
                "interpolated-key",
                "{key}: {parent} takes its values from another key; set them there",
                key=change.key,
                parent=".".join([*walked, part]),
            )
        node = node.get(part) if isinstance(node, DictConfig) and part in node else None
        walked.append(part)
    names = {str(name) for name in node} if isinstance(node, DictConfig) else set()
    if not parent:
        names -= {"hydra"}
    if change.kind != "add" and last not in names:
        raise unknown_key(change.key, names | (set(groups) if not parent else set()))
    if change.kind == "delete":
        with open_dict(cfg):
            del node[last]
    else:
        force = change.kind == "add"
        OmegaConf.update(cfg, change.key, change.value, merge=True, force_add=force)
