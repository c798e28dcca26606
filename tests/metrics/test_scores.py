"""The table of a data set: joined over processes, and never counted wrongly."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from sr_experiments.metrics.protocols import PROTOCOLS
from sr_experiments.metrics.scores import Scores
from sr_experiments.metrics.scoring import score_image

N_IMAGES = 5


def example(index: int) -> tuple[Tensor, Tensor]:
    """Image ``index`` of a data set whose images differ in size and quality."""
    generator = torch.Generator().manual_seed(index)
    shape = (3, 30 + index, 40 - index)
    hr = torch.randint(0, 256, shape, generator=generator)
    noise = torch.randint(-3 - index, 4 + index, shape, generator=generator)
    return (hr + noise).clamp(0, 255).byte(), hr.byte()


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    try:
        scores = Scores(N_IMAGES)
        for index in range(rank, N_IMAGES, 2):  # three images here, two there
            scores.update(index, *example(index), 2)
        result = {"table": scores.compute(), "means": scores.means()}
        scores.reset()
        for index in (0, 2, 4) if rank == 0 else (1, 3, 0):  # what a padding sampler deals out
            scores.update(index, *example(index), 2)
        try:
            scores.compute()
        except RuntimeError as error:
            result["padded"] = str(error)
        torch.save(result, Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def test_two_processes_give_what_one_gives(tmp_path):
    mp.start_processes(worker, (str(tmp_path),), nprocs=2, start_method="forkserver")
    alone = Scores(N_IMAGES)
    for index in reversed(range(N_IMAGES)):
        alone.update(index, *example(index), 2)
    expected = alone.compute()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        assert found["means"] == alone.means()
        for name, scores in expected.items():
            for theirs, ours in zip(found["table"][name], scores, strict=True):
                assert ours is None or torch.equal(theirs, ours)
        assert found["padded"] == "of 5 images, 1 scored more than once (first: image 0)"


def test_the_table_holds_each_image_and_the_means_are_means_of_decibels():
    scores = Scores(3)
    for index in (2, 0, 1):
        scores.update(index, *example(index), 2)
    table, means = scores.compute(), scores.means()
    single = [score_image(*example(index), 2) for index in range(3)]
    for name in PROTOCOLS:
        psnr, ssim, _ = table[name]
        assert psnr.tolist() == [image[name].psnr for image in single]
        assert means[name].psnr == pytest.approx(sum(psnr.tolist()) / 3, abs=1e-12)
        if ssim is None:
            assert means[name].ssim is single[0][name].ssim is None
        else:
            assert ssim.tolist() == [image[name].ssim for image in single]
            assert means[name].ssim == pytest.approx(sum(ssim.tolist()) / 3, abs=1e-12)


def test_a_data_set_of_one_image_keeps_its_axis():
    scores = Scores(1)
    scores.update(0, *example(0), 2)
    assert [scores.compute()["y"][i].shape for i in range(3)] == [(1,)] * 3
    assert scores.means() == score_image(*example(0), 2)


@pytest.mark.parametrize("cast", [torch.nn.Module.half, lambda m: m.to(torch.bfloat16)])
def test_scores_survive_a_module_cast_to_half(cast):
    module = torch.nn.ModuleDict({"scores": Scores(2), "layer": torch.nn.Linear(1, 1)})
    scores = module["scores"]
    scores.update(0, *example(0), 2)
    cast(module)
    assert module["layer"].weight.dtype != torch.float32
    scores.update(1, *example(1), 2)
    psnr = scores.compute()["y"].psnr
    assert psnr.tolist() == [score_image(*example(i), 2)["y"].psnr for i in range(2)]


def test_an_image_missing_or_seen_twice_is_an_error():
    scores = Scores(3)
    scores.update(1, *example(1), 2)
    with pytest.raises(ValueError, match="image 1 is scored a second time"):
        scores.update(1, *example(1), 2)
    with pytest.raises(RuntimeError, match=r"of 3 images, 2 never scored \(first: image 0\)"):
        scores.means()
    for index in (-1, 3):
        with pytest.raises(IndexError, match=f"image {index} of a data set of 3"):
            scores.update(index, *example(0), 2)
    scores.reset()
    for index in range(3):
        scores.update(index, *example(index), 2)
    assert scores.means()["y"].psnr > 0
