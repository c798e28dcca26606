"""Where images come from, which are left out, and who scores which."""

import logging
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir
from sr_experiments.data.catalogue import EMBEDDED, embedded
from sr_experiments.data.datamodule import SuperResolutionData
from sr_experiments.data.sources import find_images
from sr_experiments.imaging.io import write_png
from sr_experiments.runs.assembly import build_data
from sr_experiments.runs.plan import plan


def write(folder, *names, shape=(30, 36, 3)):
    for name in names:
        generator = np.random.default_rng(sum(map(ord, name)))
        write_png(folder / f"{name}.png", generator.integers(0, 256, shape, np.uint8))


@pytest.fixture
def data_root(tmp_path):
    root = tmp_path / "data"
    write(root / "DIV2K" / "DIV2K_train_HR", *(f"{n:04d}" for n in range(1, 7)))
    write(root / "DIV2K" / "DIV2K_valid_HR", *(f"{n:04d}" for n in range(801, 805)))
    for name in ("Set5", "Set14", "B100", "Urban100", "Manga109"):
        write(root / "benchmark" / name / "HR", *(f"{name}_{i}" for i in range(3)))
    return root


@pytest.fixture
def find(data_root, tmp_path):
    return lambda source, **k: find_images(source, data_root, tmp_path / "cache", **k)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_embedded_photographs(find, split):
    assert [p.name for p in find(f"embedded/{split}").paths] == list(EMBEDDED[split])


def test_every_word_for_a_source(find, data_root, tmp_path, monkeypatch):
    def stems(source, **options):
        return [p.stem for p in find(source, **options).paths]

    assert stems("DIV2K/train") == [f"{n:04d}" for n in range(1, 7)]
    assert stems("DIV2K/train", numbers="0002-0004") == ["0002", "0003", "0004"]
    assert stems("DIV2K/valid", numbers="802") == ["0802"]
    for name in ("Set5", "Set14", "B100", "Urban100", "Manga109"):
        assert stems(name) == [f"{name}_{i}" for i in range(3)]
    # Short names of benchmarks keep their short name in tables.
    for short, long in (("DIV2K", "DIV2K/valid"), ("embedded", "embedded/test")):
        scored = find(short, benchmark=True)
        assert scored.name == short and scored.paths == find(long).paths
        with pytest.raises(UserError):  # to train on, a name must say which part
            find(short)
    folder = data_root / "benchmark" / "Set5" / "HR"
    assert find(str(folder)).name == "Set5" and find(str(folder)).paths == find("Set5").paths
    monkeypatch.chdir(folder)
    assert find(".").name == "Set5"


def test_several_sources_are_one_list(find, data_root):
    """As ``data=pool`` wants them; file numbers choose from the numbered set alone."""
    write(data_root / "train" / "T91", "t1", "t2")
    write(data_root / "BSR" / "BSDS500" / "data" / "images" / "train", "2092", "8049")
    write(data_root / "train" / "BSDS500" / "test", "2018")
    write(data_root / "DIV2K" / "DIV2K_test_LR_bicubic" / "X4", "0901x4", "0902x4", "0903x4")
    pool = yaml.safe_load((conf_dir() / "data" / "pool.yaml").read_text())["train"]
    found = find(pool["source"], numbers="0901-0902")
    names = [path.stem for path in found.paths]
    assert names == ["t1", "t2", "2092", "8049", "2018", "0901x4", "0902x4"]
    assert found.name == "T91 + BSDS500/train + BSDS500/test + DIV2K/test_LR_x4"
    assert found.fingerprint != find([*pool["source"][1:], "T91"], numbers="0901-0902").fingerprint
    assert find(["T91"]) == find("T91")
    with pytest.raises(UserError, match=r"images of T91 \+ Set5 are not numbered"):
        find(["T91", "Set5"], numbers="0901")
    with pytest.raises(UserError, match=r"t1\.png and t1\.png have the same name"):
        find(["T91", "T91"])


@pytest.mark.parametrize("alias", ["BSD100", "BSDS100", "b100", "B100"])
def test_an_alias_names_the_same_benchmark(find, alias):
    assert find(alias).name == "B100" and find(alias) == find("B100")


def test_folders_are_named_by_what_tells_them(find, tmp_path):
    for name in ("Urban100/HR", "Manga109/HR", "mine/images/HR", "plain"):
        write(tmp_path / "x" / name, "a")
    names = [find(str(tmp_path / "x" / n)).name for n in ("Urban100/HR", "Manga109/HR", "plain")]
    assert names == ["Urban100", "Manga109", "plain"]
    assert find(str(tmp_path / "x/mine/images/HR")).name == "mine"


def test_a_replaced_file_of_equal_size_and_time_is_noticed(find, tmp_path):
    write(tmp_path / "mine", "a")
    file = tmp_path / "mine" / "a.png"
    before, state = find(str(file.parent)), file.stat()
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.with_suffix(".new").write_bytes(content)
    file.with_suffix(".new").replace(file)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert file.stat().st_size == state.st_size and file.stat().st_mtime_ns == state.st_mtime_ns
    assert find(str(file.parent)).fingerprint != before.fingerprint


@pytest.mark.parametrize("content", ["[]", "{", "", "null"])
def test_a_damaged_index_of_hashes_is_made_again(find, tmp_path, content):
    expected = find("embedded/val").fingerprint
    index = tmp_path / "cache" / "hashes.json"
    healthy = index.read_text()
    index.write_text(content)
    assert find("embedded/val").fingerprint == expected
    assert index.read_text() == healthy


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        ("embedded/trian", {}, "embedded/trian: no such split; choose from train, val, test"),
        ("Set6", {}, "Set6: neither a known data set (embedded/train, embedded/val, "),
        ("embedded/train", {"numbers": "1-2"}, "the images of embedded/train are not numbered"),
        ("Set5", {"numbers": "1-2"}, "numbers=1-2: the images of Set5 are not numbered"),
        ("DIV2K/valid", {"numbers": "0001"}, "numbers=0001: DIV2K/valid holds 0801-0900 only"),
        (
            "embedded",
            {"lr_from_disk": True, "scale": 2, "benchmark": True},
            "embedded/test has no x2 images on disk",
        ),
        ("Set5", {"lr_from_disk": True, "scale": 3}, "Set5 has no x3 images on disk"),
    ],
)
def test_a_source_that_cannot_be_had_is_refused_in_one_line(find, source, options, says):
    with pytest.raises(UserError) as caught:
        find(source, **options)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_has_no_numbers(find, data_root):
    with pytest.raises(UserError, match="not numbered"):
        find(str(data_root / "benchmark" / "Set5" / "HR"), numbers="1")


def module(find, folder, tmp_path, **options):
    images = find(str(folder))
    given = {"scale": 2, "cache": tmp_path / "cache", "batch_size": 4, "patch_size": 12}
    return SuperResolutionData(images, None, [images], **given | options)


@pytest.fixture
def mixed(tmp_path):
    """Three images that hold a patch of 24 pixels, and two that miss it by a row or a column."""
    write(tmp_path / "mixed", "a", "c", "e", shape=(24, 40, 3))
    write(tmp_path / "mixed", "b", shape=(23, 60, 3))
    write(tmp_path / "mixed", "d", shape=(60, 23, 3))
    return tmp_path / "mixed"


def test_small_images_are_refused_with_their_count(find, mixed, tmp_path):
    with pytest.raises(UserError) as caught:
        module(find, mixed, tmp_path).setup()
    message = str(caught.value)
    assert "2 of 5 images are smaller than the 24x24 patch (b, d)" in message
    assert "training.patch_size=11 or data.small=skip" in message
    module(find, mixed, tmp_path, patch_size=11).setup()  # the remedy it names is one


def test_small_images_are_skipped_with_their_count(find, mixed, tmp_path, caplog):
    data = module(find, mixed, tmp_path, small="skip")
    with caplog.at_level(logging.WARNING):
        data.setup()
    assert "2 of 5 images left out, smaller than the 24x24 patch (b, d)" in caplog.text
    assert data.train_pairs.hr.names == ("a", "c", "e")
    full = data.benchmarks[0]
    assert full.hr.names == ("a", "b", "c", "d", "e"), "what is scored is never left out"
    for mine, theirs in ((0, 0), (1, 2), (2, 4)):
        for left, right in zip(data.train_pairs[mine], full[theirs], strict=True):
            assert np.array_equal(left.numpy(), right.numpy())
    with pytest.raises(UserError, match="5 of 5 images"):
        module(find, mixed, tmp_path, small="skip", patch_size=13).setup()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_process_scores_its_own_images_and_none_counts_twice(find, mixed, tmp_path, world):
    data = module(find, mixed, tmp_path, small="skip")
    data.setup()
    shares = []
    for rank in range(world):
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world)
        (loader,) = data.test_dataloader()
        shares.append([index for _, _, index in loader])
    assert sorted(index for share in shares for index in share) == [0, 1, 2, 3, 4]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    lr, hr, index = next(iter(loader))
    assert index == world - 1 and [2 * s for s in lr.shape[1:]] == list(hr.shape[1:])


@pytest.fixture
def leaking(tmp_path, cache, monkeypatch):
    """A folder to train on that holds an image of the embedded benchmark under another name."""
    monkeypatch.setenv("SR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SR_CACHE", str(cache))
    write(tmp_path / "mine", "first", "second")
    shutil.copy(embedded("test")[2], tmp_path / "mine" / "my_cat.png")
    return ["data=folder", f"data.train.source={tmp_path / 'mine'}"]


def test_a_benchmark_image_is_not_trained_on(leaking):
    with pytest.raises(UserError) as caught:
        plan(compose(leaking))
    message = str(caught.value)
    assert "my_cat.png" in message and "chelsea.png" in message and "\n" not in message
    assert "data.allow_overlap=true" in message
    assert plan(compose([*leaking, "data.allow_overlap=true"])).trained
    assert not plan(compose([*leaking, "model=bicubic"])).trained  # trains on nothing


def test_looking_at_benchmark_images_while_training_is_the_fields_habit(leaking):
    overrides = ["data.val.source=embedded/test", "data=embedded"]
    assert plan(compose(overrides)).images["val"].paths == tuple(embedded("test"))


def test_two_images_of_one_name_are_refused(find, tmp_path):
    folder = tmp_path / "twins"
    for name in ("a.png", "a.bmp"):
        write_png(folder / name, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UserError, match=r"a\.bmp and a\.png have the same name"):
        find(str(folder))


def test_several_scales_take_turns_by_chance_alone(find, tmp_path):
    def stream(scale, also, seed=0):
        data = SuperResolutionData(
            find("embedded/train"), None, [], scale=scale, cache=tmp_path / "cache", batch_size=4,
            patch_size=8, seed=seed, also={s: (find("embedded/train"), 8) for s in also},
        )  # fmt: skip
        data.setup()
        return data.stream

    def scales(stream):
        return [b.hr.shape[-1] // b.lr.shape[-1] for b in map(stream.batch, range(60))]

    mixed, alone = stream(2, [3, 4]), {s: stream(s, []) for s in (2, 3, 4)}
    drawn = scales(mixed)
    assert scales(stream(2, [3, 4])) == drawn != scales(stream(2, [3, 4], seed=1))
    assert all(10 < drawn.count(s) < 30 for s in (2, 3, 4))
    for t in range(8):  # each batch is the one that a training on its scale alone would see
        one, same = mixed.batch(t), alone[drawn[t]].batch(t)
        assert torch.equal(one.lr, same.lr) and torch.equal(one.hr, same.hr)
        halves = [mixed.batch(t, rank, 2).hr for rank in range(2)]
        assert torch.equal(torch.cat(halves), one.hr), "all processes take the same scale"


def test_a_continued_training_sees_the_batches_behind_those_of_its_parent(
    tmp_path, cache, monkeypatch
):
    monkeypatch.setenv("SR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SR_CACHE", str(cache))
    common = ["budget=smoke", "training.accumulate=3", "scheduler.gamma=0.25"]
    common += ["start={training.epochs: 5, scheduler.gamma: 0.5, start: null}"]

    def stream(*overrides):
        planned = plan(compose([*common, *overrides]))
        data = build_data(planned, progress=False)
        data.setup()
        return data.stream

    fresh, continued = stream(), stream("start_optimizer=true")
    drawn = 5 * 4 * 3  # epochs, updates, batches
    for t in (0, 1, 7):
        expected, found = fresh.batch(t + drawn), continued.batch(t)
        assert torch.equal(found.hr, expected.hr) and torch.equal(found.lr, expected.lr)
        assert found.number == t and not torch.equal(found.hr, fresh.batch(t).hr)


def test_sides_of_high_resolution_patches_are_met_at_each_scale(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("SR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SR_CACHE", str(cache))
    words = ["model=vdsr", "training.patch_of=hr", "training.patch_size=41"]
    data = build_data(
        plan(compose(["budget=smoke", *words, "training.scales=[2,3,4]"])), progress=False
    )
    data.setup()
    sides = {}
    for t in range(20):
        lr, hr, *_ = data.stream.batch(t)
        sides[hr.shape[-1] // lr.shape[-1]] = hr.shape[-1]
    assert sides == {2: 40, 3: 42, 4: 40}
