"""A paper's report before its layout: tables with what stands around them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_experiments.papers.collect import Collection
from sr_experiments.papers.schema import Paper
from sr_experiments.papers.table import Table, build_tables


@dataclass(frozen=True)
class Document:
    """All tables of a paper, and the run folders that could not be read."""

    paper: Paper
    tables: Sequence[Table]
    root: Path
    skipped: Sequence[tuple[str, str]]

    def runs(self, table: Table) -> list[str]:
        """Folders of the runs of a table, below the folder of runs."""
        return sorted(_name(run.directory, self.root) for run in table.group.members)


def document(
    paper: Paper, collection: Collection, root: Path, budget: str | None = None
) -> Document:
    """Set the runs below ``root`` beside a paper; see :func:`build_tables` for ``budget``."""
    return Document(
        paper=paper,
        tables=build_tables(paper, collection.runs, budget),
        root=root,
        skipped=skipped_names(collection, root),
    )


def skipped_names(collection: Collection, root: Path) -> list[tuple[str, str]]:
    """The folders that were left out, named below the folder of runs, with their reasons."""
    return [(_name(directory, root), reason) for directory, reason in collection.skipped]


def _name(directory: Path, root: Path) -> str:
    return str(directory.relative_to(root)) if directory != root else str(directory)
