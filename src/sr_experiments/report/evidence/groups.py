"""Which runs may stand in one table.

A cell holds runs that differ in nothing but the seed. What may differ between columns is what the
columns select on; runs that differ in anything else (budget, network, training data, updates, any
other word) go to tables of their own.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sr_experiments.report.paper.definition import PaperNetwork, PaperTable
from sr_experiments.runs import records
from sr_experiments.runs.records import Run

#: Budgets from the largest; others come last.
BUDGETS = ("paper", "study", "quick", "smoke")
#: What always keeps runs apart.
SEPARATE = ("choices.budget", "network.name", "network.size", "training.data")
#: What keeps runs of one scale apart as soon as they differ in it, besides their choices.
RECIPE = tuple(
    f"training.{key}" for key in ("images", "updates", "batch_size", "patch_size", "precision")
)
PARAMETERS = "network.parameters"
#: Settings that a word or the scale stands for, or that a cell joins on purpose.
SPOKEN_FOR = ("seed", "scale", "model.scale", "model.activation.", "model.convolution.")
#: The runs of the reference that stands beside the columns.
BICUBIC_RUNS = {"choices.model": "bicubic", "choices.method": "none"}
#: Words that say nothing of their own: which data sets are scored, and the name of a network whose
#: class and sizes are compared themselves (`edsr` and `edsr_baseline` are one at small budgets).
HARMLESS = frozenset({"choices.benchmarks", "choices.model"})


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
        any(
            _same(run.value(key), one) for one in (wanted if isinstance(wanted, list) else [wanted])
        )
        for key, wanted in where.items()
    )


def _listed(wanted: Any) -> list[Any]:
    return wanted if isinstance(wanted, list) else [wanted]


def _same(value: Any, wanted: Any) -> bool:
    """Equal as YAML means it: 1 is 1.0, but true is not 1; rates come from arithmetic."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return math.isclose(value, wanted, rel_tol=1e-9)
    return bool(value == wanted)


def fits(ours: records.NetworkRecord | None, wanted: PaperNetwork) -> bool:
    """Whether a run's network has the name and size of the paper's."""
    found = (ours.name.lower(), ours.size) if ours is not None else None
    return found == (wanted.name.lower(), wanted.size)


def budget_rank(budget: str) -> tuple[int, str]:
    """A sorting key: the largest budget first."""
    return (BUDGETS.index(budget) if budget in BUDGETS else len(BUDGETS), budget)


def split(source: PaperTable, matched: Mapping[str, Sequence[Run]]) -> list[Group]:
    """Set runs apart that must not meet in a table; the largest budget and network come first.

    A column takes runs of other experiments than the table's only for lack of that one's. Of the
    groups of a budget those of a single column are left out as soon as another has more: they
    are runs of other questions that happen to fit a column, such as a teacher.
    """
    pairs = [(column, run) for column, runs in matched.items() for run in _preferred(source, runs)]
    choices = {f"choices.{group}" for _, run in pairs for group in run.choices}
    settings = {
        f"settings.{key}"
        for _, run in pairs
        for key in run.settings
        if not key.startswith(SPOKEN_FOR)
    }
    own = _own(source)
    separate = [key for key in SEPARATE if not key.startswith(own)]
    candidates = (choices | settings | {*RECIPE, *SEPARATE}) - HARMLESS - set(separate)

    def differs(key: str, apart: Sequence[str]) -> bool:
        return _differs(pairs, key, apart, across=not key.startswith(own))

    keys = [key for key in sorted(candidates) if differs(key, separate)]
    # They follow from the settings and the scale, so they only tell apart what these do not.
    if differs(PARAMETERS, [*separate, *keys]):
        keys.append(PARAMETERS)
    groups: dict[tuple[str, ...], dict[str, list[Run]]] = {}
    for column, run in pairs:
        group = groups.setdefault(_values(run, (*separate, *keys)), {})
        group.setdefault(column, []).append(run)
    # The first of the values is the budget.
    compared = {values[0] for values, group in groups.items() if len(group) > 1}
    groups = {v: group for v, group in groups.items() if len(group) > 1 or v[0] not in compared}
    found = []
    for _, group in sorted(groups.items()):
        first = next(iter(group.values()))[0]
        found.append(Group(group, {key: first.value(key) for key in keys}))
    return sorted(found, key=_rank)


def _preferred(source: PaperTable, runs: Sequence[Run]) -> list[Run]:
    """Runs of a column: those of other experiments only where it asks for them and has none.

    It asks for the scales that are in print and for those of its own runs; with neither, for any.
    """
    own = {
        (run.scale, *_values(run, SEPARATE)) for run in runs if run.experiment == source.experiment
    }
    scales = {*source.published, *(scale for scale, *_ in own)}
    return [
        run
        for run in runs
        if run.experiment == source.experiment
        or ((run.scale in scales or not scales) and (run.scale, *_values(run, SEPARATE)) not in own)
    ]


def _own(source: PaperTable) -> tuple[str, ...]:
    """Heads of the keys of which a column may have a value of its own.

    These are its parameters, what the columns select on with all settings that a word stands for,
    and what the table names.
    """
    selected = {
        key
        for column in source.columns
        for key in column.where
        if len({repr(other.where.get(key)) for other in source.columns}) > 1
    }
    groups = {
        f"settings.{key.removeprefix('choices.')}."
        for key in selected
        if key.startswith("choices.")
    }
    return (PARAMETERS, *sorted(selected | groups), *source.varies)


def _differs(
    pairs: Iterable[tuple[str, Run]], key: str, separate: Sequence[str], across: bool
) -> bool:
    """Whether runs that would meet, in a cell or ``across`` the columns, differ in a value."""
    seen: dict[tuple[Any, ...], set[str]] = {}
    for column, run in pairs:
        meeting = (*_values(run, separate), run.scale, None if across else column)
        seen.setdefault(meeting, set()).add(repr(run.value(key)))
    return any(len(values) > 1 for values in seen.values())


def _values(run: Run, keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(repr(run.value(key)) for key in keys)


def _rank(group: Group) -> tuple[tuple[int, str], int]:
    runs = group.members
    sizes = [run.network.parameters for run in runs if run.network is not None]
    return budget_rank(runs[0].budget), -max(sizes, default=0)
