"""``python -m sr_experiments.report``: the papers' tables and claims beside our runs.

Needs no torch: a report can be written on a laptop from copied run folders.
"""

import argparse
import os
from pathlib import Path

DESCRIPTION = (
    "Compare finished runs with the papers: verdicts on claims, tables, figures, images and cost. "
    "Writes index.html and curves.html, which work offline, and for each paper Markdown, CSV and "
    "LaTeX."
)
EPILOG = """examples:
  python -m sr_experiments.report
  python -m sr_experiments.report activation --runs runs --out report --budget quick
"""


def main(argv: list[str] | None = None) -> int:
    """Print verdicts and tables, and write the page, Markdown, CSV and LaTeX.

    Returns:
        0, or 2 after a mistake of the user, which is printed in one line on stderr.
    """
    parser = argparse.ArgumentParser(
        prog="python -m sr_experiments.report",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "papers",
        nargs="*",
        metavar="PAPER",
        help="name or YAML file of a paper (default: all papers)",
    )
    parser.add_argument(
        "--runs", type=Path, default=_folder("runs"), help="folder of runs (default: %(default)s)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=_folder("report"),
        help="folder of the report (default: %(default)s)",
    )
    parser.add_argument("--budget", help="only runs of this budget (and bicubic)")
    arguments = parser.parse_args(argv)

    # Imported late: --help does not wait for them.
    from rich.console import Console
    from rich.text import Text

    from sr_experiments.core.errors import UserError
    from sr_experiments.report.paper.load import papers
    from sr_experiments.report.write import write_reports

    try:
        names = arguments.papers or papers()
        write_reports(names, arguments.runs, arguments.out, Console(), arguments.budget)
    except UserError as error:
        Console(stderr=True).print(Text(f"error: {error}"), soft_wrap=True)
        return 2
    return 0


def _folder(name: str) -> Path:
    """The folder that the configs use: ``$SR_RUNS``, ``$SR_REPORT``, or one here."""
    return Path(os.environ.get(f"SR_{name.upper()}", name))


if __name__ == "__main__":
    raise SystemExit(main())
