"""What a run is, before anything is computed: its pictures, parents, identity and directory.

Nothing here imports torch.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from sr_experiments.config.parents import parent_config
from sr_experiments.config.schema import plain
from sr_experiments.core.errors import UserError
from sr_experiments.data.sources import ImageFiles, find_images, refuse_overlap
from sr_experiments.runs.directory import RunDirectory, find, slug
from sr_experiments.runs.identity import identity, is_trained


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
        lacks_images: some could not be found, which only a :class:`Planner` that goes on without
            them lets through; ``pictures`` is empty, and the identity a stand-in that still tells
            runs apart by all that can change their results.
    """

    config: Mapping[str, Any]
    images: Mapping[str, ImageFiles]
    directory: RunDirectory
    title: str
    start: "Plan | None" = None
    reference: "Plan | None" = None
    weights: str | None = None
    teacher: "Plan | None" = None
    lacks_images: bool = False

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

    @property
    def done(self) -> bool:
        """Whether it is finished; never where pictures are missing."""
        return not self.lacks_images and self.directory.is_finished()

    @property
    def parents(self) -> "dict[str, Plan]":
        """The runs that have to be there first, by what they are to this one."""
        roles = {"start": self.start, "teacher": self.teacher, "reference": self.reference}
        return {role: parent for role, parent in roles.items() if parent is not None}

    def line(self) -> "dict[str, Plan]":
        """This run and all that it stands on, parents first, by identity."""
        found: dict[str, Plan] = {}
        for parent in self.parents.values():
            found |= parent.line()
        return found | {self.identity: self}

    def ahead(self) -> "dict[str, Plan]":
        """What of it is still to be computed; a finished run asks for no parents."""
        if self.done:
            return {}
        found: dict[str, Plan] = {}
        for parent in self.parents.values():
            found |= parent.ahead()
        return found | {self.identity: self}


def plan(cfg: DictConfig) -> Plan:
    """Find a run's pictures, parents, identity and directory.

    Raises:
        UserError: missing pictures, a run that is its own parent, or a part of the network that
            the model has no place for.
    """
    return Planner().plan(cfg)


class Planner:
    """Plans runs; a parent that several have in common is looked at once.

    Args:
        tolerant: go on where pictures are missing.

    Attributes:
        missing: which pictures could not be found, and why; one line each.
    """

    def __init__(self, tolerant: bool = False) -> None:
        self.tolerant = tolerant
        self.missing: list[str] = []
        self._known: dict[tuple[str, ...], Plan] = {}

    def plan(self, cfg: DictConfig, descendants: tuple[Mapping[str, Any], ...] = ()) -> Plan:
        """Find a run's pictures, parents, identity and directory.

        Args:
            cfg: of the run.
            descendants: configs of the runs that wait for this one, to notice a circle.

        Raises:
            UserError: see :func:`plan`.
        """
        key = tuple(cfg.overrides)
        if not descendants:  # a sweep's words reach its references, where they may mean nothing
            _refuse_idle_words(cfg)
        if key not in self._known:
            self._known[key] = self._plan(cfg, descendants)
        return self._known[key]

    def _plan(self, cfg: DictConfig, descendants: tuple[Mapping[str, Any], ...]) -> Plan:
        config = plain(cfg)
        bare = {k: v for k, v in config.items() if k != "overrides"}
        if bare in descendants:
            roles = ("start", "teacher", "reference")
            given = ", ".join(f"{role}={config[role]}" for role in roles)
            raise UserError(f"{given}: one of these parents is this very run")
        line = (*descendants, bare)
        start = self._start(cfg, config, line)
        teacher = self._teacher(cfg, config, line)
        reference = None
        if is_compared(config):
            reference = self.plan(parent_config(cfg, config, "reference"), line)
        pictures = self._pictures(config)
        weights = weights_of(config)
        parents = {"start": start.identity} if start else {}
        parents |= {"teacher": teacher.identity} if teacher else {}
        parents |= {"weights": weights} if weights else {}
        found = {role: p.fingerprint for role, p in (pictures or {}).items()}
        own = identity(config, _asked_for(config) if pictures is None else found, parents)
        words = _words(config)
        directory = find(Path(config["paths"]["runs"]), config["name"], slug(words), own)
        return Plan(
            config=config,
            images=pictures or {},
            directory=directory,
            title=" ".join(words),
            start=start,
            reference=reference,
            weights=weights,
            teacher=teacher,
            lacks_images=pictures is None,
        )

    def _start(
        self, cfg: DictConfig, config: Mapping[str, Any], line: tuple[Mapping[str, Any], ...]
    ) -> Plan | None:
        """The run to begin with; one that trains nothing scores another's weights by it."""
        if not config["start"]:
            if config["start_optimizer"] and is_trained(config):
                raise UserError("start_optimizer=true: needs a run to begin with, start={...}")
            return None
        start = self.plan(parent_config(cfg, config, "start"), line)
        if start.trained:
            return start
        if is_trained(config):
            raise UserError(f"start={config['start']}: that run trains nothing to begin with")
        return None  # bicubic in a sweep whose networks begin with others

    def _teacher(
        self, cfg: DictConfig, config: Mapping[str, Any], line: tuple[Mapping[str, Any], ...]
    ) -> Plan | None:
        """The run to learn from, where the method has a place for one."""
        if "teacher" not in (config["method"] or {}):
            return None
        word = config["words"].get("method", "method")
        if not config["teacher"]:
            raise UserError(
                f"method={word}: needs a teacher; say teacher={{model:edsr}}, or any overrides "
                "that make a run to learn from"
            )
        wanted = parent_config(cfg, config, "teacher", "method=supervised")
        if wanted.scale != config["scale"]:
            raise UserError(
                f"teacher={config['teacher']}: enlarges by {wanted.scale} and its student by "
                f"{config['scale']}; they need the same scale"
            )
        teacher = self.plan(wanted, line)
        if not (teacher.trained or teacher.weights):
            raise UserError(f"teacher={config['teacher']}: that run has no trained weights")
        return teacher

    def _pictures(self, config: Mapping[str, Any]) -> dict[str, ImageFiles] | None:
        try:
            return find_all(config, is_trained(config))
        except UserError as error:
            if not self.tolerant:
                raise
            reason = str(error).splitlines()[0]
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


def _refuse_idle_words(cfg: DictConfig) -> None:
    """Refuse a part of the network that was asked for and that the model has no place for."""
    for override in cfg.overrides:
        key, _, word = override.lstrip("+").partition("=")
        if key in ("activation", "convolution") and key not in cfg.model:
            raise UserError(f"{key}={word}, model={cfg.words.model}: it has no {key}")


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


def is_compared(config: Mapping[str, Any]) -> bool:
    """Whether a run is set beside its reference."""
    # A run that trains nothing is a reference itself.
    return bool(config["reference"]) and is_trained(config)


def find_all(config: Mapping[str, Any], trained: bool) -> dict[str, ImageFiles]:
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
            found[role] = find_images(source["source"], numbers=source["numbers"], **common)
        source = data["train"]
        for scale in further_scales(config):
            found[f"train/x{scale}"] = find_images(
                source["source"], numbers=source["numbers"], **common | {"scale": scale}
            )
    for name in config["benchmarks"]["sets"]:
        pictures = find_images(name, **common)
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
