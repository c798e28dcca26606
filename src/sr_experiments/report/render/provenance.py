"""Where the numbers of a table come from, and what may be concluded from them.

A table never shows a number without its protocol, budget, network size and number of seeds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from sr_experiments.metrics.protocols import PROTOCOLS
from sr_experiments.report.evidence.groups import fits
from sr_experiments.report.evidence.table import Table
from sr_experiments.report.paper.definition import Reference
from sr_experiments.report.paper.strict import Metric
from sr_experiments.report.render.design_text import (
    recipe_summary,
    recipe_verdict,
    seed_spread,
)
from sr_experiments.report.render.table_text import LABELS
from sr_experiments.runs.records import Run


def title(table: Table) -> str:
    """The paper's title of a table, with the budget of our runs."""
    return table.source.title + (f", budget={table.budget}" if table.budget is not None else "")


def cited(reference: Reference) -> str:
    """Authors, affiliation, venue and year, as far as they are known."""
    year = str(reference.year) if reference.year else None
    parts = (", ".join(reference.authors), reference.affiliation, reference.venue, year)
    return "; ".join(part for part in parts if part)


def heading(table: Table) -> list[tuple[str, str]]:
    """Label and text of every line above a table."""
    source, members = table.source, table.group.members
    lines = [
        ("Paper", f"{table.paper.reference.title}. {cited(table.paper.reference)}"),
        ("Table", source.title),
    ]
    if members:
        lines.append(("Budget", str(table.budget)))
    lines.append(("PSNR", _protocols(table, "psnr")))
    if "ssim" in source.metrics:
        lines.append(("SSIM", _protocols(table, "ssim")))
    lines.append(("Network, paper", _paper_network(table)))
    if source.note is not None:
        lines.append(("Note", source.note))
    if not members:
        return lines
    lines += [
        ("Network, ours", _our_network(table)),
        ("Training, ours", _by_scale(members, _training)),
        ("Images, ours", _images(table)),
        ("Seeds, ours", _by_scale(members, lambda runs: _seeds(table, runs))),
    ]
    spread = seed_spread(table)
    if spread:
        lines.append(("Seed spread", spread))
    lines.append(("Recipe compared with the paper's", recipe_summary(table)))
    averaged = [column.label for column in source.columns if column.weights == "averaged"]
    if averaged:
        lines.append(("Weights", f"averaged for {', '.join(averaged)}; raw for the others"))
    if table.group.distinct:
        shared = ", ".join(f"{key}={value}" for key, value in table.group.distinct.items())
        lines.append(("Scope", f"only runs with {shared}; other runs have tables of their own"))
    return lines


def disclaimer(table: Table) -> str:
    """What may be concluded from our side of a table, in a sentence."""
    printed = bool(table.source.published)
    if table.budget is None:
        rest = "published numbers only" if printed else "and the paper prints no numbers"
        return f"No finished run fits this table (experiment {table.source.experiment}): {rest}."
    if table.budget == "smoke":
        return "budget=smoke only tests that the runs work; its numbers mean nothing."
    target = "the published numbers" if printed else "the paper, which prints no numbers"
    if table.budget != "paper":
        return (
            f"budget={table.budget} shows the direction of effects only; it is not a reproduction "
            f"of {target}."
        )
    if not same_network(table):
        return (
            "budget=paper, but the network is not the paper's: this shows the direction of effects "
            f"only; it is not a reproduction of {target}."
        )
    rest = "differences are ours minus published" if printed else "the paper prints no numbers"
    return f"budget=paper: {recipe_verdict(table, target)}; {rest}."


def same_network(table: Table) -> bool:
    """Whether our networks have the name and size of the paper's, column by column."""
    pairs = [
        (run.network, table.paper.network_of(table.source, table.source.column(column)))
        for column, runs in table.group.runs.items()
        for run in runs
    ]
    return bool(pairs) and all(fits(network, wanted) for network, wanted in pairs)


def essentials(table: Table) -> str:
    """How the scores of a table were made, in a line.

    ``PSNR by y, SSIM by rgb; ours: budget=quick, EDSR 4x16, seeds 0, 1; paper: EDSR 32x256``.
    """
    rules = ", ".join(f"{LABELS[m]} by {_protocol_names(table, m)}" for m in table.source.metrics)
    paper = " and ".join(_paper_networks(table))
    return f"{rules}; {our_runs(table.group.members)}; paper: {paper}"


def our_runs(runs: Sequence[Run]) -> str:
    """Budget, networks and seeds of runs."""
    if not runs:
        return "ours: no run"
    budgets = ", ".join(sorted({run.budget for run in runs}))
    seeds = sorted({run.seed for run in runs})
    plural = "s" if len(seeds) > 1 else ""
    names = our_networks(runs)
    return f"ours: budget={budgets}, {names}, seed{plural} {', '.join(map(str, seeds))}"


def our_networks(runs: Iterable[Run]) -> str:
    """Names and sizes of the networks of runs, each once."""
    names = (f"{run.network.name} {run.network.size}".strip() for run in runs if run.network)
    return " and ".join(dict.fromkeys(names)) or "network unknown"


def _protocols(table: Table, metric: Metric) -> str:
    names = _datasets_by_protocol(table, metric)
    lines = []
    for name, sets in names.items():
        protocol = PROTOCOLS[name]
        rule = protocol.psnr_rule if metric == "psnr" else protocol.ssim_rule
        lines.append(
            f"{name}: {rule}" if len(names) == 1 else f"{', '.join(sets)} by {name}: {rule}"
        )
    return "; ".join(lines)


def _protocol_names(table: Table, metric: Metric) -> str:
    names = _datasets_by_protocol(table, metric)
    if len(names) == 1:
        return next(iter(names))
    return " and ".join(f"{name} ({', '.join(sets)})" for name, sets in names.items())


def _datasets_by_protocol(table: Table, metric: Metric) -> dict[str, list[str]]:
    """The protocols of a score, each with its data sets."""
    average = table.source.average
    shown = [r.dataset for r in table.rows if average is None or r.dataset != average.label]
    names: dict[str, list[str]] = {}
    for dataset in dict.fromkeys(shown or table.source.datasets):
        name = getattr(table.source.protocols(dataset), metric)
        if name is not None:
            names.setdefault(name, []).append(dataset)
    return names


def _paper_networks(table: Table) -> list[str]:
    """Names and sizes of the paper's networks in a table, each once."""
    networks = (table.paper.network_of(table.source, column) for column in table.source.columns)
    return list(dict.fromkeys(f"{network.name} {network.size}" for network in networks))


def _paper_network(table: Table) -> str:
    """The paper's networks with their parameters, by column where they differ."""
    columns: dict[str, list[str]] = {}
    for column in table.source.columns:
        network = table.paper.network_of(table.source, column)
        counts = {f"x{scale}": f"{count:,}" for scale, count in network.parameters.items()}
        text = f"{network.name} {network.size}, parameters {_listed(counts)}. {network.why}"
        columns.setdefault(text, []).append(column.label)
    if len(columns) == 1:
        return next(iter(columns))
    return " ".join(f"{', '.join(labels)}: {text}" for text, labels in columns.items())


def _our_network(table: Table) -> str:
    sizes: dict[str, dict[str, set[int]]] = {}
    for run in table.group.members:
        if run.network is not None:
            label = f"{run.network.name} {run.network.size}".rstrip()
            counts = sizes.setdefault(label, {}).setdefault(f"x{run.scale}", set())
            counts.add(run.network.parameters)
    networks = []
    for label, scales in sizes.items():
        ranges = {
            scale: " to ".join(f"{n:,}" for n in dict.fromkeys((min(counts), max(counts))))
            for scale, counts in sorted(scales.items())
        }
        networks.append(f"{label}, parameters {_listed(ranges)}")
    text = "; ".join(networks) or "unknown"
    if same_network(table):
        return text
    return f"{text}: not the size of the paper's {' and '.join(_paper_networks(table))}"


def _training(runs: Sequence[Run]) -> str:
    recipes = {
        f"{t.data} ({t.images:,} images), {t.updates:,} updates of {t.batch_size} patches of "
        f"{t.patch_size}x{t.patch_size}, {t.precision}"
        for run in runs
        if (t := run.training) is not None
    }
    return " or ".join(sorted(recipes)) or "none"


def _images(table: Table) -> str:
    counts: dict[str, set[int]] = {}
    for row in table.rows:
        if row.images is not None:
            counts.setdefault(row.dataset, set()).add(row.images)
    return ", ".join(f"{name} {' or '.join(map(str, sorted(n)))}" for name, n in counts.items())


def _seeds(table: Table, runs: Sequence[Run]) -> str:
    """The seeds of every column among some runs, told once where all columns share them."""
    identities = {run.identity for run in runs}
    columns: dict[str, list[str]] = {}
    for column in table.source.columns:
        own = [r for r in table.group.runs.get(column.id, ()) if r.identity in identities]
        text = ", ".join(map(str, sorted({run.seed for run in own}))) or "no run"
        columns.setdefault(text, []).append(column.label)
    if len(columns) == 1:
        return next(iter(columns))
    return ", ".join(f"{', '.join(labels)} ({text})" for text, labels in columns.items())


def _by_scale(runs: Iterable[Run], describe: Callable[[Sequence[Run]], str]) -> str:
    scales: dict[int, list[Run]] = {}
    for run in runs:
        scales.setdefault(run.scale, []).append(run)
    texts = {f"x{scale}": describe(members) for scale, members in sorted(scales.items())}
    return _listed(texts, between="; ", after_key=": ")


def _listed(texts: Mapping[str, str], between: str = ", ", after_key: str = " ") -> str:
    """``x2 this, x4 that``, or only ``this`` where all say the same."""
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return between.join(f"{key}{after_key}{text}" for key, text in texts.items())
