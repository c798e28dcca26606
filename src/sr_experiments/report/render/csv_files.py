"""The numbers of a report as CSV: one number a line, with protocol, budget, network and seeds."""

import csv
from io import StringIO

from sr_experiments.report.evidence.cells import MEAN_ERROR
from sr_experiments.report.evidence.table import Row, Table
from sr_experiments.report.evidence.verdicts import Verdict
from sr_experiments.report.paper.definition import Paper
from sr_experiments.report.render.document import Document
from sr_experiments.report.render.provenance import our_networks
from sr_experiments.report.render.table_text import digits, fixed
from sr_experiments.report.render.verdict_text import score_and_protocol, verdict_text

SCORES = (
    *("paper", "table", "scale", "dataset", "column", "metric", "protocol", "weights", "budget"),
    *("network", "paper_network", "images", "seeds", "ours", "spread", "published", "difference"),
    *("mean_error", "only_runs_with"),
)
CLAIMS = (
    *("paper", "claim", "text", "source", "outcome", "reason", "scope", "counted", "size"),
    *("effect", "bound", "low", "high", "unit", "p", "p_holm", "could_see"),
    *("published", "published_unit", "images", "seeds", "seed_spread", "win_rate", "where"),
    *("score", "budget", "network", "same_size", "note"),
)


def scores_csv(report: Document) -> str:
    """Every cell of every table: ours at full precision, published with the digits in print."""
    lines = [line for table in report.tables for row in table.rows for line in _scores(table, row)]
    return _csv(SCORES, lines)


def claims_csv(report: Document) -> str:
    """Every verdict."""
    return _csv(CLAIMS, [_claim(report.paper, verdict) for verdict in report.verdicts])


def _scores(table: Table, row: Row) -> list[list[object]]:
    average = table.source.average
    is_mean = average is not None and row.dataset == average.label
    protocols = table.source.protocols(row.dataset)
    scope = "; ".join(f"{key}={value}" for key, value in table.group.distinct.items())
    places = digits(table)
    lines: list[list[object]] = []
    for column in table.source.columns:
        runs = [r for r in table.group.runs.get(column.id, ()) if r.scale == row.scale]
        paper_network = table.paper.network_of(table.source, column)
        for metric in table.source.metrics:
            ours = row.ours.get(column.id, {}).get(metric)
            published = row.published.get(column.id, {}).get(metric)
            if ours is None and published is None:
                continue
            line: dict[str, object] = {
                "paper": table.paper.name,
                "table": table.source.id,
                "scale": row.scale,
                "dataset": row.dataset,
                "column": column.id,
                "metric": metric,
                "protocol": "mean over data sets" if is_mean else getattr(protocols, metric),
                "weights": column.weights,
                "paper_network": f"{paper_network.name} {paper_network.size}",
            }
            if ours is not None:
                line |= {
                    "budget": table.budget,
                    "network": our_networks(runs),
                    "images": row.images,
                    "seeds": " ".join(map(str, sorted(ours.by_seed))),
                    "ours": ours.mean,
                    "spread": ours.spread,
                    "only_runs_with": scope,
                }
                if metric == "psnr" and MEAN_ERROR in row.ours[column.id]:
                    line[MEAN_ERROR] = row.ours[column.id][MEAN_ERROR].mean
            if published is not None:
                line["published"] = fixed(published, places[metric])
                if ours is not None:
                    line["difference"] = ours.mean - published
            lines.append([line.get(name) for name in SCORES])
    return lines


def _claim(paper: Paper, verdict: Verdict) -> list[object]:
    low, high = verdict.interval or (None, None)
    published = verdict.published
    line: dict[str, object] = {
        "paper": paper.name,
        "claim": verdict.claim.id,
        "text": verdict.claim.text,
        "source": verdict.claim.source,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "scope": verdict.scope,
        "counted": verdict.counted,
        "size": verdict.size,
        "effect": verdict.effect,
        "bound": verdict.bound,
        "p": verdict.p,
        "p_holm": verdict.adjusted,
        "could_see": verdict.detectable,
        "low": low,
        "high": high,
        "unit": verdict.unit,
        "published": published.value if published is not None else None,
        "published_unit": published.unit if published is not None else None,
        "images": verdict.n_images or None,
        "seeds": " ".join(map(str, verdict.seeds)),
        "seed_spread": verdict.seed_spread,
        "win_rate": verdict.win_rate,
        "where": verdict.where,
        "score": score_and_protocol(verdict, paper),
        "budget": " ".join(verdict.budgets),
        "network": " and ".join(verdict.networks),
        "same_size": verdict.same_size if verdict.networks else None,
        "note": verdict_text(verdict, paper).note,
    }
    return [line[name] for name in CLAIMS]


def _csv(header: tuple[str, ...], lines: list[list[object]]) -> str:
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return stream.getvalue()
