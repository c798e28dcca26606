"""Figures measured on a GPU: whole updates, with their batches, and scores."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import peers
import torch
from figures import BATCH, PATCH, SCALE, edsr_data, edsr_peer, photograph, write_pairs
from timing import Figure
from torch.nn import functional

from sr_experiments.data.datamodule import Batch
from sr_experiments.data.patches import CropSampler, cut
from sr_experiments.data.store import Pairs
from sr_experiments.metrics.scoring import score_batch
from sr_experiments.models.edsr import EDSR
from sr_experiments.training.module import Supervised

#: Multiply-adds of the convolutions of EDSR 16x64 x2 for one low-resolution pixel.
MULTIPLY_ADDS = (3 * 64 + 33 * 64 * 64 + 64 * 256 + 4 * 64 * 3) * 9


def gpu(folder: Path, rounds: int, device: str = "cuda") -> Iterator[Figure]:
    """Updates of EDSR-baseline x2, and scores; no figures without a GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        peers.absent["gpu"] = "figures of a GPU: PyTorch finds no GPU"
        return
    pairs = write_pairs(folder, 1344, 2040, 12)
    peer = peers.edsr_modules()
    theirs = _theirs(peer, folder, device) if peer else None
    other = _rate(theirs, rounds, device) if theirs else None
    top = _convolution(device, rounds)
    for name, mode in (("fast", None), ("fast, CUDA graphs", "reduce-overhead")):
        if mode and device == "cpu":
            continue
        rate = _rate(_ours(pairs.to(device), mode, device), rounds, device)
        used = 3 * 2 * MULTIPLY_ADDS * PATCH**2 * rate  # forward, and twice that backward
        yield Figure(
            f"training of EDSR 16x64 x2, trainer={name}",
            rate,
            "patches/s",
            6.0,
            above=True,
            peer=other,
            peer_name="EDSR-PyTorch, its defaults",
            ratio=rate / other if other else None,
            of_ratio=True,
            note=f"{used / top:.0%} of the {top / 1e12:.3g} TFLOP/s of its convolutions alone",
        )
    hr = torch.from_numpy(photograph(320, 480)).permute(2, 0, 1)[None].to(device)
    seconds = 1 / _rate(lambda: score_batch(hr.flip(-1), hr, SCALE), rounds, device, 1)
    yield Figure("all protocols, 480x320, on the GPU", 1e3 * seconds, "ms")


def _rate(work: Callable[[], object], rounds: int, device: str, images: int = BATCH) -> float:
    """Images per second of wall time: median over rounds of 50 calls, after 20 calls of warm-up."""
    calls, first = (50, 20) if device == "cuda" else (1, 1)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(first):
        work()
    rates = []
    for _ in range(rounds):
        wait()
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        wait()
        rates.append(images * calls / (time.perf_counter() - begin))
    return median(rates)


def _ours(pairs: Pairs, mode: str | None, device: str) -> Callable[[], None]:
    """An update as with ``trainer=fast``: batches cut on the device, bfloat16, fused Adam."""
    module = Supervised(EDSR(SCALE)).to(device)
    module.to(memory_format=torch.channels_last)
    if mode:
        module.compile_steps(mode)
    optimizer = torch.optim.Adam(module.trained(), lr=1e-4, fused=True)
    sampler = CropSampler(pairs.lr.heights.cpu(), pairs.lr.widths.cpu(), PATCH, BATCH, 0)
    numbers = itertools.count()

    def work() -> None:
        number = next(numbers)
        batch = Batch(*cut(pairs, sampler(number).to(device), PATCH), number)
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16):
            loss = module.training_step(batch, 0)
        loss.backward()
        optimizer.step()

    return work


def _theirs(edsr: object, folder: Path, device: str) -> Callable[[], None]:
    """An update as EDSR-PyTorch's trainer makes it, with its data set and six loader workers."""
    workers = 6 if device == "cuda" else 0
    loader = torch.utils.data.DataLoader(
        edsr_data(edsr, folder),
        BATCH,
        shuffle=True,
        pin_memory=device == "cuda",
        num_workers=workers,
    )
    network = edsr_peer(edsr).to(device)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=1e-4)
    criterion = torch.nn.L1Loss()
    batches = (batch for _ in itertools.count() for batch in loader)

    def work() -> None:
        lr, hr = (image.to(device) for image in next(batches)[:2])
        optimizer.zero_grad()
        loss = criterion(network(lr), hr)
        loss.backward()
        optimizer.step()
        loss.item()  # its trainer logs every loss

    return work


def _convolution(device: str, rounds: int) -> float:
    """Operations per second of the body's convolution alone, forward and backward, in bfloat16."""
    features = torch.randn(BATCH, 64, PATCH, PATCH, device=device, dtype=torch.bfloat16)
    features = features.contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(64, 64, 3, 3, device=device, dtype=torch.bfloat16, requires_grad=True)
    target = torch.ones_like(features)

    def work() -> None:
        functional.conv2d(features, weight, padding=1).backward(target)

    passes = _rate(work, rounds, device, 1)
    return 3 * 2 * 64 * 64 * 9 * PATCH**2 * BATCH * passes
