"""Layers that share statistics: trained by two processes, to be compared with one."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, multiprocessing, nn


def train(network: nn.Module, x: Tensor, y: Tensor) -> None:
    """Three updates."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.mse_loss(network(x), y).backward()
        optimizer.step()


def train_in_two(
    make: Callable[[], nn.Module], x: Tensor, y: Tensor, folder: Path
) -> list[dict[str, Tensor]]:
    """What both processes end with, each having seen every other image of ``x``."""
    out = folder / "state"
    arguments = (make, str(folder / "meet"), x, y, str(out))
    multiprocessing.start_processes(_process, arguments, nprocs=2, start_method="forkserver")
    return [torch.load(f"{out}{rank}", weights_only=True) for rank in (0, 1)]


def _process(rank, make, file, x, y, out):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    network = make()
    wrapped = nn.parallel.DistributedDataParallel(network, broadcast_buffers=False)
    train(wrapped, x[rank::2], y[rank::2])
    if rank == 0:  # only one process scores an image: it must not wait for the other
        network.eval()(x[:1])
    torch.save(network.state_dict(), f"{out}{rank}")
    os._exit(0)  # PyTorch 2.13 may wait for ever, on its own lock, where gloo is taken down
