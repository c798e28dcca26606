"""Cost that weight averaging and a cached teacher add to a training step; see README.md."""

import argparse
import statistics
import time

import torch
from figures import update
from timing import alternate, quotient

from sr_experiments.data.datamodule import Batch
from sr_experiments.models.edsr import EDSR
from sr_experiments.training.callbacks.averaging import EMA, SWA
from sr_experiments.training.distillation.contrastive import Contrastive
from sr_experiments.training.distillation.distillation_loss import Distillation
from sr_experiments.training.distillation.distilled import Distilled
from sr_experiments.training.distillation.output_l1 import OutputL1
from sr_experiments.training.module import Supervised


def batch(patch: int) -> Batch:
    """Sixteen random patches, with a teacher's output for them."""
    sides = (patch, 2 * patch, 2 * patch)
    lr, hr, teacher_sr = (torch.randint(0, 256, (16, 3, s, s), dtype=torch.uint8) for s in sides)
    return Batch(lr, hr, 0, teacher_sr)


def main() -> None:
    """Print the medians of all variants and their ratios to the plain update."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--patch", type=int, default=48)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    patches = batch(asked.patch)

    def network() -> EDSR:
        made = EDSR(2, asked.blocks, asked.channels)
        return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    losses: dict[str, Distillation] = {
        "cached teacher, contrastive L1": Contrastive("l1"),
        "cached teacher, contrastive cosine": Contrastive("cosine"),
        "cached teacher, output L1": OutputL1(),
    }
    plain = network()
    steps = {"plain": update(Supervised(plain), patches)}
    for name, loss in losses.items():
        steps[name] = update(Distilled(network(), EDSR(2, 1, 8), loss, cached=True), patches)
    for rule in (SWA(0, 1, 1), EMA(0, 1, 1)):
        average = rule.average(plain)
        average.update_parameters(plain)
        kind = type(rule).__name__
        steps[f"{kind}: averaging once"] = lambda a=average: a.update_parameters(plain)
    works = [(step, 1) for step in steps.values()]
    seconds = alternate(works, asked.steps, clock=time.perf_counter, warm_up=2)
    for name, taken in zip(steps, seconds, strict=True):
        ratio = quotient(taken, seconds[0])
        print(f"{name:36}  {1000 * statistics.median(taken):8.2f} ms  {ratio:7.4f}")


if __name__ == "__main__":
    main()
