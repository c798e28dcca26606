"""One run from its config to its scores: found, skipped, resumed or computed.

Nothing here imports torch until something has to be computed.
"""

import json
import re
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from sr_experiments import distributed
from sr_experiments.data.sources import Pictures, find_pictures, refuse_overlap
from sr_experiments.errors import UserError
from sr_experiments.runs.directory import Lock, RunDirectory, find, slug
from sr_experiments.runs.identity import identity, is_trained
from sr_experiments.settings import compose, plain, without_repeats


@dataclass(frozen=True)
class Plan:
    """All that is known of a run before anything is computed.

    Attributes:
        config: resolved, plain Python.
        pictures: role (``train``, ``val``, ``benchmark/NAME``) -> its files.
        directory: where the run is, or will be.
        title: a few words for people.
        start: the run whose weights this one begins with.
        reference: the run this one is compared with.
    """

    config: Mapping[str, Any]
    pictures: Mapping[str, Pictures]
    directory: RunDirectory
    title: str
    start: "Plan | None" = None
    reference: "Plan | None" = None

    @property
    def identity(self) -> str:
        """64 hexadecimal digits."""
        return self.directory.identity

    @property
    def runs(self) -> Path:
        """Root of the run directories."""
        return Path(self.config["paths"]["runs"])

    @property
    def trained(self) -> bool:
        """Whether there is anything to train."""
        return is_trained(self.config)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``finished``, or ``skipped`` because it already was."""

    state: str
    directory: Path
    seconds: float


def run(cfg: DictConfig, console: Console | None = None) -> Outcome:
    """Carry out a run, its parents first.

    A finished run is skipped, an interrupted one goes on where its last checkpoint stands. Other
    processes that ask for the same run wait for it.

    Args:
        cfg: from :func:`sr_experiments.settings.compose`.
        console: where progress is shown.

    Raises:
        UserError: a mistake in the config, missing data, or a training that failed.
    """
    if distributed.rank() > 0:  # the first process keeps the books and says what to compute
        runs = Path(str(cfg.paths.runs))
        distributed.assist(runs)
        return Outcome("finished", runs, 0.0)
    try:
        return _carry_out(plan(cfg), console or Console())
    finally:
        distributed.dismiss(Path(str(cfg.paths.runs)))


def plan(cfg: DictConfig, descendants: tuple[Mapping[str, Any], ...] = ()) -> Plan:
    """Find a run's pictures, parents, identity and directory.

    Args:
        cfg: of the run.
        descendants: configs of the runs that wait for this one, to notice a circle.

    Raises:
        UserError: missing pictures, or a run that is its own parent.
    """
    config = plain(cfg)
    bare = {k: v for k, v in config.items() if k != "overrides"}
    if bare in descendants:
        raise UserError(f"start={config['start']}: this run would begin with its own weights")
    line = (*descendants, bare)
    trained = is_trained(config)
    start = plan(_parent(cfg, config, "start"), line) if config["start"] and trained else None
    reference = plan(_parent(cfg, config, "reference"), line) if _compared(config) else None
    pictures = _pictures(config, trained)
    parents = {"start": start.identity} if start else {}
    own = identity(config, {k: p.fingerprint for k, p in pictures.items()}, parents)
    words = _words(config)
    directory = find(Path(config["paths"]["runs"]), config["name"], slug(words), own)
    return Plan(config, pictures, directory, " ".join(words), start, reference)


def _carry_out(plan: Plan, console: Console) -> Outcome:
    if plan.directory.is_finished():
        return Outcome("skipped", plan.directory.path, 0.0)
    for parent in (plan.reference, plan.start):
        if parent is not None:
            _carry_out(parent, console)

    def waiting() -> None:
        console.print(f"{plan.title}: another process computes this run; waiting for it")

    with Lock(plan.runs, plan.identity, waiting):
        if plan.directory.is_finished():
            return Outcome("skipped", plan.directory.path, 0.0)
        return _guarded(plan, console)


def _guarded(plan: Plan, console: Console) -> Outcome:
    """Execute; whatever happens is written into the run's directory, if it has come to be."""
    directory = plan.directory
    try:
        return _execute(plan, console)
    except UserError as error:
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
    if directory.status().get("state") != "running":
        return  # it failed before it began: nothing was written, and nothing is
    try:
        directory.end(state, error, details)
    except UserError:
        return  # the disk is full: the failure itself is told by the caller


def _execute(plan: Plan, console: Console) -> Outcome:
    from sr_experiments.execution import execute  # imports torch and Lightning

    began = time.monotonic()
    execute(plan, console)
    return Outcome("finished", plan.directory.path, time.monotonic() - began)


def _parent(cfg: DictConfig, config: Mapping[str, Any], role: str) -> DictConfig:
    wanted = config[role]
    if not isinstance(wanted, dict):
        raise UserError(f"{role}={wanted}: expected overrides as a mapping, such as {{scale:2}}")
    changes = [f"{key}={_override(value)}" for key, value in wanted.items()]
    inherited = [
        o for o in cfg.overrides if re.split(r"[=.]", o.lstrip("+~"))[0] not in _NOT_INHERITED
    ]
    return compose(without_repeats([*inherited, *changes]))


def _override(value: Any) -> str:
    """A value in the words of Hydra's command line."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{','.join(map(_override, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{k}:{_override(v)}' for k, v in value.items())}}}"
    if isinstance(value, str):  # quoted, so that "1" and "true" stay text
        if re.fullmatch(r"[A-Za-z_][\w./@-]*", value) and value.lower() not in _NOT_TEXT:
            return value
        quoted = value.replace("\\'", "\\\\'").replace("'", "\\'")
        return f"'{quoted}'"
    return str(value)


_NOT_TEXT = ("true", "false", "null", "nan", "inf")
_NOT_INHERITED = ("start", "reference")


def _compared(config: Mapping[str, Any]) -> bool:
    # A run that trains nothing is a reference itself.
    return bool(config["reference"]) and is_trained(config)


def _pictures(config: Mapping[str, Any], trained: bool) -> dict[str, Pictures]:
    paths, data = config["paths"], config["data"]
    common: dict[str, Any] = {
        "root": Path(paths["data"]),
        "cache": Path(paths["cache"]),
        "lr_from_disk": data["lr"] == "disk",
        "scale": config["scale"],
    }
    found = {}
    if trained:
        for role in ("train", "val"):
            source = data[role]
            found[role] = find_pictures(source["source"], numbers=source["numbers"], **common)
    for name in config["benchmarks"]["sets"]:
        pictures = find_pictures(name, **common)
        if f"benchmark/{pictures.name}" in found:
            raise UserError(f"benchmarks.sets: {pictures.name} stands there twice")
        found[f"benchmark/{pictures.name}"] = pictures
        if trained and not data["allow_overlap"]:
            refuse_overlap(found["train"], pictures)
    return found


def _words(config: Mapping[str, Any]) -> list[str]:
    """The words that tell runs apart at a glance; the hash behind them does it exactly."""
    words = config["words"]
    parts = [words.get("model", "model"), f"x{config['scale']}"]
    if not is_trained(config):
        return parts
    usual = {"convolution": "plain", "method": "supervised", "optimizer": "adam"}
    usual |= {"scheduler": "multistep", "clipping": "none"}
    if "activation" in config["model"]:
        parts.append(words.get("activation", ""))
    parts += [words[k] for k, word in usual.items() if words.get(k, word) != word]
    return [*parts, words.get("budget", ""), f"s{config['seed']}"]
