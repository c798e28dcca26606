"""What stands above and below a table: how its numbers came about, and what they may be used for.

A table never shows a number without its protocol, budget, network size and number of seeds.
"""

from collections.abc import Callable, Iterable, Sequence

from sr_experiments.report.evidence.groups import fits
from sr_experiments.report.evidence.records import Run
from sr_experiments.report.evidence.table import Table
from sr_experiments.report.paper.definition import PaperNetwork
from sr_experiments.report.render.protocol_lines import PSNR_RULES, SSIM_RULES


def heading(table: Table) -> list[tuple[str, str]]:
    """Label and text of every line above a table."""
    reference, members = table.paper.reference, table.group.members
    by = [", ".join(reference.authors), reference.affiliation, reference.venue]
    by.append(str(reference.year) if reference.year else None)
    lines = [
        ("Paper", f"{reference.title}. " + "; ".join(part for part in by if part)),
        ("Table", table.source.title),
        ("PSNR", _protocols(table, "psnr", PSNR_RULES)),
    ]
    if "ssim" in table.source.metrics:
        lines.append(("SSIM", _protocols(table, "ssim", SSIM_RULES)))
    lines.append(("Network, paper", _paper_network(table)))
    if table.source.note is not None:
        lines.append(("About it", table.source.note))
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
    printed = bool(table.source.published)
    if table.budget is None:
        experiment = table.source.experiment
        left = "published numbers only" if printed else "and the paper prints no numbers"
        return f"No finished run fits this table (experiment {experiment}): {left}."
    if table.budget != "paper":
        of = "of the published numbers" if printed else "of the paper, which prints no numbers"
        return (
            f"budget={table.budget} shows the direction of effects only; it is not a reproduction "
            f"{of}."
        )
    if not same_network(table):
        return (
            "budget=paper, but the network is not the paper's: this shows directions, and is not a "
            "reproduction."
        )
    if not printed:
        return "budget=paper: the recipe to the letter; the paper prints no numbers to set it to."
    return "budget=paper: the recipe to the letter; the differences are ours less the published."


def same_network(table: Table) -> bool:
    """Whether our networks have the name and size of the paper's, column by column."""
    pairs = [
        (run.network, table.paper.network_of(table.source, table.source.column(column)))
        for column, runs in table.group.runs.items()
        for run in runs
    ]
    return bool(pairs) and all(fits(network, wanted) for network, wanted in pairs)


def _protocols(table: Table, metric: str, rules: dict[str, str]) -> str:
    """The rule of a score by name, once if all data sets share it."""
    average = table.source.average
    rows = [r.dataset for r in table.rows if average is None or r.dataset != average.label]
    names: dict[str, list[str]] = {}
    for dataset in dict.fromkeys(rows or table.source.datasets):
        rule = getattr(table.source.protocols(dataset), metric)
        if rule is not None:
            names.setdefault(rule, []).append(dataset)
    if len(names) == 1:
        return "; ".join(f"{rule}: {rules[rule]}" for rule in names)
    return "; ".join(f"{', '.join(at)} by {rule}: {rules[rule]}" for rule, at in names.items())


def _networks(table: Table) -> dict[str, PaperNetwork]:
    """The paper's networks of a table; by the labels of its columns where they differ."""
    found = {c.label: table.paper.network_of(table.source, c) for c in table.source.columns}
    if len({repr(network) for network in found.values()}) == 1:
        return {"": next(iter(found.values()))}
    return found


def _paper_network(table: Table) -> str:
    told: dict[str, list[str]] = {}
    for label, network in _networks(table).items():
        counts = {f"x{scale}": f"{count:,}" for scale, count in network.parameters.items()}
        text = f"{network.name} {network.size}, parameters {_listed(counts)}. {network.why}"
        told.setdefault(text, []).append(label)
    if len(told) == 1:
        return next(iter(told))
    return " ".join(f"{', '.join(labels)}: {text}" for text, labels in told.items())


def _our_network(table: Table) -> str:
    sizes: dict[str, dict[str, set[int]]] = {}
    for run in table.group.members:
        if run.network is not None:
            label = f"{run.network.name} {run.network.size}".rstrip()
            counts = sizes.setdefault(label, {}).setdefault(f"x{run.scale}", set())
            counts.add(run.network.parameters)
    told = []
    for label, scales in sizes.items():
        numbers = {
            scale: " to ".join(f"{n:,}" for n in dict.fromkeys((min(counts), max(counts))))
            for scale, counts in sorted(scales.items())
        }
        told.append(f"{label}, parameters {_listed(numbers)}")
    text = "; ".join(told) or "unknown"
    if same_network(table):
        return text
    wanted = dict.fromkeys(f"{n.name} {n.size}" for n in _networks(table).values())
    return f"{text}: not the size of the paper's {' and '.join(wanted)}"


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
