"""Verdicts of our runs on a paper's claims.

A claim is judged on runs of one budget, network and recipe at a time, never across them. Images and
seeds are crossed, and the p-values of a paper's claims are corrected for their number (Holm). A
verdict is about the claim's direction or bound on these runs; its size is a verdict of its own. It
is printed with their budget and network, and says nothing of the paper's own numbers unless both
are the paper's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sr_experiments.report.evidence.effects import (
    ColumnPair,
    DatasetEffect,
    MeasuredEffect,
    Outcome,
    Size,
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
from sr_experiments.report.evidence.intervals import holm
from sr_experiments.report.evidence.mean_column import mean_column
from sr_experiments.report.evidence.pairs import ComparedColumn, pair_scores
from sr_experiments.report.evidence.training_effects import effect_of_cost, effect_of_divergence
from sr_experiments.report.paper.claims import (
    BICUBIC,
    Claim,
    Convergence,
    CostClaim,
    Divergence,
    PublishedEffect,
    Share,
    Stability,
)
from sr_experiments.report.paper.definition import Paper, PaperTable
from sr_experiments.runs.records import Run

__all__ = ["DatasetEffect", "Outcome", "Size", "Verdict", "judge"]

#: Why a claim is undecided although its effect was measured.
BELOW_BICUBIC = "arm below bicubic"
DIVERGED = "arm diverged"
AFTER_HOLM = "after Holm's correction"


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

    @property
    def counted(self) -> bool:
        """Whether the verdict counts: not if the claim is true by construction."""
        return not self.claim.by_construction


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
                every = _others(table, groups[claim.table], group, claim)
                comparison = ColumnPair(table, column, over, every)
                of_claim.append(_verdict(paper, claim, group, comparison, bicubic))
        verdicts += of_claim or [
            Verdict(outcome="no runs", claim=claim, published=_published(claim))
        ]
    return _corrected(verdicts)


def _corrected(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Correct p-values for the number of claims that runs of the same budget decide on."""
    found = list(verdicts)
    families: dict[tuple[str, ...], list[int]] = {}
    for index, verdict in enumerate(found):
        if verdict.p is not None and verdict.counted:
            families.setdefault(tuple(verdict.budgets), []).append(index)
    for members in families.values():
        adjusted = holm([found[index].p or 0.0 for index in members])
        for index, p in zip(members, adjusted, strict=True):
            before = found[index]
            after = before.decided(p)
            lost = before.outcome != "undecided" and after.outcome == "undecided"
            found[index] = replace(after, adjusted=p, reason=AFTER_HOLM if lost else before.reason)
    return found


def _others(
    table: PaperTable, groups: Sequence[Group], own: Group, claim: Claim
) -> list[ComparedColumn]:
    """Every recipe of the table at the budget of a group: what they say of the noise of seeds."""
    budgets = {run.budget for run in own.members}
    return [
        ComparedColumn(column.id, column.label, column.weights, runs)
        for group in groups
        if {run.budget for run in group.members} == budgets
        for column in table.columns
        if (runs := [r for r in group.runs.get(column.id, ()) if r.scale in claim.scales])
    ]


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
    paper: Paper, claim: Claim, group: Group, comparison: ColumnPair, bicubic: Sequence[Run]
) -> Verdict:
    diverged = [
        f"{arm.label}, {run.diverged}"
        for arm in (comparison.column, comparison.over)
        for run in arm.runs
        if run.diverged
    ]
    counted = isinstance(claim, Divergence)
    if not counted:
        comparison = replace(
            comparison,
            column=_with_scores(comparison.column),
            over=_with_scores(comparison.over),
        )
    table, column, over = comparison.table, comparison.column, comparison.over
    measured: MeasuredEffect
    if isinstance(claim, Convergence | Stability):
        measured = effect_on_curves(claim, comparison)
    elif isinstance(claim, CostClaim):
        measured = effect_of_cost(claim, column, over)
    elif isinstance(claim, Divergence):
        measured = effect_of_divergence(claim, column, over)
    elif isinstance(claim, Share):
        pairs = pair_scores(table, claim, column, over, claim.metric)
        measured = share_of_images(claim, pairs, comparison)
    else:
        pairs = pair_scores(table, claim, column, over, claim.metric)
        measured = effect_of_scores(claim, pairs, comparison)
    exempt = claim.may_fail or isinstance(claim, CostClaim | Divergence)
    below = [] if exempt else _below_bicubic(claim, comparison, bicubic)
    if below:
        measured = replace(
            measured,
            outcome="undecided",
            reason=BELOW_BICUBIC,
            p=None,
            size="undecided" if measured.size else "",
            detectable=None,
            notes=[*measured.notes, *below],
        )
    if diverged and measured.outcome == "undecided" and not counted:
        measured = replace(measured, reason=DIVERGED, notes=[*measured.notes, *diverged])
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


def _with_scores(column: ComparedColumn) -> ComparedColumn:
    return replace(column, runs=[run for run in column.runs if not run.diverged])


def _below_bicubic(claim: Claim, comparison: ColumnPair, bicubic: Sequence[Run]) -> list[str]:
    """A line for every column that is below bicubic on the mean of the claim's data sets."""
    if comparison.over.seedless:  # bicubic is what the claim compares with
        return []
    runs = [run for run in bicubic if run.scale in claim.scales]
    reference = ComparedColumn(BICUBIC, "bicubic", "raw", runs, seedless=True)
    lines = []
    for arm in (comparison.column, comparison.over):
        units = pair_scores(comparison.table, claim, arm, reference).units
        differences = [float((first - second).mean()) for first, second in units]
        mean = sum(differences) / len(differences) if differences else 0.0
        if mean < 0:
            lines.append(f"{arm.label} is {-mean:.2f} dB below bicubic")
    return lines


def _published(claim: Claim) -> PublishedEffect | None:
    unpublished = Convergence | Stability | Share | Divergence
    return None if isinstance(claim, unpublished) else claim.published
