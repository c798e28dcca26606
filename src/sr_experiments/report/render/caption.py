"""The few words that no number stands without: protocol, budget, network size, seeds."""

from collections.abc import Iterable, Sequence

from sr_experiments.report.evidence.records import Run
from sr_experiments.report.evidence.table import Table
from sr_experiments.report.paper.strict import Metric
from sr_experiments.report.render.text import LABELS


def essentials(table: Table) -> str:
    """How the scores of a table were made, in a line.

    ``PSNR by y, SSIM by rgb; ours: budget=quick, EDSR 4x16, seeds 0, 1; paper: EDSR 32x256``.
    """
    rules = ", ".join(f"{LABELS[m]} by {protocols(table, m)}" for m in table.source.metrics)
    return f"{rules}; {ours(table.group.members)}; paper: {paper_networks(table)}"


def ours(runs: Sequence[Run]) -> str:
    """Budget, networks and seeds of runs."""
    if not runs:
        return "ours: no run"
    budgets = ", ".join(sorted({run.budget for run in runs}))
    seeds = sorted({run.seed for run in runs})
    plural = "s" if len(seeds) > 1 else ""
    return f"ours: budget={budgets}, {networks(runs)}, seed{plural} {', '.join(map(str, seeds))}"


def networks(runs: Iterable[Run]) -> str:
    """Names and sizes of the networks of runs, each once."""
    found = (f"{run.network.name} {run.network.size}".strip() for run in runs if run.network)
    return " and ".join(dict.fromkeys(found)) or "network unknown"


def paper_networks(table: Table) -> str:
    """Names and sizes of the paper's networks in a table, each once."""
    found = (table.paper.network_of(table.source, column) for column in table.source.columns)
    return " and ".join(dict.fromkeys(f"{network.name} {network.size}" for network in found))


def protocols(table: Table, metric: Metric) -> str:
    """The rule of a score by name, with the data sets where it is not the same for all."""
    names: dict[str, list[str]] = {}
    average = table.source.average
    rows = [r.dataset for r in table.rows if average is None or r.dataset != average.label]
    for dataset in dict.fromkeys(rows or table.source.datasets):
        rule = getattr(table.source.protocols(dataset), metric)
        if rule is not None:
            names.setdefault(rule, []).append(dataset)
    if len(names) == 1:
        return next(iter(names))
    return " and ".join(f"{rule} ({', '.join(at)})" for rule, at in names.items())
