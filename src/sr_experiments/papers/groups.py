"""Which runs may stand in one table.

A cell holds runs that differ in nothing but the seed. What may differ between columns is what the
columns select on; runs that differ in anything else (budget, network, training data, updates, any
other word) go to tables of their own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sr_experiments.papers.records import Run
from sr_experiments.papers.schema import PaperTable

#: Budgets from the largest; others come last.
BUDGETS = ("paper", "study", "quick", "smoke")
#: What always keeps runs apart.
SEPARATE = ("words.budget", "network.name", "network.size", "training.data")
#: What keeps runs of one scale apart as soon as they differ in it, besides their words.
RECIPE = tuple(
    f"training.{key}" for key in ("images", "updates", "batch_size", "patch_size", "precision")
)
PARAMETERS = "network.parameters"
#: Settings that a word or the scale stands for, or that a cell joins on purpose.
SPOKEN_FOR = ("seed", "scale", "model.scale", "model.activation.", "model.convolution.")
#: Words that change no network, only which data sets are scored with it.
HARMLESS = frozenset({"words.benchmarks"})


@dataclass(frozen=True)
class Group:
    """Runs of one table by column, and the values that hold them apart from the other tables."""

    runs: Mapping[str, Sequence[Run]]
    distinct: Mapping[str, Any]

    @property
    def members(self) -> list[Run]:
        """The runs of all columns, each once."""
        return list({r.identity: r for runs in self.runs.values() for r in runs}.values())


def holds(run: Run, where: Mapping[str, Any]) -> bool:
    """Whether every selector fits a run; a list of values means one of these."""
    return all(
        run.value(key) in (wanted if isinstance(wanted, list) else [wanted])
        for key, wanted in where.items()
    )


def budget_rank(budget: str) -> tuple[int, str]:
    """A sorting key: the largest budget first."""
    return (BUDGETS.index(budget) if budget in BUDGETS else len(BUDGETS), budget)


def split(source: PaperTable, matched: Mapping[str, Sequence[Run]]) -> list[Group]:
    """Set runs apart that must not meet in a table; the largest budget and network come first."""
    pairs = [(column, run) for column, runs in matched.items() for run in runs]
    words = {f"words.{word}" for _, run in pairs for word in run.words}
    settings = {
        f"settings.{key}"
        for _, run in pairs
        for key in run.settings
        if not key.startswith(SPOKEN_FOR)
    }
    candidates = (words | settings | {*RECIPE, PARAMETERS}) - HARMLESS - set(SEPARATE)
    # A column may have its own value of what the columns select on, and its own parameters.
    own = {PARAMETERS} | {
        key
        for column in source.columns
        for key in column.where
        if len({repr(other.where.get(key)) for other in source.columns}) > 1
    }
    keys = [key for key in sorted(candidates) if _differs(pairs, key, across=key not in own)]
    groups: dict[tuple[str, ...], dict[str, list[Run]]] = {}
    for column, run in pairs:
        group = groups.setdefault(_values(run, (*SEPARATE, *keys)), {})
        group.setdefault(column, []).append(run)
    found = []
    for _, group in sorted(groups.items()):
        first = next(iter(group.values()))[0]
        found.append(Group(group, {key: first.value(key) for key in keys}))
    return sorted(found, key=_rank)


def _differs(pairs: Iterable[tuple[str, Run]], key: str, across: bool) -> bool:
    """Whether runs that would meet, in a cell or ``across`` the columns, differ in a value."""
    seen: dict[tuple[Any, ...], set[str]] = {}
    for column, run in pairs:
        meeting = (*_values(run, SEPARATE), run.scale, None if across else column)
        seen.setdefault(meeting, set()).add(repr(run.value(key)))
    return any(len(values) > 1 for values in seen.values())


def _values(run: Run, keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(repr(run.value(key)) for key in keys)


def _rank(group: Group) -> tuple[tuple[int, str], int]:
    runs = group.members
    sizes = [run.network.parameters for run in runs if run.network is not None]
    return budget_rank(runs[0].budget), -max(sizes, default=0)
