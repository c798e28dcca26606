"""Grouping of runs into tables.

Runs of one cell differ in nothing but the seed. Columns may differ in what they select on; runs
that differ in anything else (budget, network, training data, updates, any other choice) go to
tables of their own.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sr_experiments.report.evidence.curves import best_runs
from sr_experiments.report.paper.definition import PaperNetwork, PaperTable
from sr_experiments.runs.records import NetworkRecord, Run

#: Budgets, the largest first; others follow.
BUDGETS = ("paper", "study", "desk", "quick", "smoke")
#: Runs that differ in one of these never share a table.
SEPARATE = ("choices.budget", "network.name", "network.size", "training.data")
#: Besides choices and settings, what sets runs of one scale apart if they differ in it.
RECIPE = tuple(
    f"training.{key}" for key in ("images", "updates", "batch_size", "patch_size", "precision")
)
PARAMETERS = "network.parameters"
#: Settings that follow from a choice or the scale, and the seed, over which a cell averages.
IMPLIED = ("seed", "scale", "model.scale", "model.activation.", "model.convolution.")
#: Selector of the bicubic runs, the reference beside the columns.
BICUBIC_RUNS = {"choices.model": "bicubic", "choices.method": "none"}
#: Choices without an effect of their own: which data sets are scored, and the name of a network,
#: whose class and size are compared instead (`edsr` and `edsr_baseline` are one at small budgets).
NEUTRAL = frozenset({"choices.benchmarks", "choices.model"})


@dataclass(frozen=True)
class Group:
    """Runs of one table by column, and the values that set them apart from the other tables.

    ``notes`` say which of several values of a tuned setting was chosen.
    """

    runs: Mapping[str, Sequence[Run]]
    distinct: Mapping[str, Any]
    notes: Sequence[str] = ()

    @property
    def members(self) -> list[Run]:
        """The runs of all columns, each once."""
        return list({r.identity: r for runs in self.runs.values() for r in runs}.values())


def holds(run: Run, where: Mapping[str, Any]) -> bool:
    """Whether a run matches every selector; of a list of values, any."""
    return all(
        any(
            same_value(run.value(key), value)
            for value in (values if isinstance(values, list) else [values])
        )
        for key, values in where.items()
    )


def same_value(value: Any, wanted: Any) -> bool:
    """Whether two YAML values are equal: 1 is 1.0 but not true; floats may come from arithmetic."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return math.isclose(value, wanted, rel_tol=1e-9)
    return bool(value == wanted)


def fits(ours: NetworkRecord | None, wanted: PaperNetwork) -> bool:
    """Whether a run's network has the name and size of the paper's."""
    found = (ours.name.lower(), ours.size) if ours is not None else None
    return found == (wanted.name.lower(), wanted.size)


def budget_rank(budget: str) -> tuple[int, str]:
    """A sorting key: the largest budget first."""
    return (BUDGETS.index(budget) if budget in BUDGETS else len(BUDGETS), budget)


def split(source: PaperTable, matched: Mapping[str, Sequence[Run]]) -> list[Group]:
    """Split the runs of a table into groups that share a recipe, the largest budget first.

    A column takes runs of other experiments only where it has none of the table's own. Groups with
    a single column are dropped if another group of the same budget has more: they are runs made
    for another purpose that happen to match a column, such as a teacher. Where the table asks for
    the best of a setting, runs may differ in it, and those of its best value are kept.

    Args:
        source: the table in print.
        matched: the runs that match each column.
    """
    pairs = [(column, run) for column, runs in matched.items() for run in _preferred(source, runs)]
    choices = {f"choices.{group}" for _, run in pairs for group in run.choices}
    settings = {
        f"settings.{key}" for _, run in pairs for key in run.settings if not key.startswith(IMPLIED)
    }
    own = _own(source)
    separate = [key for key in SEPARATE if not key.startswith(own)]
    candidates = (choices | settings | {*RECIPE, *SEPARATE}) - NEUTRAL - set(separate)
    if source.best_of is not None:
        candidates -= set(source.best_of.settings)

    def differs(key: str, apart: Sequence[str]) -> bool:
        return _differs(pairs, key, apart, across=not key.startswith(own))

    keys = [key for key in sorted(candidates) if differs(key, separate)]
    # Parameters follow from settings and scale: a key only where these do not tell runs apart.
    if differs(PARAMETERS, [*separate, *keys]):
        keys.append(PARAMETERS)
    groups: dict[tuple[str, ...], dict[str, list[Run]]] = {}
    for column, run in pairs:
        group = groups.setdefault(_values(run, (*separate, *keys)), {})
        group.setdefault(column, []).append(run)
    # The first of the values is the budget.
    compared = {values[0] for values, group in groups.items() if len(group) > 1}
    groups = {v: group for v, group in groups.items() if len(group) > 1 or v[0] not in compared}
    split_groups = []
    for _, group in sorted(groups.items()):
        first = next(iter(group.values()))[0]
        notes: list[str] = []
        if source.best_of is not None:
            best = {
                column.id: best_runs(source.best_of, column, group[column.id], notes)
                for column in source.columns
                if column.id in group
            }
            group = {column: runs for column, runs in best.items() if runs}
            if not group:  # all diverged, for one
                continue
        split_groups.append(Group(group, {key: first.value(key) for key in keys}, notes))
    return sorted(split_groups, key=_rank)


def _preferred(source: PaperTable, runs: Sequence[Run]) -> list[Run]:
    """Runs of a column: of other experiments only at scales where the table's own has none.

    These are limited to the scales that are in print or that its own runs have, if there are any.
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
    """Prefixes of the keys in which columns may differ.

    These are the number of parameters, what the columns select on with all settings that follow
    from it, and the keys that the table declares in ``varies``.
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
    """Whether runs that would share a cell, or a row if ``across`` columns, differ in a value."""
    seen: dict[tuple[Any, ...], set[str]] = {}
    for column, run in pairs:
        place = (*_values(run, separate), run.scale, None if across else column)
        seen.setdefault(place, set()).add(repr(run.value(key)))
    return any(len(values) > 1 for values in seen.values())


def _values(run: Run, keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(repr(run.value(key)) for key in keys)


def _rank(group: Group) -> tuple[tuple[int, str], int]:
    runs = group.members
    sizes = [run.network.parameters for run in runs if run.network is not None]
    return budget_rank(runs[0].budget), -max(sizes, default=0)
