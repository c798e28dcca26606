"""Verdicts of our runs on a paper's claims.

A claim is judged on runs of one budget, network and recipe at a time, never across them.
Differences are paired by image and intervals are over images; the spread over seeds is reported
separately. A verdict is about the claim's direction or bound on these runs. It is printed with
their budget and network, and says nothing of the paper's own numbers unless both are the paper's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sr_experiments.report.evidence.cost_effects import effect_of_cost
from sr_experiments.report.evidence.effects import (
    DatasetEffect,
    MeasuredEffect,
    Outcome,
    effect_of_scores,
    effect_on_curves,
    share_of_images,
)
from sr_experiments.report.evidence.groups import (
    BICUBIC_RUNS,
    Group,
    budget_rank,
    fits,
    holds,
    split,
)
from sr_experiments.report.evidence.mean_column import mean_column
from sr_experiments.report.evidence.pairs import ComparedColumn, pair_scores
from sr_experiments.report.paper.claims import (
    BICUBIC,
    Claim,
    Convergence,
    CostClaim,
    PublishedEffect,
    Share,
    Stability,
)
from sr_experiments.report.paper.definition import Paper, PaperTable
from sr_experiments.runs.records import Run

__all__ = ["DatasetEffect", "Outcome", "Verdict", "judge"]


@dataclass(frozen=True, kw_only=True)
class Verdict(MeasuredEffect):
    """The verdict of runs of one budget, network and recipe on a claim.

    Attributes:
        claim: of the paper.
        published: the paper's effect, if it states one.
        budgets: of our runs, the largest first.
        networks: names and sizes of our networks.
        same_size: whether our networks have the name and size of the paper's.
        distinct: values that set these runs apart from others that the claim is judged on.
    """

    claim: Claim
    published: PublishedEffect | None = None
    budgets: Sequence[str] = ()
    networks: Sequence[str] = ()
    same_size: bool = False
    distinct: Mapping[str, object] = field(default_factory=dict)


def judge(paper: Paper, runs: Sequence[Run], budget: str | None = None) -> list[Verdict]:
    """Judge every claim of a paper in its order, on the largest budget and network first.

    Args:
        paper: with its claims.
        runs: finished runs; those that match no column are left out.
        budget: use only runs of this budget.

    Returns:
        For each claim, a verdict for each group of runs that has both of the claim's columns; one
        with the outcome ``no runs`` if there is none.
    """
    bicubic = [run for run in runs if holds(run, BICUBIC_RUNS)]
    chosen = [run for run in runs if budget in (None, run.budget)]
    groups: dict[str, list[Group]] = {}
    for table in paper.tables:
        matched = {c.id: [run for run in chosen if holds(run, c.where)] for c in table.columns}
        groups[table.id] = split(table, matched)
    verdicts: list[Verdict] = []
    for claim in paper.claims:
        table = paper.table(claim.table)
        of_claim = []
        for group in groups[claim.table]:
            column, *others = (
                _compared(table, group, name, bicubic, claim)
                for name in (claim.column, *claim.others)
            )
            over = mean_column(others)
            if {run.scale for run in column.runs} & {run.scale for run in over.runs}:
                of_claim.append(_verdict(paper, claim, group, column, over))
        verdicts += of_claim or [
            Verdict(outcome="no runs", claim=claim, published=_published(claim))
        ]
    return verdicts


def _compared(
    table: PaperTable, group: Group, name: str, bicubic: Sequence[Run], claim: Claim
) -> ComparedColumn:
    if name == BICUBIC:
        members = [run for run in bicubic if run.scale in claim.scales]
        return ComparedColumn(name, "bicubic", "raw", members, seedless=True)
    column = table.column(name)
    members = [run for run in group.runs.get(name, ()) if run.scale in claim.scales]
    return ComparedColumn(name, column.label, column.weights, members)


def _verdict(
    paper: Paper, claim: Claim, group: Group, column: ComparedColumn, over: ComparedColumn
) -> Verdict:
    table = paper.table(claim.table)
    measured: MeasuredEffect
    if isinstance(claim, Convergence | Stability):
        measured = effect_on_curves(claim, column, over)
    elif isinstance(claim, CostClaim):
        measured = effect_of_cost(claim, column, over)
    elif isinstance(claim, Share):
        measured = share_of_images(claim, pair_scores(table, claim, column, over))
    else:
        measured = effect_of_scores(claim, pair_scores(table, claim, column, over))
    trained = [compared for compared in (column, over) if not compared.seedless]
    ours = [run for compared in trained for run in compared.runs]
    budgets = sorted({run.budget for run in ours}, key=budget_rank)
    same = all(
        fits(run.network, paper.network_of(table, table.column(compared.name)))
        for compared in trained
        for run in compared.runs
    )
    notes = list(measured.notes)
    if "smoke" in budgets:
        notes.append("budget=smoke proves that the runs work; its numbers mean nothing")
    return Verdict(
        **vars(measured) | {"notes": notes},
        claim=claim,
        published=_published(claim),
        budgets=budgets,
        networks=sorted({f"{r.network.name} {r.network.size}" for r in ours if r.network}),
        same_size=same,
        distinct=group.distinct,
    )


def _published(claim: Claim) -> PublishedEffect | None:
    return None if isinstance(claim, Convergence | Stability | Share) else claim.published
