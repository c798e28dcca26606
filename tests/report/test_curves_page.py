"""The page of training curves: which runs are one line, and reading values in a real browser."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sr_experiments.report.curves_page import curves_html, read_training_curves

WRITTEN = Path(__file__).parent / "evidence" / "fixtures" / "activation_sweep"
REAL = WRITTEN / "edsr-x2-relu-smoke-s0-4f17fbb5"
Writer = Callable[..., Path]


@pytest.fixture
def write_curve(tmp_path: Path) -> Writer:
    """A writer of run folders as the runner makes them, with curves of known values."""

    def write(
        name: str,
        psnr: list[float],
        seed: int = 0,
        state: str = "finished",
        lr: float = 0.001,
        scale: int = 2,
    ) -> Path:
        folder = tmp_path / "runs" / "sweep" / f"{name}-s{seed}-{len(psnr):08x}"
        while folder.exists():
            folder = folder.with_name(folder.name[:-1] + chr(ord(folder.name[-1]) + 1))
        shutil.copytree(REAL, folder)
        own = yaml.safe_load((folder / "config.yaml").read_text())
        own |= {"seed": seed, "scale": scale}
        own["training"]["lr"] = lr
        (folder / "config.yaml").write_text(yaml.safe_dump(own))
        lines = [f"{e},{e * 100},{1 / e},{p}" for e, p in enumerate(psnr, start=1)]
        (folder / "history.csv").write_text("\n".join(["epoch,update,lr,val_psnr_y", *lines]))
        (folder / "status.json").write_text(json.dumps({"state": state}))
        return folder

    return write


def data_of(page: str) -> dict[str, Any]:
    text = page.split('id="data">', 1)[1].split("</script>", 1)[0]
    return dict(json.loads(text))


def test_seeds_are_one_variant_and_other_settings_another(write_curve: Writer) -> None:
    for seed in (1, 0):
        write_curve("edsr-x2-relu-desk", [30, 31], seed)
    write_curve("edsr-x2-mish-desk", [29, 30], 0, "running")
    write_curve("edsr-x2-mish-desk", [29, 33], 0, lr=0.5)
    broken = write_curve("edsr-x2-gelu-desk", [1])
    (broken / "config.yaml").write_text("a: [")
    runs = broken.parents[1]
    page = curves_html(read_training_curves(runs))
    assert page == curves_html(read_training_curves(runs))
    found = {v["label"]: v for v in data_of(page)["sweep"]}
    assert [run["seed"] for run in found["relu"]["runs"]] == [0, 1]
    assert found.keys() == {"relu", "mish lr=0.001", "mish lr=0.5"}
    assert found["mish lr=0.001"]["runs"][0]["state"] == "running"
    assert found["relu"]["runs"][0]["columns"]["val_psnr_y"] == [30, 31]


def test_a_name_is_never_markup(write_curve: Writer) -> None:
    folder = write_curve("edsr", [1, 2])
    folder.rename(folder.parent / "<img src=x onerror=alert(1)>")
    page = curves_html(read_training_curves(folder.parents[1]))
    assert "<img" not in page
    assert data_of(page)["sweep"][0]["label"].startswith("<img src=x onerror=alert(1)>")


@pytest.mark.parametrize("width", [1280, 390])
def test_values_are_read_in_a_browser(
    chromium: Any, write_curve: Writer, tmp_path: Path, width: int
) -> None:
    write_curve("edsr-x2-relu-desk", [30, 31, 32], 0)
    write_curve("edsr-x2-relu-desk", [31, 32, 34], 1)
    write_curve("edsr-x2-mish-desk", [30, 31, 35.5], 0)
    write_curve("edsr-x4-mish-desk", [20, 21, 22], 0, scale=4)
    file = tmp_path / "curves.html"
    file.write_text(curves_html(read_training_curves(tmp_path / "runs")), encoding="utf-8")
    page = chromium.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert page.locator("#scale").input_value() == "x2"
    assert page.locator("#plot polyline").count() == 2
    assert page.locator("#plot polygon").count() == 1  # the range over two seeds
    box = page.locator("#plot").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + 40)
    assert page.locator("#reading b").inner_text() == "300 updates"
    read = page.locator("#reading div").all_inner_texts()
    assert [text.split() for text in read] == [["x2", "mish", "35.500"], ["x2", "relu", "33.000"]]
    page.locator("#plot").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#reading b").inner_text() == "200 updates"
    page.locator("#seeds").select_option("each")
    assert page.locator("#plot polyline").count() == 3
    page.get_by_role("button", name="relu").click()
    assert page.locator("#plot polyline").count() == 1
    cells = page.locator("#variants tbody tr").nth(1).locator("td").all_inner_texts()
    assert cells == ["0 1", "300", "33.000", "2.000", "33.000", "finished"]
    page.locator("#scale").select_option("all")
    page.locator("#axis").select_option("epoch")
    assert page.locator("#plot polyline").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (said, asked) == ([], [file.as_uri()])
    page.close()
