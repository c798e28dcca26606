"""A run's config beside its paper's recipe, setting by setting."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from sr_experiments.report.evidence.groups import same_value
from sr_experiments.report.evidence.table import Table
from sr_experiments.report.paper.load import LOADER
from sr_experiments.report.paper.recipe import Recipe, Setting, Source, Value, untold
from sr_experiments.runs.records import CONFIG


@dataclass(frozen=True)
class Deviation:
    """A setting that is not the paper's; ``ours`` is None where the config lacks it."""

    path: str
    ours: Any
    papers: Value
    setting: Setting


def flat(config: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    """A nested config by dotted paths; sequences stay whole, empty mappings are None."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        path = f"{head}{key}"
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{path}.")
        else:
            found[path] = None if isinstance(value, Mapping) else value
    return found


def deviations(recipe: Recipe, config: Mapping[str, Any], scale: int) -> list[Deviation]:
    """Compare a config with a recipe.

    Args:
        recipe: the settings of a column.
        config: of a run (``config.yaml``) or as composed, resolved; nested or by dotted paths.
        scale: of the run; settings that the recipe does not tell at it are passed over.

    Returns:
        What differs, in the recipe's order. A setting that the config lacks is null.
    """
    ours = flat(config)
    found = []
    for path, setting in recipe.items():
        told, wanted = setting.at(scale)
        if told and not _equal(ours.get(path), wanted):
            found.append(Deviation(path, ours.get(path), wanted, setting))
    return found


def _equal(ours: Any, wanted: Value) -> bool:
    if isinstance(wanted, list):
        return (
            isinstance(ours, Sequence)
            and not isinstance(ours, str)
            and len(ours) == len(wanted)
            and all(same_value(a, b) for a, b in zip(ours, wanted, strict=True))
        )
    return same_value(ours, wanted)


@dataclass(frozen=True)
class ComparedRecipe:
    """The runs of a table beside the recipe of their columns.

    Attributes:
        deviations: each with the labels of the columns and scales that it concerns; none if all.
        equal: number of settings that are the paper's in every run, by source.
        untold: aspects that the recipe of some column says nothing of.
        unread: folders of runs whose config could not be read.
    """

    deviations: Sequence[tuple[Deviation, str]] = ()
    equal: Mapping[Source, int] = field(default_factory=dict)
    untold: Sequence[str] = ()
    unread: Sequence[str] = ()

    @property
    def to_the_letter(self) -> bool:
        """Whether a whole recipe was compared, and nothing differs."""
        return bool(self.equal) and not (self.deviations or self.untold or self.unread)


def compare_recipes(table: Table) -> ComparedRecipe:
    """Compare all runs of a table with the recipes of their columns."""
    found: dict[tuple[str, str, str], tuple[Deviation, list[str]]] = {}
    compared: dict[str, Source] = {}
    places: list[str] = []
    lacking: list[str] = []
    unread: list[str] = []
    for column in table.source.columns:
        recipe = table.source.recipe_of(column)
        for run in table.group.runs.get(column.id, ()):
            place = f"{column.label} x{run.scale}"
            places.append(place)
            lacking += untold(recipe)
            config = config_of(run.directory)
            if config is None:
                unread.append(run.directory.name)
                continue
            compared |= {path: setting.source for path, setting in recipe.items()}
            for deviation in deviations(recipe, config, run.scale):
                key = deviation.path, repr(deviation.ours), repr(deviation.papers)
                found.setdefault(key, (deviation, []))[1].append(place)
    everywhere = set(places)
    differing = {path for path, _, _ in found}
    return ComparedRecipe(
        [
            (deviation, "" if set(at) == everywhere else ", ".join(dict.fromkeys(at)))
            for deviation, at in found.values()
        ],
        Counter(source for path, source in compared.items() if path not in differing),
        list(dict.fromkeys(lacking)),
        list(dict.fromkeys(unread)),
    )


def config_of(directory: Path) -> Mapping[str, Any] | None:
    """The resolved config of a run's directory; None if it cannot be read."""
    path = directory / CONFIG
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


@lru_cache(maxsize=1024)
def _parsed(path: Path, _changed: int) -> Mapping[str, Any] | None:
    """A config file, read once for all renderings."""
    data = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)
    return data if isinstance(data, Mapping) else None
