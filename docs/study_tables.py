"""Write the main claims of the desk runs into ``docs/study.md``: ``python docs/study_tables.py``.

The study's text is written by hand; its numbers are those of the report.
"""

from pathlib import Path

from sr_experiments.report.evidence.collect import collect
from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.report.render.document import document
from sr_experiments.report.render.markdown import summary_markdown

ROOT = Path(__file__).resolve().parents[1]
STUDY, RUNS = ROOT / "docs" / "study.md", ROOT / "results" / "desk"
BEGIN, END = "<!-- main claims: python docs/study_tables.py -->\n", "<!-- end -->\n"


def tables() -> str:
    """The summary of the report, without its title."""
    collection = collect(RUNS)
    documents = [document(load_paper(name), collection, RUNS) for name in papers()]
    return summary_markdown(documents).partition("\n")[2].strip().replace("\n## ", "\n### ") + "\n"


def main() -> None:
    """Replace the tables in the study."""
    head, _, rest = STUDY.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    STUDY.write_text(f"{head}{BEGIN}\n{tables()}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
