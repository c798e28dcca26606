"""Writing the papers' report: on the terminal, as pages, Markdown, CSV and LaTeX."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.report.curves_page import curves_html, read_training_curves
from sr_experiments.report.evidence.collect import Collection, collect
from sr_experiments.report.paper.definition import Paper
from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.report.render.csv_files import claims_csv, scores_csv
from sr_experiments.report.render.document import Document, document, skipped_names
from sr_experiments.report.render.html import to_html
from sr_experiments.report.render.latex import to_latex
from sr_experiments.report.render.markdown import summary_markdown, to_markdown
from sr_experiments.report.render.terminal import show

#: The page of the papers, their summary, and the page of all training curves.
INDEX, SUMMARY, CURVES = "index.html", "summary.md", "curves.html"
#: The files of one paper: suffix and renderer.
FILES: dict[str, Callable[[Document], str]] = {
    ".md": to_markdown,
    ".csv": scores_csv,
    "_claims.csv": claims_csv,
    ".tex": to_latex,
}


def write_report(
    paper: str, runs_root: Path, out: Path, console: Console, shown: str | None = None
) -> list[Path]:
    """As :func:`write_reports` for one paper; the page shows all others as well."""
    others = [name for name in papers() if name != paper]
    return write_reports([paper], runs_root, out, console, shown=shown, others=others)


def write_reports(
    names: Sequence[str],
    runs_root: Path,
    out: Path,
    console: Console,
    budget: str | None = None,
    shown: str | None = None,
    others: Sequence[str] = (),
) -> list[Path]:
    """Print the tables of papers and write them to ``out``, with one page of all these papers.

    Args:
        names: the papers, each a name of ``sweeps/`` or a YAML file.
        runs_root: the folder of runs; those that cannot be read are named and skipped.
        out: the folder of the report, created if needed.
        console: where tables, paths and skipped folders are printed.
        budget: only tables of this budget; an error only if no paper has runs of it.
        shown: of the tables written, print only those of this budget.
        others: papers that are only on the page.

    Returns:
        The files of each paper (Markdown, two of CSV, LaTeX), their summary, the page of
        curves, and last their own page.

    Raises:
        UserError: no such paper, a mistake in its file, no folder of runs, no run of the budget,
            or ``out`` cannot be written.
    """
    loaded = _load(names)  # mistakes are found before the runs are read
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
    page.sort(key=lambda report: report.paper.name)
    shared = {
        SUMMARY: summary_markdown(page),
        CURVES: curves_html(read_training_curves(runs_root)),
        INDEX: to_html(page),
    }
    for name, text in shared.items():
        written.append(out / name)
        _write(written[-1], text)
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
            raise UserError(
                "paper-name-taken",
                "{file}: another of the papers asked for is called {name}, too; rename one of them",
                file=name,
                name=paper.name,
            )
        loaded[paper.name] = paper
    return list(loaded.values())


def _documents(
    loaded: Sequence[Paper], collection: Collection, root: Path, budget: str | None
) -> list[Document]:
    """A paper without runs of the budget shows published numbers only, unless none has any."""
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
    """Print a report; of one budget only, if it has tables of that."""
    tables = [table for table in report.tables if table.budget == budget]
    if budget is not None and tables:
        verdicts = [verdict for verdict in report.verdicts if budget in verdict.budgets]
        report = replace(report, tables=tables, verdicts=verdicts)
    show(report, console)


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
