"""What a run is, before anything is computed: its pictures, parents, identity and directory.

Nothing here imports torch.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from sr_experiments.data.sources import Pictures, find_pictures, refuse_overlap
from sr_experiments.errors import UserError
from sr_experiments.runs.directory import RunDirectory, find, slug
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
        teacher: the run whose network this one learns from.
        reference: the run this one is compared with.
        weights: SHA-256 of the file of weights this run begins with, or scores.
    """

    config: Mapping[str, Any]
    pictures: Mapping[str, Pictures]
    directory: RunDirectory
    title: str
    start: "Plan | None" = None
    reference: "Plan | None" = None
    weights: str | None = None
    teacher: "Plan | None" = None

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


def plan(cfg: DictConfig, descendants: tuple[Mapping[str, Any], ...] = ()) -> Plan:
    """Find a run's pictures, parents, identity and directory.

    Args:
        cfg: of the run.
        descendants: configs of the runs that wait for this one, to notice a circle.

    Raises:
        UserError: missing pictures, a run that is its own parent, or a part of the network that
            the model has no place for.
    """
    config = plain(cfg)
    bare = {k: v for k, v in config.items() if k != "overrides"}
    if bare in descendants:
        roles = ", ".join(f"{role}={config[role]}" for role in ("start", "teacher", "reference"))
        raise UserError(f"{roles}: one of these parents is this very run")
    if not descendants:  # a sweep's words reach its references, where they may mean nothing
        _refuse_idle_words(cfg, config)
    line = (*descendants, bare)
    trained = is_trained(config)
    start = _start(cfg, config, line)
    teacher = _teacher(cfg, config, line)
    reference = plan(parent_config(cfg, config, "reference"), line) if is_compared(config) else None
    pictures = find_all(config, trained)
    weights = weights_of(config)
    parents = {"start": start.identity} if start else {}
    parents |= {"teacher": teacher.identity} if teacher else {}
    parents |= {"weights": weights} if weights else {}
    own = identity(config, {k: p.fingerprint for k, p in pictures.items()}, parents)
    words = _words(config)
    directory = find(Path(config["paths"]["runs"]), config["name"], slug(words), own)
    title = " ".join(words)
    return Plan(config, pictures, directory, title, start, reference, weights, teacher)


def _refuse_idle_words(cfg: DictConfig, config: Mapping[str, Any]) -> None:
    """Refuse a part of the network that was asked for and that the model has no place for."""
    for override in cfg.overrides:
        key, _, word = override.lstrip("+").partition("=")
        if key in ("activation", "convolution") and key not in config["model"]:
            raise UserError(f"{key}={word}, model={config['words']['model']}: it has no {key}")


def _start(
    cfg: DictConfig, config: Mapping[str, Any], line: tuple[Mapping[str, Any], ...]
) -> Plan | None:
    """The run to begin with; one that trains nothing scores another's weights by it."""
    if not config["start"]:
        if config["start_optimizer"] and is_trained(config):
            raise UserError("start_optimizer=true: needs a run to begin with, start={...}")
        return None
    start = plan(parent_config(cfg, config, "start"), line)
    if start.trained:
        return start
    if is_trained(config):
        raise UserError(f"start={config['start']}: that run trains nothing to begin with")
    return None  # bicubic in a sweep whose networks begin with others


def _teacher(
    cfg: DictConfig, config: Mapping[str, Any], line: tuple[Mapping[str, Any], ...]
) -> Plan | None:
    """The run to learn from, where the method has a place for one."""
    if "teacher" not in (config["method"] or {}):
        return None
    word = config["words"].get("method", "method")
    if not config["teacher"]:
        raise UserError(
            f"method={word}: needs a teacher; say teacher={{model:edsr}}, or any overrides that "
            "make a run to learn from"
        )
    wanted = parent_config(cfg, config, "teacher", "method=supervised")
    if wanted.scale != config["scale"]:
        raise UserError(
            f"teacher={config['teacher']}: enlarges by {wanted.scale} and its student by "
            f"{config['scale']}; they need the same scale"
        )
    teacher = plan(wanted, line)
    if not (teacher.trained or teacher.weights):
        raise UserError(f"teacher={config['teacher']}: that run has no trained weights")
    return teacher


def weights_of(config: Mapping[str, Any]) -> str | None:
    """SHA-256 of the file of weights: its content counts, not its place."""
    path, start = config["weights"], config["start"]
    if path is None:
        return None
    if start:
        raise UserError(f"weights={path}, start={start}: a run begins with one of them, not both")
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"weights={path}: cannot be read ({error.strerror})") from None


def parent_config(cfg: DictConfig, config: Mapping[str, Any], role: str, *usual: str) -> DictConfig:
    """The config of a run's parent.

    Args:
        cfg: of the run.
        config: the same, resolved.
        role: the key that says what differs, such as ``start``.
        usual: overrides that hold unless that key says otherwise.

    Raises:
        UserError: the key is no mapping of overrides, or they make no config.
    """
    wanted = config[role]
    if not isinstance(wanted, dict):
        raise UserError(f"{role}={wanted}: expected overrides as a mapping, such as {{scale:2}}")
    changes = [*usual, *(f"{key}={_override(value)}" for key, value in wanted.items())]
    # Another word of a group comes with its own keys: what was said of the old one's stays behind.
    chosen = dict(change.split("=", 1) for change in changes)
    renewed = {k for k, word in chosen.items() if config["words"].get(k, word) != word}
    inherited = []
    for override in cfg.overrides:
        key, dot, _ = override.split("=")[0].lstrip("+~").partition(".")
        if key not in _NOT_INHERITED and not (dot and key in renewed):
            inherited.append(override)
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
_NOT_INHERITED = ("start", "start_optimizer", "teacher", "reference", "weights")


def is_compared(config: Mapping[str, Any]) -> bool:
    """Whether a run is set beside its reference."""
    # A run that trains nothing is a reference itself.
    return bool(config["reference"]) and is_trained(config)


def find_all(config: Mapping[str, Any], trained: bool) -> dict[str, Pictures]:
    """Role -> the pictures of a run.

    Raises:
        UserError: some are not there, or are trained and tested on.
    """
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
        source = data["train"]
        for scale in further_scales(config):
            found[f"train/x{scale}"] = find_pictures(
                source["source"], numbers=source["numbers"], **common | {"scale": scale}
            )
    for name in config["benchmarks"]["sets"]:
        pictures = find_pictures(name, **common)
        if f"benchmark/{pictures.name}" in found:
            raise UserError(f"benchmarks.sets: {pictures.name} stands there twice")
        found[f"benchmark/{pictures.name}"] = pictures
        if trained and not data["allow_overlap"]:
            refuse_overlap(found["train"], pictures)
    return found


def further_scales(config: Mapping[str, Any]) -> list[int]:
    """The scales beside its own that a run trains on."""
    return [scale for scale in config["training"]["scales"] or () if scale != config["scale"]]


def _words(config: Mapping[str, Any]) -> list[str]:
    """The words that tell runs apart at a glance; the hash behind them does it exactly."""
    words = config["words"]
    parts = [words.get("model", "model"), f"x{config['scale']}"]
    if not is_trained(config):
        return parts
    usual = {"convolution": "plain", "init": "default", "method": "supervised", "optimizer": "adam"}
    usual |= {"scheduler": "multistep", "clipping": "none", "averaging": "none"}
    if "activation" in config["model"]:
        parts.append(words.get("activation", ""))
    parts += [words[k] for k, word in usual.items() if words.get(k, word) != word]
    return [*parts, words.get("budget", ""), f"s{config['seed']}"]
