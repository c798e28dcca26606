"""Images side by side: the right image, the right place, the right numbers."""

from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_experiments.imaging.io import write_png
from sr_experiments.report.evidence.collect import Collection, collect
from sr_experiments.report.evidence.table import build_tables
from sr_experiments.report.paper.load import load_paper
from sr_experiments.report.render.crops import SIDE, Comparison, comparisons, most_different

Writer = Callable[..., Path]
PAPER = load_paper("activation")
#: Where the planted difference lies: rows and columns.
PLACE = (slice(60, 100), slice(150, 190))


def truth() -> np.ndarray:
    return np.random.default_rng(0).integers(40, 200, (160, 240, 3)).astype(np.uint8)


def output(error: int) -> np.ndarray:
    image = truth()
    image[PLACE] += np.uint8(error)
    return image


@pytest.fixture
def runs(tmp_path: Path, write_run: Writer) -> Path:
    """ReLU and Mish differ most on the bird; the seed without images is passed over."""
    scores = {"relu": (30.0, 30.0), "mish": (30.1, 31.0), "swish": (29.0, 35.0)}
    for activation, (baby, bird) in scores.items():
        table = {"Set5": {"baby": (baby, 0.9), "bird": (bird, 0.9)}}
        folder = write_run(table, activation=activation, seed=1)
        write_run(table, activation=activation, seed=0)
        if activation != "swish":  # which has kept none
            for name in ("baby", "bird"):
                error = {"relu": 4, "mish": 20}[activation]
                write_png(folder / "images/Set5" / f"{name}.png", output(error))
    write_run({"Set5": {"baby": (27.0, 0.8), "bird": (28.0, 0.8)}}, bicubic=True)
    return tmp_path / "runs"


def compare(runs: Path) -> list[Comparison]:
    collection: Collection = collect(runs)
    (table,) = build_tables(PAPER, collection.runs)
    return comparisons(table, collection.runs)


def folder_of(runs: Path, activation: str) -> Path:
    (images,) = runs.glob(f"*/{activation}-*/images/Set5")
    return images


def pixels(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(BytesIO(b64decode(data))))


def test_the_image_and_the_place_that_differ_most(runs: Path) -> None:
    (found,) = compare(runs)
    assert (found.dataset, found.image, found.scale, found.protocol) == ("Set5", "bird", 2, "y")
    left, top, width, height = found.box
    assert (width, height) == (SIDE, SIDE)
    assert top <= 60 and left <= 150 and top + height >= 100 and left + width >= 190
    assert [crop.label for crop in found.crops] == ["ReLU", "Mish"]
    assert [crop.image_psnr for crop in found.crops] == [30.0, 31.0]
    assert [crop.crop_psnr for crop in found.crops] == [None, None]
    for crop, error in zip(found.crops, (4, 20), strict=True):
        window = output(error)[top : top + height, left : left + width]
        assert np.array_equal(pixels(crop.uri), window)
    assert {run.seed for run in found.runs} == {1}


def test_with_the_ground_truth_crops_are_scored(runs: Path) -> None:
    write_png(folder_of(runs, "mish") / "bird_hr.png", truth())
    (bicubic,) = runs.glob("*/relu-x2-s0-*7")  # the seventh run that the fixture writes
    write_png(bicubic / "images/Set5/bird.png", output(30))
    (found,) = compare(runs)
    assert [crop.label for crop in found.crops] == ["Ground truth", "Bicubic", "ReLU", "Mish"]
    assert found.crops[1].image_psnr == 28.0
    share = 40 * 40 / SIDE**2  # of the crop that is wrong, by the planted error
    for crop, error in zip(found.crops[1:], (30, 4, 20), strict=True):
        expected = 10 * np.log10(255**2 / (error**2 * share))
        assert crop.crop_psnr == pytest.approx(expected, abs=1e-6)


def test_averaged_weights_have_images_of_their_own(runs: Path) -> None:
    (table,) = PAPER.tables
    columns = [c.model_copy(update={"weights": "averaged"}) for c in table.columns]
    paper = PAPER.model_copy(update={"tables": [table.model_copy(update={"columns": columns})]})
    collection = collect(runs)
    assert comparisons(build_tables(paper, collection.runs)[0], collection.runs) == []
    for activation, error in (("relu", 7), ("mish", 9)):
        write_png(folder_of(runs, activation) / "baby_averaged.png", output(error))
    (found,) = comparisons(build_tables(paper, collection.runs)[0], collection.runs)
    assert found.image == "baby"
    assert [crop.image_psnr for crop in found.crops] == pytest.approx([35.0, 35.1])


@pytest.mark.parametrize("damage", ["cut", "other size"])
def test_broken_images_are_passed_over(runs: Path, damage: str) -> None:
    path = folder_of(runs, "mish") / "bird.png"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    else:
        write_png(path, output(1)[:-1])
    assert compare(runs) == []


def test_small_images_are_taken_whole_and_borders_do_not_count() -> None:
    a, b = np.zeros((2, 50, 200, 3), np.uint8)
    b[10:20, 120:130] = 255
    left, top, width, height = most_different([a, b], side=80)
    assert (top, width, height) == (0, 80, 50) and left <= 120 and left + 80 >= 130
    a, b = np.zeros((2, 200, 200, 3), np.uint8)
    b[:, :4] = 255  # a border effect
    b[150:160, 150:160] = 20
    left, top, width, height = most_different([a, b], side=80)
    assert left + width >= 160 and top + height >= 160
