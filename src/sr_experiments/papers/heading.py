"""What stands above and below a table: how its numbers came about, and what they may be used for.

A table never shows a number without its protocol, budget, network size and number of seeds.
"""

from collections.abc import Callable, Iterable, Sequence

from sr_experiments.papers.protocols import PSNR_RULES, SSIM_RULES
from sr_experiments.papers.records import Run
from sr_experiments.papers.table import Table


def heading(table: Table) -> list[tuple[str, str]]:
    """Label and text of every line above a table."""
    reference, members = table.paper.reference, table.group.members
    by = [", ".join(reference.authors), reference.affiliation, reference.venue]
    by.append(str(reference.year) if reference.year else None)
    lines = [
        ("Paper", f"{reference.title}. " + "; ".join(part for part in by if part)),
        ("Table", table.source.title),
        ("PSNR", _protocols(table, "psnr", PSNR_RULES)),
        ("SSIM", _protocols(table, "ssim", SSIM_RULES)),
        ("Network, paper", _paper_network(table)),
    ]
    if not members:
        return lines
    lines[2:2] = [("Budget", str(table.budget))]
    lines += [
        ("Network, ours", _our_network(table)),
        ("Training, ours", _per_scale(members, _training)),
        ("Images, ours", _images(table)),
        ("Seeds, ours", _seeds(table)),
    ]
    averaged = [c.label for c in table.source.columns if c.weights == "averaged"]
    if averaged:
        lines.append(("Weights", f"averaged for {', '.join(averaged)}; raw for the others"))
    if table.group.distinct:
        told = ", ".join(f"{key}={value}" for key, value in table.group.distinct.items())
        lines.append(("This table", f"only runs with {told}; the others have tables of their own"))
    return lines


def standing(table: Table) -> str:
    """What may be concluded from our side of a table, in a sentence."""
    if table.budget is None:
        experiment = table.paper.experiment
        return f"No finished run fits this table (experiment {experiment}): published numbers only."
    if table.budget != "paper":
        return (
            f"budget={table.budget} shows the direction of effects only; it is not a reproduction "
            "of the published numbers."
        )
    if not same_network(table):
        return (
            "budget=paper, but the network is not the paper's: this shows directions, and is not a "
            "reproduction."
        )
    return "budget=paper: the recipe to the letter; the differences are ours less the published."


def same_network(table: Table) -> bool:
    """Whether our network has the name and size of the paper's."""
    network = table.group.members[0].network
    if network is None:
        return False
    wanted = table.paper.network
    return (network.name.lower(), network.size) == (wanted.name.lower(), wanted.size)


def _protocols(table: Table, metric: str, rules: dict[str, str]) -> str:
    """The rule of a score by name, once if all data sets share it."""
    names: dict[str, list[str]] = {}
    for row in table.rows:
        average = table.source.average
        if average is None or row.dataset != average.label:
            rule = getattr(table.source.protocols(row.dataset), metric)
            datasets = names.setdefault(rule, [])
            if row.dataset not in datasets:
                datasets.append(row.dataset)
    if len(names) == 1:
        return "; ".join(f"{rule}: {rules[rule]}" for rule in names)
    return "; ".join(f"{', '.join(at)} by {rule}: {rules[rule]}" for rule, at in names.items())


def _paper_network(table: Table) -> str:
    network = table.paper.network
    counts = {f"x{scale}": f"{count:,}" for scale, count in network.parameters.items()}
    return f"{network.name} {network.size}, parameters {_listed(counts)}. {network.why}"


def _our_network(table: Table) -> str:
    counts: dict[str, str] = {}
    label = "unknown"
    for scale, runs in _by_scale(table.group.members):
        networks = [run.network for run in runs if run.network is not None]
        if networks:
            label = f"{networks[0].name} {networks[0].size}"
            numbers = sorted({network.parameters for network in networks})
            counts[f"x{scale}"] = " to ".join(
                f"{n:,}" for n in dict.fromkeys((numbers[0], numbers[-1]))
            )
    text = f"{label}, parameters {_listed(counts)}" if counts else label
    if same_network(table):
        return text
    wanted = table.paper.network
    return f"{text}: not the size of the paper's {wanted.name} {wanted.size}"


def _training(runs: Sequence[Run]) -> str:
    told = {
        f"{t.data} ({t.images:,} images), {t.updates:,} updates of {t.batch_size} patches of "
        f"{t.patch_size}x{t.patch_size}, {t.precision}"
        for run in runs
        if (t := run.training) is not None
    }
    return " or ".join(sorted(told)) or "none"


def _images(table: Table) -> str:
    counts: dict[str, set[int]] = {}
    for row in table.rows:
        if row.images is not None:
            counts.setdefault(row.dataset, set()).add(row.images)
    return ", ".join(f"{name} {' or '.join(map(str, sorted(n)))}" for name, n in counts.items())


def _seeds(table: Table) -> str:
    """The seeds of every column, told once where all columns share them."""
    parts = []
    for scale, _ in _by_scale(table.group.members):
        told: dict[str, list[str]] = {}
        for column in table.source.columns:
            seeds = {r.seed for r in table.group.runs.get(column.id, ()) if r.scale == scale}
            text = ", ".join(map(str, sorted(seeds))) or "no run"
            told.setdefault(text, []).append(column.label)
        same = len(told) == 1
        texts = [text if same else f"{', '.join(who)} ({text})" for text, who in told.items()]
        parts.append((scale, ", ".join(texts)))
    if len({text for _, text in parts}) == 1:
        return parts[0][1]
    return "; ".join(f"x{scale}: {text}" for scale, text in parts)


def _per_scale(runs: Iterable[Run], describe: Callable[[Sequence[Run]], str]) -> str:
    told = {f"x{scale}": describe(members) for scale, members in _by_scale(runs)}
    return _listed(told, "; ")


def _by_scale(runs: Iterable[Run]) -> list[tuple[int, list[Run]]]:
    scales: dict[int, list[Run]] = {}
    for run in runs:
        scales.setdefault(run.scale, []).append(run)
    return sorted(scales.items())


def _listed(told: dict[str, str], between: str = ", ") -> str:
    """``x2 this, x4 that``, or only ``this`` where all say the same."""
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return between.join(f"{key} {text}" for key, text in told.items())
