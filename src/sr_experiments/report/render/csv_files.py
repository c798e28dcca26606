"""The numbers of a report as CSV: one line a number, with all that it must not stand without."""

import csv
from io import StringIO

from sr_experiments.report.evidence.table import Row, Table
from sr_experiments.report.evidence.verdicts import Verdict
from sr_experiments.report.paper.definition import Paper
from sr_experiments.report.render.caption import networks
from sr_experiments.report.render.document import Document
from sr_experiments.report.render.text import digits, fixed
from sr_experiments.report.render.wording import rules, wording

SCORES = (
    "paper",
    "table",
    "scale",
    "dataset",
    "column",
    "metric",
    "protocol",
    "weights",
    "budget",
    "network",
    "paper_network",
    "images",
    "seeds",
    "ours",
    "spread",
    "published",
    "difference",
    "only_runs_with",
)
CLAIMS = (
    "paper",
    "claim",
    "text",
    "source",
    "outcome",
    "effect",
    "low",
    "high",
    "unit",
    "published",
    "published_unit",
    "images",
    "seeds",
    "seed_spread",
    "win_rate",
    "where",
    "score",
    "budget",
    "network",
    "same_size",
    "note",
)


def scores_csv(report: Document) -> str:
    """Every cell of every table: ours at full precision, the published with the digits in print."""
    lines = [line for table in report.tables for row in table.rows for line in _cells(table, row)]
    return _csv(SCORES, lines)


def claims_csv(report: Document) -> str:
    """Every verdict."""
    return _csv(CLAIMS, [_verdict(report.paper, verdict) for verdict in report.verdicts])


def _cells(table: Table, row: Row) -> list[list[object]]:
    average = table.source.average
    mean = average is not None and row.dataset == average.label
    rules = table.source.protocols(row.dataset)
    only = "; ".join(f"{key}={value}" for key, value in table.group.distinct.items())
    places = digits(table)
    lines: list[list[object]] = []
    for column in table.source.columns:
        runs = table.group.runs.get(column.id, ())
        wanted = table.paper.network_of(table.source, column)
        for metric in table.source.metrics:
            ours = row.ours.get(column.id, {}).get(metric)
            theirs = row.published.get(column.id, {}).get(metric)
            if ours is None and theirs is None:
                continue
            both = ours is not None and theirs is not None
            lines.append(
                [
                    table.paper.name,
                    table.source.id,
                    row.scale,
                    row.dataset,
                    column.id,
                    metric,
                    "mean over data sets" if mean else getattr(rules, metric),
                    column.weights,
                    table.budget if ours is not None else None,
                    networks(r for r in runs if r.scale == row.scale) if ours else None,
                    f"{wanted.name} {wanted.size}",
                    row.images if ours is not None else None,
                    " ".join(map(str, sorted(ours.by_seed))) if ours is not None else None,
                    ours.mean if ours is not None else None,
                    ours.spread if ours is not None else None,
                    fixed(theirs, places[metric]) if theirs is not None else None,
                    ours.mean - theirs if both else None,  # type: ignore[union-attr, operator]
                    only if ours is not None else None,
                ]
            )
    return lines


def _verdict(paper: Paper, verdict: Verdict) -> list[object]:
    low, high = verdict.interval or (None, None)
    published = verdict.published
    return [
        paper.name,
        verdict.claim.id,
        verdict.claim.text,
        verdict.claim.source,
        verdict.outcome,
        verdict.effect,
        low,
        high,
        verdict.unit,
        published.value if published is not None else None,
        published.unit if published is not None else None,
        verdict.n_images or None,
        " ".join(map(str, verdict.seeds)),
        verdict.seed_spread,
        verdict.win_rate,
        verdict.where,
        rules(verdict, paper),
        " ".join(verdict.budgets),
        " and ".join(verdict.networks),
        verdict.same_size if verdict.networks else None,
        wording(verdict, paper).note,
    ]


def _csv(header: tuple[str, ...], lines: list[list[object]]) -> str:
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return stream.getvalue()
