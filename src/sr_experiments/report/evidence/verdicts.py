"""What the evidence of our runs says of a paper's claims.

A claim is judged on runs of one budget, network and recipe at a time, never across them. A
difference is paired by image and its interval is over images; the spread over seeds stands beside
it. A verdict is on the claim's direction or bound with these runs; budget and network stand beside
it, and only those of the paper itself would make it one on the paper's own numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
from sr_experiments.report.evidence.pairs import ComparedColumn, pair_scores
from sr_experiments.report.paper.claims import (
    BICUBIC,
    Claim,
    Convergence,
    PublishedEffect,
    Share,
    Stability,
)
from sr_experiments.report.paper.definition import Paper, PaperTable
from sr_experiments.runs.records import Run

__all__ = ["DatasetEffect", "Outcome", "Verdict", "judge"]


@dataclass(frozen=True, kw_only=True)
class Verdict(MeasuredEffect):
    """What runs of one budget, network and recipe say of a claim.

    Attributes:
        claim: of the paper.
        published: the paper's effect, where it tells one.
        budgets: of our runs, the largest first.
        networks: names and sizes of ours.
        same_size: whether our networks have the name and size of the paper's.
        distinct: what sets these runs apart from others that the claim is judged on.
    """

    claim: Claim
    published: PublishedEffect | None = None
    budgets: Sequence[str] = ()
    networks: Sequence[str] = ()
    same_size: bool = False
    distinct: Mapping[str, object] = field(default_factory=dict)


def judge(paper: Paper, runs: Sequence[Run], budget: str | None = None) -> list[Verdict]:
    """Judge every claim of a paper, in its order; the largest budget and network come first.

    Args:
        paper: with its claims.
        runs: finished runs; those that fit no column are left out.
        budget: only runs of this one.

    Returns:
        For each claim a verdict for each group of runs that may stand in one table and has both
        of the claim's columns; ``no runs`` where there is none.
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
        found = []
        for group in groups[claim.table]:
            column, over = (_side(table, group, name, bicubic, claim) for name in _names(claim))
            if {run.scale for run in column.runs} & {run.scale for run in over.runs}:
                found.append(_verdict(paper, claim, group, column, over))
        verdicts += found or [Verdict(outcome="no runs", claim=claim, published=_published(claim))]
    return verdicts


def _names(claim: Claim) -> tuple[str, str]:
    return claim.column, claim.over


def _side(
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
    finding: MeasuredEffect
    if isinstance(claim, Convergence | Stability):
        finding = effect_on_curves(claim, column, over)
    elif isinstance(claim, Share):
        finding = share_of_images(claim, pair_scores(table, claim, column, over))
    else:
        finding = effect_of_scores(claim, pair_scores(table, claim, column, over))
    sides = [side for side in (column, over) if not side.seedless]
    ours = [run for side in sides for run in side.runs]
    budgets = sorted({run.budget for run in ours}, key=budget_rank)
    same = all(
        fits(run.network, paper.network_of(table, table.column(side.name)))
        for side in sides
        for run in side.runs
    )
    notes = list(finding.notes)
    if "smoke" in budgets:
        notes.append("budget=smoke proves that the runs work; its numbers mean nothing")
    return Verdict(
        **vars(finding) | {"notes": notes},
        claim=claim,
        published=_published(claim),
        budgets=budgets,
        networks=sorted({f"{r.network.name} {r.network.size}" for r in ours if r.network}),
        same_size=same,
        distinct=group.distinct,
    )


def _published(claim: Claim) -> PublishedEffect | None:
    return None if isinstance(claim, Convergence | Stability | Share) else claim.published
