"""The documentation's pages: links lead somewhere, numbers are those of the runs."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r": (\w+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert {page.name for page in ROOT.glob("docs/*.md")} <= listed


def test_the_differences_between_protocols_are_those_of_a_run() -> None:
    text = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    head, _, *rows = (
        text.split("<!-- differences -->")[1].split("<!-- end -->")[0].split("\n")[1:-1]
    )
    names = re.findall(r"`(\w+)`", head)
    (file,) = ROOT.glob("results/desk/activation_sweep/bicubic-x2-*/result.json")
    means = json.loads(file.read_text())["means"]
    for row in rows:
        label, *cells = [cell.strip() for cell in row.strip("|").split("|")]
        found = means[label.removeprefix("bicubic, ")]["raw"]
        for name, cell in zip(names, cells, strict=True):
            psnr, ssim = found[name]["psnr"], found[name]["ssim"]
            assert cell == f"{psnr:.2f}" + ("" if ssim is None else f" / {ssim:.4f}")


def test_the_studys_tables_are_those_of_the_results() -> None:
    file = ROOT / "docs" / "write_study.py"
    spec = importlib.util.spec_from_file_location("write_study", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for file, content in ((module.STUDY, module.study()), (module.README, module.front_page())):
        text = file.read_text(encoding="utf-8")
        assert text.partition(module.BEGIN)[2].partition(module.END)[0].strip() == content.strip()
    # What a drawing shows is told in its head; how it is drawn may differ in a last digit.
    for file, drawing in module.drawings().items():
        assert file.read_text(encoding="utf-8").partition("<g ")[0] == drawing.partition("<g ")[0]
