"""Writing a paper's report: on the terminal, as Markdown and as a page."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from sr_experiments.imaging.io import replacing
from sr_experiments.papers.collect import Collection, collect
from sr_experiments.papers.document import document, skipped_names
from sr_experiments.papers.load import load_paper
from sr_experiments.papers.markdown import to_markdown
from sr_experiments.papers.page import to_html
from sr_experiments.papers.schema import Paper
from sr_experiments.papers.terminal import show


def write_report(
    paper: str,
    runs_root: Path,
    out: Path,
    console: Console,
    budget: str | None = None,
    shown: str | None = None,
) -> list[Path]:
    """Print a paper's tables and write them to ``out``.

    Args:
        paper: a name of ``sweeps/`` or a YAML file.
        runs_root: the folder of runs; what cannot be read there is named and left out.
        out: the folder of reports, made if need be.
        console: where the tables, the paths and the folders left out are printed.
        budget: only tables of this one.
        shown: of the tables written, print only those of this budget.

    Returns:
        The Markdown file and the page.

    Raises:
        UserError: no such paper, a mistake in its file, no folder of runs, no run of the budget,
            or ``out`` cannot be written.
    """
    return write_reports([paper], runs_root, out, console, budget, shown)


def write_reports(
    papers: list[str],
    runs_root: Path,
    out: Path,
    console: Console,
    budget: str | None = None,
    shown: str | None = None,
) -> list[Path]:
    """As :func:`write_report` for several papers; the runs are read once."""
    loaded = [load_paper(paper) for paper in papers]  # a mistake is found before any work
    collection = collect(runs_root)
    written = []
    for paper in loaded:
        written += _write(paper, collection, runs_root, out, console, budget, shown)
    skipped = skipped_names(collection, runs_root)
    if skipped:
        console.print(Text("\nFolders left out", style="bold"))
    for folder, reason in skipped:
        console.print(Text(f"- {folder}: {reason}"), soft_wrap=True)
    console.print()
    for path in written:
        console.print(Text(str(path)), soft_wrap=True)
    return written


def _write(
    paper: Paper,
    collection: Collection,
    runs_root: Path,
    out: Path,
    console: Console,
    budget: str | None,
    shown: str | None,
) -> list[Path]:
    report = document(paper, collection, runs_root, budget)
    show(document(paper, collection, runs_root, shown) if shown else report, console)
    written = []
    for suffix, text in ((".md", to_markdown(report)), (".html", to_html(report))):
        path = out / f"{paper.name}{suffix}"
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(path)
    return written
