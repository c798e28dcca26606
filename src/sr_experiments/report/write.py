"""Writing the papers' report: on the terminal, as a page, Markdown, CSV and LaTeX."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.report.evidence.collect import Collection, collect
from sr_experiments.report.paper.definition import Paper
from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.report.render.csv_files import claims_csv, scores_csv
from sr_experiments.report.render.document import Document, document, skipped_names
from sr_experiments.report.render.html import to_html
from sr_experiments.report.render.latex import to_latex
from sr_experiments.report.render.markdown import to_markdown
from sr_experiments.report.render.terminal import show

#: The page of all papers.
INDEX = "index.html"
#: The files of one paper: what is added to its name, and what fills it.
FILES: dict[str, Callable[[Document], str]] = {
    ".md": to_markdown,
    ".csv": scores_csv,
    "_claims.csv": claims_csv,
    ".tex": to_latex,
}


def write_report(
    paper: str,
    runs_root: Path,
    out: Path,
    console: Console,
    budget: str | None = None,
    shown: str | None = None,
) -> list[Path]:
    """Print a paper's tables and write them to ``out``, and the page of all papers.

    Args:
        paper: a name of ``sweeps/`` or a YAML file.
        runs_root: the folder of runs; what cannot be read there is named and left out.
        out: the folder of reports, made if need be.
        console: where the tables, the paths and the folders left out are printed.
        budget: only tables of this one.
        shown: of the tables written, print only those of this budget.

    Returns:
        The paper's files (Markdown, two of CSV, LaTeX) and the page.

    Raises:
        UserError: no such paper, a mistake in its file, no folder of runs, no run of the budget,
            or ``out`` cannot be written.
    """
    others = [name for name in papers() if name != paper]
    return write_reports([paper], runs_root, out, console, budget, shown, others)


def write_reports(
    names: Sequence[str],
    runs_root: Path,
    out: Path,
    console: Console,
    budget: str | None = None,
    shown: str | None = None,
    others: Sequence[str] = (),
) -> list[Path]:
    """As :func:`write_report` for several papers; the runs are read once.

    Args:
        names: of the papers that are printed and written.
        runs_root: as above.
        out: as above.
        console: as above.
        budget: as above; it is a mistake only if no paper has runs of it.
        shown: as above.
        others: papers that stand on the page as well.
    """
    loaded = _load(names)  # a mistake is found before any work
    known = {paper.name for paper in loaded}
    also = [paper for paper in _load(others) if paper.name not in known]
    collection = collect(runs_root)
    reports = _documents(loaded, collection, runs_root, budget)
    written = []
    for report in reports:
        if report.used or len(reports) == 1:
            _show(report, shown, console)
        else:
            stages = ", ".join(report.paper.stages)
            text = f"\n{report.paper.name}: no finished run yet (experiments {stages})"
            console.print(Text(text), soft_wrap=True)
        for suffix, render in FILES.items():
            written.append(out / f"{report.paper.name}{suffix}")
            _write(written[-1], render(report))
    page = [*reports, *(document(paper, collection, runs_root) for paper in also)]
    written.append(out / INDEX)
    _write(written[-1], to_html(sorted(page, key=lambda report: report.paper.name)))
    skipped = skipped_names(collection, runs_root)
    if skipped:
        console.print(Text("\nSkipped folders", style="bold"))
    for folder, reason in skipped:
        console.print(Text(f"- {folder}: {reason}"), soft_wrap=True)
    console.print()
    for path in written:
        console.print(Text(str(path)), soft_wrap=True)
    return written


def _load(names: Sequence[str]) -> list[Paper]:
    loaded: dict[str, Paper] = {}
    for name in dict.fromkeys(names):
        paper = load_paper(name)
        if paper.name in loaded:
            raise UserError(f"{name}: there is another paper called {paper.name}; rename one")
        loaded[paper.name] = paper
    return list(loaded.values())


def _documents(
    loaded: Sequence[Paper], collection: Collection, root: Path, budget: str | None
) -> list[Document]:
    """Of a budget that some papers have no runs of, these show published numbers only."""
    found, refused = [], []
    for paper in loaded:
        try:
            found.append(document(paper, collection, root, budget))
        except UserError as error:
            refused.append(error)
            found.append(document(paper, Collection([], collection.skipped), root))
    if refused and len(refused) == len(loaded):
        raise refused[0]
    return found


def _show(report: Document, budget: str | None, console: Console) -> None:
    """Print a report, of one budget if it has that."""
    tables = [table for table in report.tables if table.budget == budget]
    if budget is not None and tables:
        verdicts = [verdict for verdict in report.verdicts if budget in verdict.budgets]
        report = replace(report, tables=tables, verdicts=verdicts)
    show(report, console)


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
