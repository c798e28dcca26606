"""Images are decoded once, kept whole or not at all, and named when they are damaged."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_experiments.core.errors import UserError
from sr_experiments.data import store as store_module
from sr_experiments.data.patches import CropSampler, cut
from sr_experiments.data.sources import find_images, hash_files
from sr_experiments.data.store import open_pairs
from sr_experiments.imaging.io import read_image, write_png
from sr_experiments.imaging.resize import downscale

SHAPES = {"a": (30, 41, 3), "b": (33, 28), "c": (26, 26, 3)}


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        write_png(tmp_path / "mine" / f"{name}.png", generator.integers(0, 256, shape, np.uint8))
    return tmp_path / "mine"


@pytest.fixture
def opened(folder, tmp_path):
    """Open the folder anew, as another run would."""

    def call(scale=2, **options):
        images = find_images(str(folder), tmp_path, tmp_path / "cache")
        return open_pairs(images, scale, tmp_path / "cache", **options)

    return call


def stores(tmp_path):
    return {p.name for p in (tmp_path / "cache" / "stores").glob("*") if p.suffix != ".lock"}


def content(pairs):
    # Copies: a store that is cut short under an open view would end the process.
    return [tuple(x.permute(1, 2, 0).numpy().copy() for x in pair) for pair in pairs]


def assert_same(first, again):
    for one, other in zip(first, again, strict=True):
        for x, y in zip(one, other, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("border", ["mirror", "clamp"])
@pytest.mark.parametrize("scale", [2, 3])
def test_a_store_holds_what_the_files_hold(opened, folder, scale, border):
    pairs = opened(scale, border=border)
    assert pairs.hr.names == ("a", "b", "c") and pairs.hr.grey == (False, True, False)
    for index, name in enumerate("abc"):
        truth = read_image(folder / f"{name}.png")
        lr, hr = (x.permute(1, 2, 0).numpy() for x in pairs[index])
        assert np.array_equal(pairs.hr[index].permute(1, 2, 0).numpy(), truth)
        assert np.array_equal(lr, downscale(truth, scale, border=border))
        assert np.array_equal(hr, truth[: lr.shape[0] * scale, : lr.shape[1] * scale])


def test_a_second_opening_decodes_nothing(opened, monkeypatch):
    first = content(opened())

    def refuse(*args, **options):
        raise AssertionError("decoded again")

    monkeypatch.setattr(store_module, "read_image", refuse)
    monkeypatch.setattr(store_module, "downscale", refuse)
    again = content(opened())
    assert_same(first, again)
    with pytest.raises(AssertionError, match="decoded again"):
        opened(scale=3)


def test_drawing_batches_opens_no_file(opened, folder):
    pairs = opened()
    draw = CropSampler(pairs.lr.heights, pairs.lr.widths, 12, 4, 0)
    seen, watching = [], True
    sys.addaudithook(
        lambda event, args: seen.append(args) if watching and event == "open" else None
    )
    read_image(folder / "a.png")
    assert seen, "the hook sees files"
    seen.clear()
    for t in range(100):
        cut(pairs, draw(t), 12)
    found, watching = list(seen), False
    assert found == []


def test_a_changed_image_gives_a_new_store(opened, folder, tmp_path):
    before = content(opened())
    old = stores(tmp_path)
    inverted = 255 - read_image(folder / "c.png")
    write_png(folder / "c.png", inverted)
    after = content(opened())
    assert np.array_equal(after[2][1], inverted) and not np.array_equal(before[2][1], inverted)
    assert np.array_equal(after[0][0], before[0][0])
    assert len(old) == 4 and old < stores(tmp_path) and len(stores(tmp_path)) == 8


def test_images_that_moved_are_not_decoded_again(opened, folder, tmp_path):
    opened()
    known = stores(tmp_path)
    folder.rename(tmp_path / "elsewhere")
    images = find_images(str(tmp_path / "elsewhere"), tmp_path, tmp_path / "cache")
    open_pairs(images, 2, tmp_path / "cache")
    assert stores(tmp_path) == known


@pytest.mark.parametrize("stop", [KeyboardInterrupt, UserError("damaged", "damaged")])
def test_a_store_cut_short_does_not_come_to_be(opened, monkeypatch, tmp_path, stop):
    read = store_module.read_image

    def dying(path, **options):
        if path.stem == "b":
            raise stop
        return read(path, **options)

    monkeypatch.setattr(store_module, "read_image", dying)
    with pytest.raises(type(stop) if isinstance(stop, Exception) else stop):
        opened()
    assert stores(tmp_path) == set()
    monkeypatch.setattr(store_module, "read_image", read)
    assert len(opened()) == 3


@pytest.mark.parametrize("suffix", [".bin", ".json"])
@pytest.mark.parametrize("harm", ["cut", "cut a pixel", "emptied", "gone", "longer"])
def test_a_damaged_store_is_named_removed_and_made_again(opened, tmp_path, suffix, harm):
    first = content(opened())
    for file in (tmp_path / "cache" / "stores").glob(f"*{suffix}"):
        data = file.read_bytes()
        if harm == "gone":
            file.unlink()
        else:
            spoilt = {"cut": data[:-1], "cut a pixel": data[:-3], "emptied": b""}
            file.write_bytes(spoilt.get(harm, data + b"123"))
    if suffix == ".json" and harm == "gone":
        opened()  # the index is what makes a store: without it there is none
    else:
        for _ in range(2):  # the ground truth's, and the low-resolution one
            with pytest.raises(UserError, match=r"/stores/\w+\.bin: damaged cache, now removed"):
                opened()
    again = content(opened())
    assert_same(first, again)


def test_the_order_survives_decoding_in_parallel(tmp_path, monkeypatch):
    values = list(range(0, 240, 10))
    for value in values:
        write_png(
            tmp_path / "many" / f"{value:03d}.png", np.full((8, 8 + value % 7, 3), value, "u1")
        )
    read = store_module.read_image

    def slow_at_first(path, **options):
        time.sleep(0.05 if int(path.stem) % 40 == 0 else 0)
        return read(path, **options)

    monkeypatch.setattr(store_module, "read_image", slow_at_first)
    images = find_images(str(tmp_path / "many"), tmp_path, tmp_path / "cache")
    pairs = open_pairs(images, 2, tmp_path / "cache")
    assert [int(n) for n in pairs.hr.names] == values
    assert [int(hr.min()) for _, hr in pairs] == [int(hr.max()) for _, hr in pairs] == values


@pytest.fixture
def set5(tmp_path):
    """A benchmark set with low-resolution files that are the suite's, inverted."""
    generator = np.random.default_rng(1)
    home = tmp_path / "data" / "benchmark" / "Set5"
    for name in "vwxyz":
        image = generator.integers(0, 256, (25, 30, 3), np.uint8)
        write_png(home / "HR" / f"{name}.png", image)
        write_png(home / "LR_bicubic" / "X2" / f"{name}x2.png", 255 - downscale(image, 2))
    return home


def open_from_disk(tmp_path):
    cache = tmp_path / "cache"
    images = find_images("Set5", tmp_path / "data", cache, lr_from_disk=True, scale=2)
    return open_pairs(images, 2, cache)


def test_low_resolution_from_disk(set5, tmp_path):
    for (lr, hr), name in zip(open_from_disk(tmp_path), "vwxyz", strict=True):
        truth = read_image(set5 / "HR" / f"{name}.png")[:24]
        assert np.array_equal(hr.permute(1, 2, 0).numpy(), truth)
        assert np.array_equal(lr.permute(1, 2, 0).numpy(), 255 - downscale(truth, 2))


def test_a_low_resolution_file_of_the_wrong_size_is_named_with_both_sizes(set5, tmp_path):
    Image.new("RGB", (15, 13)).save(set5 / "LR_bicubic" / "X2" / "xx2.png")
    with pytest.raises(UserError) as caught:
        open_from_disk(tmp_path)
    message = str(caught.value)
    assert "Set5/x" in message and "13x15" in message and "12x15" in message
    assert "\n" not in message


MEMORY = """
import json
import os
import subprocess
import sys
from pathlib import Path
from sr_experiments.data.sources import find_images, hash_files
from sr_experiments.data.store import open_pairs
for folder in sys.argv[1:3]:
    place = Path(folder)
    pairs = open_pairs(find_images(folder, place, place / "cache"), 2, place / "cache")
    peak = next(l for l in open("/proc/self/status") if l.startswith("VmHWM"))
    print(sum(pairs.hr.pixels.shape), peak.split()[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read off Linux")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    for name, count in (("few", 6), ("many", 66)):
        for index in range(count):
            image = np.full((1000, 1000, 3), index, np.uint8)
            write_png(tmp_path / name / f"{index}.png", image)
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "few"), str(tmp_path / "many")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    few, many = (tuple(map(int, line.split())) for line in done.stdout.splitlines())
    assert many[0] > 10 * few[0]
    assert many[1] - few[1] < 60_000, "180 MB of images were opened in between"  # kB


def test_a_cache_that_cannot_be_written_names_its_setting(tmp_path):
    image = tmp_path / "a.png"
    write_png(image, np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as error:
        hash_files([image], tmp_path / "file" / "cache")
    assert error.value.code == "cache-not-writable"
    assert "SR_CACHE" in str(error.value)


@pytest.mark.parametrize("content", ["[]", "{", "", "null", '"text"'])
def test_a_damaged_index_of_hashes_is_healed(tmp_path, content):
    image = tmp_path / "a.png"
    write_png(image, np.zeros((8, 8, 3), np.uint8))
    expected = hash_files([image], tmp_path)
    (tmp_path / "hashes.json").write_text(content)
    assert hash_files([image], tmp_path) == expected
    assert list(json.loads((tmp_path / "hashes.json").read_text()).values()) == expected


def test_a_file_replaced_with_equal_size_and_time_is_read_again(tmp_path):
    image, other = tmp_path / "a.bmp", tmp_path / "b.bmp"
    for path, value in ((image, 0), (other, 9)):
        Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path)
    before, times = hash_files([image], tmp_path), image.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(image)
    assert image.stat().st_size == times.st_size
    assert hash_files([image], tmp_path) != before
