"""A paper's report before its layout: its tables, its verdicts and the runs they rest on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_experiments.report.evidence.anchors import anchor_grid
from sr_experiments.report.evidence.collect import Collection
from sr_experiments.report.evidence.groups import BICUBIC_RUNS, holds
from sr_experiments.report.evidence.table import Table, build_tables
from sr_experiments.report.evidence.verdicts import Verdict, judge
from sr_experiments.report.paper.definition import Paper
from sr_experiments.runs.records import Run


@dataclass(frozen=True)
class Document:
    """All tables and verdicts of a paper, and the run folders that could not be read."""

    paper: Paper
    tables: Sequence[Table]
    verdicts: Sequence[Verdict]
    runs: Sequence[Run]
    root: Path
    skipped: Sequence[tuple[str, str]]
    #: Head and lines of what to measure the tables by; see :func:`anchor_grid`.
    anchors: Sequence[Sequence[str]] = ()

    def run_names(self, table: Table) -> list[str]:
        """Folders of the runs of a table, below the folder of runs."""
        return sorted(_name(run.directory, self.root) for run in table.group.members)

    @property
    def headline(self) -> list[Verdict]:
        """The verdicts that a summary shows, in the order of the paper's file."""
        names = self.paper.headline
        found = [verdict for verdict in self.verdicts if verdict.claim.id in names]
        return sorted(found, key=lambda verdict: names.index(verdict.claim.id))

    @property
    def used(self) -> list[Run]:
        """The runs that fill a table, each once."""
        return list({r.identity: r for table in self.tables for r in table.group.members}.values())


def document(
    paper: Paper, collection: Collection, root: Path, budget: str | None = None
) -> Document:
    """Set the runs below ``root`` beside a paper; see :func:`build_tables` for ``budget``."""
    runs = [
        run
        for run in collection.runs
        if budget is None or run.budget == budget or holds(run, BICUBIC_RUNS)
    ]
    tables = build_tables(paper, collection.runs, budget)
    return Document(
        paper=paper,
        tables=tables,
        verdicts=judge(paper, runs),
        runs=runs,
        root=root,
        skipped=skipped_names(collection, root),
        anchors=anchor_grid(tables, collection.runs),
    )


def skipped_names(collection: Collection, root: Path) -> list[tuple[str, str]]:
    """The folders that were skipped, relative to the folder of runs, with their reasons."""
    return [(_name(directory, root), str(reason)) for directory, reason in collection.skipped]


def _name(directory: Path, root: Path) -> str:
    return str(directory.relative_to(root)) if directory != root else str(directory)
