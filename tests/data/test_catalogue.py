"""What there is and where it lies: the catalogue, the layouts on disk, ``list`` and ``verify``."""

import hashlib
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_experiments.core.errors import UserError
from sr_experiments.data import catalogue, layouts
from sr_experiments.data.__main__ import main
from sr_experiments.data.catalogue import IMAGE_SETS, Piece, archives
from sr_experiments.data.fetch.verify import describe, verify
from sr_experiments.imaging.io import read_image, write_png

SET5 = ("baby", "bird", "butterfly", "head", "woman")


def put(root: Path, *names: str, side: int = 8) -> None:
    """Small images, each with values of its own."""
    for name in names:
        values = np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, (side, side, 3))
        write_png(root / name, values.astype(np.uint8))


def stems(paths: list[Path] | None) -> list[str]:
    assert paths is not None
    return [path.stem for path in paths]


# Embedded photographs


def test_embedded_photographs_decode_and_lie_on_one_side_only() -> None:
    seen: dict[str, str] = {}
    for split, count in (("train", 7), ("val", 1), ("test", 4)):
        paths = catalogue.embedded(split)  # type: ignore[arg-type]
        assert len(paths) == count
        for path in paths:
            image = read_image(path)
            assert min(image.shape[:2]) >= 300
            digest = hashlib.sha256(image.tobytes()).hexdigest()
            assert digest not in seen, f"{path.name} also lies in {seen[digest]}"
            seen[digest] = split
    train = {path.name for path in catalogue.embedded("train")}
    assert {"motorcycle_left.png", "motorcycle_right.png"} <= train


def test_embedded_without_scikit_image_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install scikit-image"):
        catalogue.embedded("train")


# Layouts


@pytest.mark.parametrize(
    ("folder", "root"),
    [
        ("DIV2K/DIV2K_train_HR", "."),
        ("DIV2K/DIV2K_train_HR", "DIV2K"),
        ("div2k/DIV2K_TRAIN_HR", "."),
        ("DIV2K_train_HR", "."),
    ],
)
def test_div2k_in_its_own_folders(tmp_path: Path, folder: str, root: str) -> None:
    names = ("0002", "0001", "0800", "notes")  # one that is no image of DIV2K
    put(tmp_path, *(f"{folder}/{name}.png" for name in names))
    assert stems(layouts.find_split(tmp_path / root, "DIV2K/train")) == ["0001", "0002", "0800"]


def test_merged_div2k_keeps_validation_out_of_training(tmp_path: Path) -> None:
    home = tmp_path / "DIV2K"
    put(home, *(f"DIV2K_train_HR/{n}.png" for n in ("0001", "0800", "0801", "0900")))
    put(home, *(f"DIV2K_train_LR_bicubic/X2/{n}x2.png" for n in ("0001", "0800", "0801", "0900")))
    assert stems(layouts.find_split(tmp_path, "DIV2K/train")) == ["0001", "0800"]
    assert stems(layouts.find_split(tmp_path, "DIV2K/valid")) == ["0801", "0900"]
    assert stems(layouts.find_lr(tmp_path, "DIV2K/valid", 2)) == ["0801x2", "0900x2"]
    # An own validation folder, where there is one, comes first.
    put(home, "DIV2K_valid_HR/0850.png")
    assert stems(layouts.find_split(tmp_path, "DIV2K/valid")) == ["0850"]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("benchmark/Set5/HR", "Set5"),
        ("benchmark/Set5", "Set5"),
        ("Set5/HR", "Set5"),
        ("Set5", "Set5"),
        ("Benchmark/set5/hr", "SET5"),
        ("benchmark/BSD100/HR", "B100"),
        ("BSDS100", "B100"),
        ("benchmark/B100/HR", "bsds100"),
    ],
)
def test_benchmarks_in_every_layout_and_name(tmp_path: Path, folder: str, name: str) -> None:
    put(tmp_path, *(f"{folder}/{stem}.png" for stem in SET5))
    found = layouts.find_split(tmp_path, name)
    assert stems(found) == list(SET5)
    assert found[0].parent == tmp_path / folder


def test_the_complete_place_is_taken_of_two(tmp_path: Path) -> None:
    put(tmp_path, "benchmark/Set5/HR/baby.png", *(f"Set5/{stem}.png" for stem in SET5))
    assert len(layouts.find_split(tmp_path, "Set5")) == 5


def test_other_folders_are_not_taken_for_div2k(tmp_path: Path) -> None:
    put(tmp_path, "DIV2K_sample/DIV2K_train_HR/0004.png", "MyDIV2K/DIV2K_train_HR/0004.png")
    with pytest.raises(UserError) as caught:
        layouts.find_split(tmp_path, "DIV2K/train")
    lines = str(caught.value).splitlines()
    # The first line is complete in itself; the two trees follow, briefly.
    assert lines[0].startswith(f"DIV2K/train: no such set under {tmp_path}; set SR_DATA")
    assert f"sr_experiments.data fetch DIV2K/train --root {tmp_path}" in lines[0]
    assert any("DIV2K/DIV2K_train_HR/" in line and "0001.png" in line for line in lines[1:3])
    assert any("DIV2K_sample/" in line for line in lines[3:])
    assert len(lines) <= 13


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ((), "the data root .* does not exist"),
        (("Set5/HR",), "HR holds no image, where 5 are expected"),
        (("DIV2K",), "no such set under"),
    ],
)
def test_missing_and_empty_are_told_apart(tmp_path: Path, make: tuple[str, ...], said: str) -> None:
    root = tmp_path / "data"
    for folder in make:
        (root / folder).mkdir(parents=True)
    with pytest.raises(UserError, match=said) as caught:
        layouts.find_split(root, "Set5")
    assert "fetch benchmark" in str(caught.value).splitlines()[0]


def test_a_wrong_count_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, *(f"Set5/HR/{stem}.png" for stem in SET5[:3]))
    assert len(layouts.find_split(tmp_path, "Set5")) == 3
    assert "Set5: 5 images expected, 3 found" in caplog.text
    caplog.clear()
    put(tmp_path, *(f"Set5/HR/{stem}.png" for stem in SET5))
    layouts.find_split(tmp_path, "Set5")
    assert caplog.text == ""


def test_ranges_of_file_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, *(f"DIV2K/DIV2K_valid_HR/08{n:02d}.png" for n in range(1, 21)))
    found = layouts.find_split(tmp_path, "DIV2K/valid", numbers="0801-0810")
    assert stems(found) == [f"08{n:02d}" for n in range(1, 11)]
    assert caplog.text == ""
    assert stems(layouts.select(found, "0803,0809-0899")) == ["0803", "0809", "0810"]
    for wrong in ("0810-0801", "first ten", "0790-0810", "0890-0899", "-5"):
        with pytest.raises(UserError, match=f"numbers={wrong}"):
            layouts.find_split(tmp_path, "DIV2K/valid", numbers=wrong)


def test_lr_is_matched_one_to_one(tmp_path: Path) -> None:
    put(tmp_path, *(f"Set5/HR/{stem}.png" for stem in SET5))
    assert layouts.find_lr(tmp_path, "Set5", 2) is None
    put(tmp_path, *(f"Set5/LR_bicubic/X2/{stem}x2.png" for stem in reversed(SET5)))
    assert stems(layouts.find_lr(tmp_path, "Set5", 2)) == [f"{stem}x2" for stem in SET5]
    (tmp_path / "Set5/LR_bicubic/X2/headx2.png").unlink()
    with pytest.raises(UserError, match=r"head\.png has no LR partner headx2\.png"):
        layouts.find_lr(tmp_path, "Set5", 2)


@pytest.mark.parametrize("name", [name for name, s in IMAGE_SETS.items() if s.source])
def test_every_source_has_an_archive_that_gives_the_set(name: str) -> None:
    for scales in ((), (2, 4)):
        given = [piece for archive in archives(name, scales) for piece in archive.gives]
        assert given == [Piece(name, scale) for scale in (None, *scales)]


def test_an_unknown_set_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean Urban100"):
        catalogue.image_set("urban10")


# The command line


def test_list_is_fast_and_shows_what_is_there(tmp_path: Path) -> None:
    put(tmp_path, *(f"Set5/HR/{stem}.png" for stem in SET5))
    code = (
        "import sys; from sr_experiments.data.__main__ import main; "
        "code = main(['list', '--root', sys.argv[1]]); "
        "print('torch' in sys.modules, 'skimage' in sys.modules); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    *table, modules = done.stdout.splitlines()
    assert modules == "False False"
    rows = {line.split()[0]: line for line in table if line.split()}
    assert "fetch benchmark" not in rows["Set5"] and "fetch benchmark" in rows["Set14"]
    assert set(catalogue.IMAGE_SETS) | {"embedded/train", "embedded/val"} <= set(rows)


def test_verify_counts_what_is_damaged_and_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_DATA", str(tmp_path))
    put(tmp_path, *(f"Set5/HR/{stem}.png" for stem in SET5))
    assert main(["verify", "Set5"]) == 0
    assert "Set5: 5 of 5 images" in capsys.readouterr().out
    put(tmp_path, *(f"Set5/LR_bicubic/X2/{stem}x2.png" for stem in SET5), side=3)  # 4 is right
    cut = tmp_path / "Set5/HR/head.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    assert main(["verify", "Set5"]) == 1
    out = capsys.readouterr().out
    assert "5 damaged" in out and "head.png: damaged image" in out
    assert "babyx2.png: 3x3 pixels, where 4x4 are expected of x2" in out
    cut.unlink()
    assert main(["verify", "Set5", "--lr"]) == 1
    assert "4 of 5 images" in capsys.readouterr().out


def test_a_mistake_is_one_line_and_exit_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "Set6"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: Set6: no such data set") and printed.err.count("\n") == 1
    assert printed.out == ""


# Real images


@pytest.mark.research
def test_lr_of_div2k_is_the_suites_own(tmp_path: Path, research: Path) -> None:
    (tmp_path / "DIV2K").symlink_to(research / "DIV2K_sample")
    report = verify("DIV2K/train", tmp_path)
    assert report.sizes == [(2040, 1344)] and not report.damaged
    assert [entry.scale for entry in report.lr] == [2]
    assert "0 of 2056320 values differ from the suite's bicubic (mirror border)" in "\n".join(
        describe(report)
    )


@pytest.mark.research
def test_lr_of_an_older_matlab_is_recognised_by_its_border(tmp_path: Path, research: Path) -> None:
    (tmp_path / "Set5" / "LR_bicubic").mkdir(parents=True)
    (tmp_path / "Set5/HR").symlink_to(research / "benchmark/Set5/HR")
    (tmp_path / "Set5/LR_bicubic/X3").symlink_to(research / "oracle/bicubic_clamp/Set5/X3")
    (entry,) = verify("Set5", tmp_path).lr
    with_pillow = sum(
        np.asarray(Image.open(path)).size for path in (tmp_path / "Set5/LR_bicubic/X3").iterdir()
    )
    assert entry.values == with_pillow
    assert entry.differing["mirror"] > 0 and entry.differing["clamp"] == 0
