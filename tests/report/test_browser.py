"""The report page in a real browser: at a desk and on a phone, light and dark, without a mouse."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from sr_experiments.imaging.io import write_png
from sr_experiments.report.write import write_reports

Writer = Callable[..., Path]


@pytest.fixture
def page_file(tmp_path: Path, write_run: Writer) -> Path:
    """A report with scores, curves, images, long names and a skipped folder."""
    images = np.random.default_rng(0).integers(0, 255, (2, 120, 120, 3)).astype(np.uint8)
    for number, activation in enumerate(("relu", "mish")):
        scores = {"Set5": {"baby": (37.0 + number, 0.93)}, "a_set_of_ours_" * 8: {"i": (30, 0.9)}}
        folder = write_run(scores, activation=activation, folder=f"{activation}-{'long-' * 30}")
        lines = [f"{e},{e * 100},0.1,1,{20 + e + number}" for e in range(1, 9)]
        (folder / "history.csv").write_text(
            "\n".join(["epoch,update,lr,train_loss,val_psnr_y", *lines])
        )
        write_png(folder / "images/Set5/baby.png", images[number])
    (write_run({"Set5": {"baby": (1, 0.1)}}) / "scores.csv").unlink()
    out = tmp_path / "report"
    write_reports(["activation", "swa"], tmp_path / "runs", out, Console(file=StringIO()))
    return out / "index.html"


COLOURS = """() => {
  const style = getComputedStyle(document.body);
  const line = document.querySelector('svg.plot path[style*="--s0"]');
  const text = document.querySelector('svg.plot text');
  return [style.color, style.backgroundColor, getComputedStyle(line).stroke,
          getComputedStyle(text).fill];
}"""
#: What sticks out of the page although no box of its own scrolls it.
OUTSIDE = """() => [...document.querySelectorAll('main *, header *')].filter(e => {
  if (e.closest('.scroll, .wide, pre')) return false;
  if (e.closest('thead') || !e.getClientRects().length) return false;
  const r = e.getBoundingClientRect();
  return r.right > document.documentElement.clientWidth + 1;
}).map(e => e.tagName + ' ' + e.textContent.slice(0, 40))"""


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_is_silent_and_follows_the_theme(
    chromium: Any, page_file: Path, width: int
) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        page = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto(page_file.as_uri())
        for details in page.locator("details").all():
            details.locator("summary").click()
        assert said == []
        # The page itself, and what it holds in itself.
        assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
        across = page.evaluate("document.documentElement.scrollWidth")
        assert across <= width
        assert page.evaluate(OUTSIDE) == []
        assert page.locator("svg.plot").count() >= 4
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth)")
        seen[scheme] = page.evaluate(COLOURS)
        context.close()
    for light, dark in zip(seen["light"], seen["dark"], strict=True):
        assert light != dark
    ink, paper, line, text = seen["dark"]
    assert len({ink, paper, line}) == 3 and text == ink


def test_the_page_by_keyboard_and_for_a_screen_reader(chromium: Any, page_file: Path) -> None:
    page = chromium.new_page()
    page.goto(page_file.as_uri())
    page.keyboard.press("Tab")
    skip = page.evaluate("document.activeElement.textContent")
    assert skip == "Skip to the report"
    assert page.locator(".skip").bounding_box()["x"] >= 0  # seen once it has the focus
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    names = page.evaluate(
        "[...document.querySelectorAll('svg[role=img]')].map(s => s.getAttribute('aria-labelledby')"
        ".split(' ').map(i => document.getElementById(i).textContent))"
    )
    assert names and all(title and description for title, description in names)
    assert all(page.evaluate("[...document.images].map(i => i.alt)"))
    heads = page.locator("table.scores tbody th[scope=rowgroup]")
    assert "x2 Set5" in heads.all_inner_texts()
    for role, count in (("main", 1), ("navigation", 1), ("banner", 1)):
        assert page.get_by_role(role).count() == count
    # On a phone the claims are shown as blocks, and stay a table to a screen reader.
    page.set_viewport_size({"width": 390, "height": 800})
    claims = page.get_by_role("region", name="Claims of activation").get_by_role("table")
    assert claims.get_by_role("rowheader").count() >= 5
    assert claims.get_by_role("columnheader").count() == 5
    page.close()
