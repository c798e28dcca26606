"""Write what the desk runs found into ``docs/study.md`` and ``README.md``, and draw its figures.

``python docs/write_study.py``; the text around is written by hand, the numbers are the report's.
"""

import re
from functools import cache
from pathlib import Path

from sr_experiments.report.evidence.collect import collect
from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.report.render.document import Document, document
from sr_experiments.report.render.figures import effect_figure
from sr_experiments.report.render.markdown import summary_markdown
from sr_experiments.report.render.table_text import blocks, column_labels
from sr_experiments.report.render.verdict_text import verdict_text

ROOT = Path(__file__).resolve().parents[1]
STUDY, README, RUNS = ROOT / "docs" / "study.md", ROOT / "README.md", ROOT / "results" / "desk"
BEGIN, END = "<!-- main claims: python docs/write_study.py -->\n", "<!-- end -->\n"
STYLE = ROOT / "src" / "sr_experiments" / "report" / "render" / "templates" / "style.css"
FIGURES = ROOT / "docs" / "figures"
#: Papers whose effects are drawn.
DRAWN = ("activation", "distillation", "swa")
#: What the front page shows.
PAPER, SET = "activation", "B100"


@cache
def reports() -> dict[str, Document]:
    """Of each paper, by its name."""
    collection = collect(RUNS)
    return {name: document(load_paper(name), collection, RUNS) for name in papers()}


def study() -> str:
    """The summary of the report, without its title."""
    text = summary_markdown(list(reports().values()))
    return text.partition("\n")[2].strip().replace("\n## ", "\n### ") + "\n"


def front_page() -> str:
    """One data set of one paper's table beside the published numbers, and the main claims."""
    report = reports()[PAPER]
    (table,) = report.tables
    labels = column_labels(table)
    lines = [[f"PSNR on {SET}", "", *labels], ["---", "---", *["--:"] * len(labels)]]
    for block in blocks(table):
        if block.dataset == SET:
            for line in block.lines:
                if line.label != "difference":
                    cells = [cell.text for cell in line.cells(("psnr",))]
                    lines.append([f"x{block.scale}", line.label, *cells])
    texts = [verdict_text(verdict, report.paper) for verdict in report.headline]
    claims = [["claim", "verdict", "ours, 95 % interval", "paper"], ["---"] * 4]
    for text in texts:
        verdict = "; ".join(part for part in (text.verdict, text.aside) if part)
        claims.append([text.claim, verdict, f"{text.effect} {text.interval}", text.published])
    both = [[f"| {' | '.join(cells)} |" for cells in rows] for rows in (lines, claims)]
    return "\n".join([*both[0], "", *both[1]]) + "\n"


def drawings() -> dict[Path, str]:
    """The effects of some papers as files of their own: the report's, with the page's colours."""
    found = {}
    for name in DRAWN:
        figure = effect_figure(reports()[name].paper, reports()[name].verdicts)
        assert figure is not None, f"{name} has no measured effect"
        (panel,) = figure.panels
        found[FIGURES / f"{name}.svg"] = alone(panel.svg)
    return found


def alone(svg: str) -> str:
    """A drawing of the report as a file that brings the report's colours, light and dark."""
    css = STYLE.read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{ ([^}]*--ink[^}]*) \}", css)
    style = (
        f"svg {{ {' '.join(light.split())} color: var(--ink); background: var(--paper); "
        "font-family: system-ui, sans-serif; } @media (prefers-color-scheme: dark) "
        f"{{ svg {{ {' '.join(dark.split())} }} }}"
    )
    text = str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    text = text.replace("</desc>", f"</desc>\n<style>{style}</style>", 1)
    return f"{text}\n"


def fill(file: Path, content: str) -> None:
    """Replace what stands between the marks."""
    head, _, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    file.write_text(f"{head}{BEGIN}\n{content}\n{END}{tail}", encoding="utf-8")


def main() -> None:
    """Fill both files, and draw the figures."""
    fill(STUDY, study())
    fill(README, front_page())
    FIGURES.mkdir(exist_ok=True)
    for file, drawing in drawings().items():
        file.write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main()
