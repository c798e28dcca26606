"""What weight averaging and a cached teacher add to a training step; see README.md."""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from sr_experiments.data.datamodule import Batch
from sr_experiments.models.edsr import EDSR
from sr_experiments.training.callbacks.averaging import EMA, SWA
from sr_experiments.training.distillation.contrastive import Contrastive
from sr_experiments.training.distillation.distillation_loss import Distillation
from sr_experiments.training.distillation.distilled import Distilled
from sr_experiments.training.distillation.output_l1 import OutputL1
from sr_experiments.training.module import Supervised


def batch(patch: int) -> Batch:
    """Sixteen random patches, with a teacher's pictures of them."""
    sides = (patch, 2 * patch, 2 * patch)
    lr, hr, teacher_sr = (torch.randint(0, 256, (16, 3, s, s), dtype=torch.uint8) for s in sides)
    return Batch(lr, hr, 0, teacher_sr)


def update(module: Supervised, given: Batch) -> Callable[[], None]:
    """One update of a module."""
    optimizer = torch.optim.Adam(module.trained(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss: Tensor = module.training_step(given, 0)
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    """All variants in turn, so that other work on the machine slows all alike; medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--patch", type=int, default=48)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    given = batch(asked.patch)

    def network() -> EDSR:
        made = EDSR(2, asked.blocks, asked.channels)
        return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    losses: dict[str, Distillation] = {
        "cached teacher, contrastive L1": Contrastive("l1"),
        "cached teacher, contrastive cosine": Contrastive("cosine"),
        "cached teacher, output L1": OutputL1(),
    }
    plain = network()
    steps = {"plain": update(Supervised(plain), given)}
    for name, loss in losses.items():
        steps[name] = update(Distilled(network(), EDSR(2, 1, 8), loss, cached=True), given)
    for rule in (SWA(0, 1, 1), EMA(0, 1, 1)):
        average = rule.average(plain)
        average.update_parameters(plain)
        kind = type(rule).__name__
        steps[f"{kind}: taking weights in, once"] = lambda a=average: a.update_parameters(plain)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(asked.steps + 2):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    ratios = {
        name: statistics.median(t / p for t, p in zip(taken, seconds["plain"], strict=True))
        for name, taken in seconds.items()
    }
    for name, taken in seconds.items():
        print(f"{name:36}  {1000 * statistics.median(taken[2:]):8.2f} ms  {ratios[name]:7.4f}")


if __name__ == "__main__":
    main()
