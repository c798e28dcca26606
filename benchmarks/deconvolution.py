"""Training step with network deconvolution relative to plain convolution; see README.md."""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from timing import alternate
from torch import Tensor

from sr_experiments.models.edsr import EDSR
from sr_experiments.models.layers.convolution import plain
from sr_experiments.models.layers.deconvolution import Deconvolution


def update(network: EDSR, lr: Tensor, hr: Tensor) -> Callable[[], None]:
    """Return a function that makes one update with Adam."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def work() -> None:
        optimizer.zero_grad()
        F.l1_loss(network(lr) * 255, hr).backward()
        optimizer.step()

    return work


def main() -> None:
    """Print the medians of all variants and their ratios to the plain convolution."""
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
    side = asked.patch
    lr, hr = torch.rand(16, 3, side, side), 255 * torch.rand(16, 3, 2 * side, 2 * side)
    works = []
    for convolution in variants.values():
        network = EDSR(2, 4, asked.channels, convolution=convolution)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        works.append((update(network, lr, hr), 1))
    # Time of the main thread, which takes part in all parallel work and does the rest alone.
    seconds = alternate(works, asked.steps, clock=time.thread_time, warm_up=2)
    plain_median = statistics.median(seconds[0])
    for name, taken in zip(variants, seconds, strict=True):
        median = statistics.median(taken)
        print(f"{name:28}  {1000 * median:6.0f} ms  {median / plain_median:5.2f}")


if __name__ == "__main__":
    main()
