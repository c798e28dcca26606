"""What the evidence of our runs says of a paper's claims.

A claim is judged on runs of one budget, network and recipe at a time, never across them. A
difference is paired by image and its interval is over images; the spread over seeds stands beside
it. A verdict is on the claim's direction or bound with these runs; budget and network stand beside
it, and only those of the paper itself would make it one on the paper's own numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sr_experiments.papers.assertions import (
    BICUBIC,
    Claim,
    Convergence,
    Effect,
    Share,
    Stability,
)
from sr_experiments.papers.findings import (
    Finding,
    Outcome,
    Part,
    effect_of_scores,
    effect_on_curves,
    share_of_images,
)
from sr_experiments.papers.groups import BICUBIC_RUNS, Group, budget_rank, fits, holds, split
from sr_experiments.papers.pairs import Side, pair_scores
from sr_experiments.papers.records import Run
from sr_experiments.papers.schema import Paper, PaperTable
from sr_experiments.papers.statistics import Interval

__all__ = ["Outcome", "Part", "Verdict", "judge"]


@dataclass(frozen=True)
class Verdict:
    """What runs of one budget, network and recipe say of a claim.

    Attributes:
        claim: of the paper.
        outcome: what follows from the effect and its interval.
        effect: ours, in ``unit``; None where it cannot be had. Positive (above 1 for ``x``) speaks
            for the claim's ``column``.
        interval: 95 % interval of the effect; None where there is too little to have one.
        unit: dB, %, SSIM, ``x`` (times as fast, times as steady) or ``share`` (of images).
        n_images: over all data sets and scales.
        seeds: that both columns have.
        seed_spread: sample standard deviation of the effect over the seeds; None below two.
        published: the paper's effect, where it tells one.
        win_rate: share of images on which the column is above the other.
        where: the scales and data sets of ours, in words.
        budgets: of our runs, the largest first.
        networks: names and sizes of ours.
        same_size: whether our networks have the name and size of the paper's.
        parts: the effect on every data set.
        distinct: what sets these runs apart from others that the claim is judged on.
        note: what else has to be known; empty if nothing.
    """

    claim: Claim
    outcome: Outcome
    effect: float | None = None
    interval: Interval | None = None
    unit: str = ""
    n_images: int = 0
    seeds: Sequence[int] = ()
    seed_spread: float | None = None
    published: Effect | None = None
    win_rate: float | None = None
    where: str = ""
    budgets: Sequence[str] = ()
    networks: Sequence[str] = ()
    same_size: bool = False
    parts: Sequence[Part] = ()
    distinct: Mapping[str, object] = field(default_factory=dict)
    note: str = ""


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
        verdicts += found or [Verdict(claim, "no runs", published=_published(claim))]
    return verdicts


def _names(claim: Claim) -> tuple[str, str]:
    return claim.column, claim.over


def _side(table: PaperTable, group: Group, name: str, bicubic: Sequence[Run], claim: Claim) -> Side:
    if name == BICUBIC:
        members = [run for run in bicubic if run.scale in claim.scales]
        return Side(name, "bicubic", "raw", members, seedless=True)
    column = table.column(name)
    members = [run for run in group.runs.get(name, ()) if run.scale in claim.scales]
    return Side(name, column.label, column.weights, members)


def _verdict(paper: Paper, claim: Claim, group: Group, column: Side, over: Side) -> Verdict:
    table = paper.table(claim.table)
    finding: Finding
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
        claim=claim,
        outcome=finding.outcome,
        effect=finding.effect,
        interval=finding.interval,
        unit=finding.unit,
        n_images=finding.n_images,
        seeds=finding.seeds,
        seed_spread=finding.seed_spread,
        published=_published(claim),
        win_rate=finding.win_rate,
        where=finding.where,
        budgets=budgets,
        networks=sorted({f"{r.network.name} {r.network.size}" for r in ours if r.network}),
        same_size=same,
        parts=finding.parts,
        distinct=group.distinct,
        note="; ".join(notes),
    )


def _published(claim: Claim) -> Effect | None:
    return None if isinstance(claim, Convergence | Stability | Share) else claim.published
