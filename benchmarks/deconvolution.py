"""Time of a training step with network deconvolution against the plain one; see README.md."""

import argparse
import statistics
import time
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from sr_experiments.models.edsr import EDSR
from sr_experiments.models.layers.convolution import plain
from sr_experiments.models.layers.deconvolution import Deconvolution


def step(network: EDSR, optimizer: torch.optim.Optimizer, lr: Tensor, hr: Tensor) -> float:
    """Seconds of one update, as the main thread works, without those of other work in between."""
    began = time.thread_time()
    optimizer.zero_grad()
    F.l1_loss(network(lr) * 255, hr).backward()
    optimizer.step()
    return time.thread_time() - began


def main() -> None:
    """Steps of all variants in turn, so that other work on the machine slows all alike; medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--patch", type=int, default=48)
    parser.add_argument("--blocks", type=int, nargs="+", default=[64, 32, 16])
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    variants = {"plain": plain} | {
        f"block {block}, sampling_stride {stride}": partial(
            Deconvolution, block=block, sampling_stride=stride
        )
        for block in asked.blocks
        for stride in (3, 5)
    }
    networks = {
        name: EDSR(2, 4, asked.channels, convolution=convolution).to(
            memory_format=torch.channels_last  # type: ignore[call-overload]
        )
        for name, convolution in variants.items()
    }
    adams = {name: torch.optim.Adam(n.parameters(), lr=1e-4) for name, n in networks.items()}
    side = asked.patch
    lr, hr = torch.rand(16, 3, side, side), 255 * torch.rand(16, 3, 2 * side, 2 * side)
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(asked.steps + 2):
        for name, network in networks.items():
            seconds[name].append(step(network, adams[name], lr, hr))
    medians = {name: statistics.median(taken[2:]) for name, taken in seconds.items()}
    for name, median in medians.items():
        print(f"{name:28}  {1000 * median:6.0f} ms  {median / medians['plain']:5.2f}")


if __name__ == "__main__":
    main()
