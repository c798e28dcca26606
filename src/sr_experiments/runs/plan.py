"""What a run is, before anything is computed: its images, parents, identity and directory.

Nothing here imports torch.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_experiments.config.choices import default_choices
from sr_experiments.config.compose import parent_config
from sr_experiments.config.schema import RunConfig
from sr_experiments.core.errors import UserError
from sr_experiments.data.sources import ImageFiles, find_images, refuse_overlap
from sr_experiments.runs.directory import RunDirectory, find, slug
from sr_experiments.runs.identity import identity


@dataclass(frozen=True)
class Plan:
    """All that is known of a run before anything is computed.

    Attributes:
        config: resolved.
        images: role (``train``, ``val``, ``benchmark/NAME``) -> its files.
        directory: where the run is, or will be.
        title: a few words for people.
        start: the run whose weights this one begins with.
        teacher: the run whose network this one learns from.
        reference: the run this one is compared with.
        weights: SHA-256 of the file of weights this run begins with, or scores.
        lacks_images: some could not be found, which only a :class:`Planner` that goes on without
            them lets through; ``images`` is empty, and the identity a stand-in that still tells
            runs apart by all that can change their results.
    """

    config: RunConfig
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
        return self.config.paths.runs

    @property
    def trained(self) -> bool:
        """Whether there is anything to train."""
        return self.config.is_trained

    @property
    def done(self) -> bool:
        """Whether it is finished; never where images are missing."""
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


def plan(config: RunConfig) -> Plan:
    """Find a run's images, parents, identity and directory.

    Raises:
        UserError: missing images, a run that is its own parent, or a part of the network that
            the model has no place for.
    """
    return Planner().plan(config)


class Planner:
    """Plans runs; a parent that several have in common is planned once.

    Args:
        tolerant: carry on where images are missing.

    Attributes:
        missing: which images could not be found, and why; one line each.
    """

    def __init__(self, tolerant: bool = False) -> None:
        self.tolerant = tolerant
        self.missing: list[str] = []
        self._known: dict[str, Plan] = {}

    def plan(self, config: RunConfig, descendants: tuple[RunConfig, ...] = ()) -> Plan:
        """Find a run's images, parents, identity and directory.

        Args:
            config: of the run.
            descendants: configs of the runs that wait for this one, to notice a circle.

        Raises:
            UserError: see :func:`plan`.
        """
        key = repr(config.changes)
        if not descendants:  # a sweep's choices reach its references, where they may mean nothing
            _refuse_idle_choices(config)
        if key not in self._known:
            self._known[key] = self._plan(config, descendants)
        return self._known[key]

    def _plan(self, config: RunConfig, descendants: tuple[RunConfig, ...]) -> Plan:
        if any(config.plain() == other.plain() for other in descendants):
            raise UserError(
                "own-parent",
                "start={start}, teacher={teacher}, reference={reference}: one of these parents is "
                "this very run",
                start=config.start,
                teacher=config.teacher,
                reference=config.reference,
            )
        line = (*descendants, config)
        start = self._start(config, line)
        teacher = self._teacher(config, line)
        reference = None
        if config.is_compared:
            reference = self.plan(parent_config(config, "reference"), line)
        images = self._images(config)
        weights = weights_of(config)
        parents = {"start": start.identity} if start else {}
        parents |= {"teacher": teacher.identity} if teacher else {}
        parents |= {"weights": weights} if weights else {}
        found = {role: files.fingerprint for role, files in (images or {}).items()}
        own = identity(config, _stand_in(config) if images is None else found, parents)
        names = _title(config)
        return Plan(
            config=config,
            images=images or {},
            directory=find(config.paths.runs, config.name, slug(names), own),
            title=" ".join(names),
            start=start,
            reference=reference,
            weights=weights,
            teacher=teacher,
            lacks_images=images is None,
        )

    def _start(self, config: RunConfig, line: tuple[RunConfig, ...]) -> Plan | None:
        """The run to begin with; one that trains nothing scores another's weights by it."""
        if not config.start:
            if config.start_optimizer and config.is_trained:
                raise UserError(
                    "optimizer-without-start",
                    "start_optimizer=true: needs a run to begin with, start={{...}}",
                )
            return None
        start = self.plan(parent_config(config, "start"), line)
        if start.trained:
            return start
        if config.is_trained:
            raise UserError(
                "untrained-start",
                "start={start}: that run trains nothing to begin with",
                start=config.start,
            )
        return None  # bicubic in a sweep whose networks begin with others

    def _teacher(self, config: RunConfig, line: tuple[RunConfig, ...]) -> Plan | None:
        """The run to learn from, where the method has a place for one."""
        if not config.needs_teacher:
            return None
        if not config.teacher:
            raise UserError(
                "no-teacher",
                "method={method}: needs a teacher; set teacher={{model: edsr}}, or any other "
                "differences that make a run to learn from",
                method=config.choices["method"],
            )
        wanted = parent_config(config, "teacher", method="supervised")
        if wanted.scale != config.scale:
            raise UserError(
                "teacher-scale",
                "teacher={teacher}: its scale is {its} and the student's {own}; they must be equal",
                teacher=config.teacher,
                its=wanted.scale,
                own=config.scale,
            )
        teacher = self.plan(wanted, line)
        if not (teacher.trained or teacher.weights):
            raise UserError(
                "untrained-teacher",
                "teacher={teacher}: that run has no trained weights",
                teacher=config.teacher,
            )
        return teacher

    def _images(self, config: RunConfig) -> dict[str, ImageFiles] | None:
        try:
            return find_all(config)
        except UserError as error:
            if not self.tolerant:
                raise
            reason = str(error).splitlines()[0]
            if reason not in self.missing:
                self.missing.append(reason)
            return None


def _stand_in(config: RunConfig) -> dict[str, str]:
    """In place of the fingerprints of images, which images the config names."""
    wanted: dict[str, Any] = {"benchmarks": config.benchmarks.sets}
    if config.is_trained:
        wanted |= {"train": config.data.train.model_dump(), "val": config.data.val.model_dump()}
    text = json.dumps(wanted, sort_keys=True)
    return {"missing": hashlib.sha256(text.encode()).hexdigest()}


def _refuse_idle_choices(config: RunConfig) -> None:
    """Refuse a part of the network that was chosen and that the model has no place for."""
    for change in config.changes:
        if change.key in ("activation", "convolution") and change.key not in config.model:
            raise UserError(
                "no-place-in-model",
                "{key}={choice}, model={model}: it has no {key}",
                key=change.key,
                choice=change.value,
                model=config.choices["model"],
            )


def weights_of(config: RunConfig) -> str | None:
    """SHA-256 of the file of weights: its content counts, not its place."""
    if config.weights is None:
        return None
    if config.start:
        raise UserError(
            "weights-and-start",
            "weights={weights}, start={start}: a run begins with one of them, not both",
            weights=config.weights,
            start=config.start,
        )
    try:
        with Path(config.weights).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            "weights-unreadable",
            "weights={weights}: cannot be read ({reason})",
            weights=config.weights,
            reason=error.strerror or error,
        ) from None


def find_all(config: RunConfig) -> dict[str, ImageFiles]:
    """Role -> the images of a run.

    Raises:
        UserError: some are missing, or are both trained on and scored.
    """
    common: dict[str, Any] = {
        "root": config.paths.data,
        "cache": config.paths.cache,
        "lr_from_disk": config.data.lr == "disk",
        "scale": config.scale,
    }
    found = {}
    if config.is_trained:
        for role, source in (("train", config.data.train), ("val", config.data.val)):
            found[role] = find_images(source.source, numbers=source.numbers, **common)
        source = config.data.train
        for scale in config.further_scales:
            found[f"train/x{scale}"] = find_images(
                source.source, numbers=source.numbers, **common | {"scale": scale}
            )
    for name in config.benchmarks.sets:
        images = find_images(name, benchmark=True, **common)
        if f"benchmark/{images.name}" in found:
            raise UserError(
                "benchmark-twice", "benchmarks.sets: {name} is listed twice", name=images.name
            )
        found[f"benchmark/{images.name}"] = images
        if config.is_trained and not config.data.allow_overlap:
            refuse_overlap(found["train"], images)
    return found


def _title(config: RunConfig) -> list[str]:
    """What tells runs apart at a glance; the hash behind it does it exactly."""
    choices = config.choices
    parts = [choices["model"], f"x{config.scale}"]
    if not config.is_trained:
        return parts
    groups = ("convolution", "init", "method", "optimizer", "scheduler", "clipping", "averaging")
    if "activation" in config.model:
        parts.append(choices["activation"])
    parts += [choices[group] for group in groups if choices[group] != default_choices()[group]]
    return [*parts, choices["budget"], f"s{config.seed}"]
