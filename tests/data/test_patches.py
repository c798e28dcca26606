"""Which patches are cut, and that they are cut from where they say."""

import sys
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sr_experiments.core.errors import UserError
from sr_experiments.data import datamodule, patches
from sr_experiments.data.datamodule import SuperResolutionData
from sr_experiments.data.patches import CropSampler, cut
from sr_experiments.data.sources import find_images
from sr_experiments.data.store import ImageStore, Pairs
from sr_experiments.imaging.io import write_png

FIELDS = ("image", "top", "left", "flip_rows", "flip_columns", "transpose")
SIZES = torch.tensor([20, 31, 17]), torch.tensor([25, 16, 40])


def sampler(seed=0, batch_size=8, patch_size=12, sizes=SIZES):
    return CropSampler(*sizes, patch_size, batch_size, seed)


def rows(crops):
    """One line a patch: image, top, left, flips, transposition."""
    return torch.stack([getattr(crops, f) for f in FIELDS], 1).tolist()


def chi_square(counts):
    expected = np.sum(counts) / len(counts)
    return float(((np.asarray(counts) - expected) ** 2 / expected).sum())


def test_a_batch_depends_on_seed_and_number_alone():
    straight = sampler()
    batches = {t: rows(straight(t)) for t in range(12)}
    again = sampler()
    assert all(rows(again(t)) == batches[t] for t in (7, 0, 11, 3, 3, 6))
    assert len({str(b) for b in batches.values()}) == 12
    assert all(rows(sampler(seed=1)(t)) != batches[t] for t in range(12))
    assert rows(sampler(seed=2)(1)) != rows(sampler(seed=1)(2))


@pytest.mark.parametrize("world", [2, 4])
def test_shares_joined_are_the_batch_of_one_process(world):
    for t in (0, 5, 31):
        shares = [rows(sampler()(t, rank, world)) for rank in range(world)]
        assert {len(share) for share in shares} == {8 // world}
        assert [line for share in shares for line in share] == rows(sampler()(t))


def test_a_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(UserError, match=r"training\.batch_size=8: not a multiple of the 3"):
        sampler()(0, 0, 3)


def test_images_are_used_equally_often_and_in_changing_order():
    draw = sampler()
    images = torch.cat([draw(t).image for t in range(30)]).reshape(-1, 3)  # passes of 3 images
    assert (images.sort(1).values == torch.arange(3)).all()
    orders = [tuple(p) for p in images.tolist()]
    assert len(set(orders)) == 6, "all orders of three images come up"


def test_crops_are_uniform_and_reach_the_corners():
    draw = sampler(batch_size=64, patch_size=14, sizes=(torch.tensor([16]), torch.tensor([17])))
    drawn = np.concatenate([rows(draw(t)) for t in range(100)])
    places = np.bincount(drawn[:, 1] * 4 + drawn[:, 2], minlength=12)
    assert len(places) == 12 and places.min() > 0  # 3 x 4 places, the four corners among them
    assert chi_square(places) < 35  # 11 degrees of freedom: above once in 5000
    turns = np.bincount(drawn[:, 3] * 4 + drawn[:, 4] * 2 + drawn[:, 5], minlength=8)
    assert len(turns) == 8 and chi_square(turns) < 27  # 7 degrees of freedom, the same
    joint = np.bincount((drawn[:, 1] == 0) * 8 + drawn[:, 3:] @ [4, 2, 1], minlength=16)
    table = joint.reshape(2, 8)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    assert ((table - expected) ** 2 / expected).sum() < 27  # place and turn are independent


def test_crops_of_every_image_stay_inside():
    draw = sampler(batch_size=32)
    drawn = torch.cat([torch.tensor(rows(draw(t))) for t in range(60)])
    for image in range(3):
        mine = drawn[drawn[:, 0] == image]
        room = torch.stack([SIZES[0][image], SIZES[1][image]]) - 12
        assert (mine[:, 1:3].min(0).values == 0).all()
        assert (mine[:, 1:3].max(0).values == room).all()


def test_golden_crops():
    """These numbers must not move: with them, every published run would."""
    draw = sampler(batch_size=3)
    assert [rows(draw(t)) for t in range(3)] == GOLDEN


GOLDEN = [
    [[2, 0, 16, 1, 0, 1], [1, 4, 2, 1, 1, 0], [0, 1, 3, 0, 0, 1]],
    [[2, 1, 15, 0, 0, 0], [1, 4, 3, 1, 0, 0], [0, 6, 6, 1, 1, 0]],
    [[1, 13, 3, 1, 1, 0], [2, 3, 23, 0, 1, 0], [0, 1, 6, 0, 0, 1]],
]


def pairs_of_blocks(scale):
    """HR of noise, and LR that holds each block's largest value: survives flips and transposing."""
    generator = np.random.default_rng(scale)
    high, low = [], []
    for index, (h, w) in enumerate(zip(*(s.tolist() for s in SIZES), strict=True)):
        # Ragged edges, as of images that are no multiple of the scale.
        hr = generator.integers(0, 256, (h * scale + index % scale, w * scale + scale - 1, 3))
        high.append(hr.astype(np.uint8))
        whole = torch.tensor(hr[: h * scale, : w * scale]).permute(2, 0, 1).double()
        low.append(F.max_pool2d(whole, scale).permute(1, 2, 0).numpy().astype(np.uint8))
    return high, low, Pairs("noise", scale, store(high), store(low))


def store(images):
    sizes = torch.tensor([i.shape[:2] for i in images])
    counts = sizes.prod(1)
    return ImageStore(
        pixels=torch.from_numpy(np.concatenate([i.reshape(-1, 3) for i in images])).contiguous(),
        first=counts.cumsum(0) - counts,
        heights=sizes[:, 0],
        widths=sizes[:, 1],
        names=tuple("abc"),
        grey=(False,) * 3,
    )


def sliced(image, size, top, left, flip_rows, flip_columns, transpose):
    patch = image[top : top + size, left : left + size]
    patch = patch[::-1] if flip_rows else patch
    patch = patch[:, ::-1] if flip_columns else patch
    return patch.swapaxes(0, 1) if transpose else patch


@pytest.mark.parametrize("by", ["rows", "pixels"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_patches_are_the_plain_slices_and_lr_lies_under_hr(scale, by, monkeypatch):
    """Row by row as a processor does it, and pixel by pixel as other devices do."""
    monkeypatch.setattr(patches, "_by_rows", getattr(patches, f"_by_{by}"))
    high, low, pairs = pairs_of_blocks(scale)
    draw = sampler(batch_size=64)
    for t in range(3):
        crops = draw(t)
        lr, hr = cut(pairs, crops, 12)
        assert lr.dtype == hr.dtype == torch.uint8
        assert lr.shape == (64, 3, 12, 12) and hr.shape == (64, 3, 12 * scale, 12 * scale)
        assert hr.is_contiguous(memory_format=torch.channels_last)
        for i, (image, top, left, *turn) in enumerate(rows(crops)):
            small = sliced(low[image], 12, top, left, *turn)
            large = sliced(high[image], 12 * scale, top * scale, left * scale, *turn)
            assert np.array_equal(lr[i].permute(1, 2, 0).numpy(), small)
            assert np.array_equal(hr[i].permute(1, 2, 0).numpy(), large)
        assert torch.equal(F.max_pool2d(hr.double(), scale).to(torch.uint8), lr)


def test_an_image_smaller_than_the_patch_is_refused():
    with pytest.raises(UserError, match="smaller than the 17x17 patch"):
        sampler(patch_size=17)
    assert len(rows(sampler(patch_size=16)(0))) == 8


def test_a_batch_smaller_than_the_ways_to_turn_it_is_cut_too():
    """One patch, and so most ways to turn one are empty; and a patch as large as the store."""
    generator = np.random.default_rng(9)
    image = generator.integers(0, 256, (12, 12, 3)).astype(np.uint8)
    one = store([image])
    seen = set()
    for t in range(40):
        crops = CropSampler(one.heights, one.widths, 12, 1, 0)(t)
        _, *place = rows(crops)[0]
        expected = sliced(image, 12, *place)
        assert np.array_equal(patches.gather(one, crops, 12)[0].permute(1, 2, 0), expected)
        seen.add(tuple(place))
    assert len(seen) == 8


@pytest.mark.parametrize("scale", [2, 3])
def test_a_gpus_single_gather_gives_the_same_patches(scale):
    generator = np.random.default_rng(scale)
    sides = [(40, 31), (33, 52), (36, 36)]
    high = [
        generator.integers(0, 256, (scale * h, scale * w, 3)).astype(np.uint8) for h, w in sides
    ]
    images, low = store(high), store([image[::scale, ::scale] for image in high])
    crops = CropSampler(low.heights, low.widths, 12, 64, 0)(5)
    for one, factor in ((low, 1), (images, scale)):
        by_rows = patches._by_rows(one, crops, 12 * factor, factor)
        assert torch.equal(patches._by_pixels(one, crops, 12 * factor, factor), by_rows)


@pytest.mark.parametrize(
    ("free", "may_move", "where"),
    [(36_000, True, "meta"), (36_000, False, "cpu"), (35_999, True, "cpu")],
)
def test_training_images_move_to_the_device_where_they_fit(
    tmp_path, monkeypatch, free, may_move, where
):
    """A device without values stands in for a GPU: what is cut there never touches the host."""
    folder = tmp_path / "images"
    for index in range(2):
        noise = np.random.default_rng(index).integers(0, 256, (40, 50, 3)).astype(np.uint8)
        write_png(folder / f"{index}.png", noise)
    images = find_images(str(folder), tmp_path, tmp_path)  # 12,000 bytes, 3,000 when halved
    data = SuperResolutionData(
        images, None, [], scale=2, cache=tmp_path, patch_size=16, may_move=may_move
    )
    data.setup()
    data.teacher_sr = data.train_pairs.hr
    earlier = torch.nn.Module()  # a run whose images are still there, since it refers to itself
    earlier.run = [earlier]
    images_of_it = weakref.ref(earlier)
    del earlier
    monkeypatch.setattr(datamodule, "free_memory", lambda _: 0 if images_of_it() else free)
    strategy = SimpleNamespace(root_device=torch.device("meta"))
    data.trainer = SimpleNamespace(global_step=999, global_rank=0, world_size=1, strategy=strategy)
    (batch,) = data.train_dataloader()
    assert {batch.lr.device.type, batch.hr.device.type, batch.teacher_sr.device.type} == {where}
    assert batch.hr.shape == batch.teacher_sr.shape == (16, 3, 32, 32)
    assert data.train_pairs.hr.pixels.device.type == "cpu"  # what is scored stays


def test_no_file_is_opened_in_the_steady_state(tmp_path):
    """The audit hook of Python sees every file that is opened; the patches come from a mapping."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(3):
        noise = np.random.default_rng(index).integers(0, 256, (40, 50, 3)).astype(np.uint8)
        write_png(folder / f"{index}.png", noise)
    cache = tmp_path / "cache"
    images = find_images(str(folder), tmp_path, cache)
    data = SuperResolutionData(images, None, [], scale=2, cache=cache, patch_size=16)
    data.prepare_data()
    data.setup()
    opened: list[str] = []
    watching = True

    def hook(event, arguments):
        if watching and event in ("open", "os.listdir", "os.scandir", "subprocess.Popen"):
            opened.append(str(arguments[0]))

    sys.addaudithook(hook)
    (tmp_path / "seen").write_text("")
    assert opened, "the hook does see a file"
    data.stream.batch(0)
    opened.clear()
    batches = [data.stream.batch(t) for t in range(1, 50)]
    watching = False
    assert opened == []
    assert len({batch.hr.sum().item() for batch in batches}) > 40
