"""What a paper's runs could have shown: power, noise of seeds, and deviations from the recipe."""

import statistics
from collections.abc import Sequence

from sr_experiments.report.evidence.cells import mean_cells
from sr_experiments.report.evidence.deviations import ComparedRecipe, Deviation, compare_recipes
from sr_experiments.report.evidence.groups import budget_rank
from sr_experiments.report.evidence.table import Table
from sr_experiments.report.evidence.verdicts import Verdict
from sr_experiments.report.paper.recipe import Source
from sr_experiments.report.render.table_text import fixed

DIGITS = {"dB": 3, "%": 2, "SSIM": 4, "x": 2}
SOURCES: dict[Source, str] = {
    "printed": "printed",
    "inferred": "inferred",
    "chosen": "chosen by us",
}


def power(verdicts: Sequence[Verdict]) -> list[str]:
    """For every budget, the effects that its runs find with a chance of 80 %, without Holm."""
    lines = []
    budgets = {tuple(v.budgets) for v in verdicts if v.outcome != "no runs"}
    for names in sorted(budgets, key=lambda budget: [budget_rank(name) for name in budget]):
        own = [v for v in verdicts if tuple(v.budgets) == names and v.outcome != "no runs"]
        by_unit: dict[str, list[float]] = {}
        for verdict in own:
            if verdict.detectable is not None:
                by_unit.setdefault(verdict.unit, []).append(verdict.detectable)
        parts = [
            f"{_range(values, unit)} ({_claims(len(values))})" for unit, values in by_unit.items()
        ]
        rest = sum(v.detectable is None for v in own)
        budget = ", ".join(f"budget={name}" for name in names)
        if not parts:
            lines.append(f"{budget}: no effect of any size could be seen")
            continue
        text = f"{budget}: with a chance of 80 %, before Holm's correction, {', '.join(parts)}"
        lines.append(f"{text}; nothing for {_claims(rest)}" if rest else text)
    return lines


def seed_spread(table: Table) -> str:
    """Standard deviation over seeds of every recipe's mean PSNR; empty below two seeds."""
    parts = []
    for scale in sorted({row.scale for row in table.rows}):
        average = table.source.average
        rows = [
            row
            for row in table.rows
            if row.scale == scale and (average is None or row.dataset != average.label)
        ]
        for column in table.source.columns:
            cell = mean_cells([row.ours[column.id] for row in rows if column.id in row.ours]).get(
                "psnr"
            )
            if cell is not None and cell.spread is not None:
                spread = fixed(cell.spread, 3)
                parts.append(f"x{scale} {column.label} {spread} dB ({cell.n} seeds)")
    return ", ".join(parts)


def recipe_summary(table: Table) -> str:
    """How much of the recipe was compared with the paper's, and how much of it differs."""
    if not table.group.members:
        return ""
    found = compare_recipes(table)
    if not found.equal and not found.deviations:
        return "not compared: " + _why_not(found)
    count = sum(found.equal.values())
    kinds = ", ".join(
        f"{found.equal[s]} {text}" for s, text in SOURCES.items() if found.equal.get(s)
    )
    text = f"{count} settings are the paper's ({kinds})" if count else "no setting is the paper's"
    text += f"; {len(found.deviations)} differ" if found.deviations else "; none differs"
    if found.untold or found.unread:
        text += f"; compared in part only: {_why_not(found)}"
    return text


def recipe_deviations(table: Table) -> list[str]:
    """A line for every setting that is not the paper's."""
    return [_deviation(*pair) for pair in compare_recipes(table).deviations]


def recipe_verdict(table: Table, target: str) -> str:
    """What budget=paper is allowed to say of itself."""
    found = compare_recipes(table)
    if found.to_the_letter:
        kinds = ", ".join(
            f"{found.equal[s]} {text}" for s, text in SOURCES.items() if found.equal.get(s)
        )
        return f"the recipe to the letter, compared setting by setting ({kinds})"
    if found.deviations:
        names = ", ".join(dict.fromkeys(deviation.path for deviation, _ in found.deviations[:3]))
        more = len(found.deviations) - 3
        names += f" and {more} more" if more > 0 else ""
        return f"but not the paper's recipe ({names}): it is not a reproduction of {target}"
    return f"but the recipe was not compared as a whole ({_why_not(found)})"


def _why_not(found: ComparedRecipe) -> str:
    if found.unread:
        return f"no readable config.yaml in {', '.join(found.unread[:3])}"
    if not found.equal and not found.deviations:
        return "no setting of the paper's recipe is written down"
    return f"nothing is written down of {', '.join(found.untold)}"


def _deviation(deviation: Deviation, where: str) -> str:
    setting = deviation.setting
    known = SOURCES[setting.source] + (f", {setting.section}" if setting.section else "")
    at = f" ({where})" if where else ""
    values = f"{_shown(deviation.ours)}; paper {_shown(deviation.papers)}"
    return f"{deviation.path}{at}: {values} ({known})"


def _shown(value: object) -> str:
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _range(values: Sequence[float], unit: str) -> str:
    digits = DIGITS.get(unit, 3)
    low, high, middle = min(values), max(values), statistics.median(values)
    name = "times" if unit == "x" else unit
    if len(values) == 1:
        return f"{low:.{digits}f} {name}"
    return f"{low:.{digits}f} to {high:.{digits}f} {name}, median {middle:.{digits}f}"


def _claims(count: int) -> str:
    return f"{count} claim{'s' * (count != 1)}"
