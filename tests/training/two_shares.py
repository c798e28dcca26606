"""Losses of a batch that two processes share, to be compared with one that has all of it."""

import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from sr_experiments.training.distillation.contrastive import Contrastive
from sr_experiments.training.distillation.distillation_loss import Distillation, NetworkOutput
from sr_experiments.training.distillation.fakd import FAKD
from sr_experiments.training.distillation.fitnet import FitNet
from sr_experiments.training.distillation.lsfd import LSFD

LOSSES: dict[str, Distillation] = {
    **{
        f"{similarity}, {negatives}": Contrastive(similarity, negatives=negatives)
        for similarity in ("l1", "cosine")
        for negatives in ("both", "teacher", "student")
    },
    "cosine, each": Contrastive("cosine", logarithm="each", reduction="mean"),
    "fakd": FAKD(),
    "fitnet": FitNet(),
    "lsfd": LSFD(),
}


class Student(nn.Module):
    """Three channels to three, and the loss of what comes out."""

    def __init__(self, loss: Distillation) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 3, 3, padding=1).double()
        self.loss = loss
        if loss.needs_features:
            tap = torch.rand(1, 3, 4, 4, dtype=torch.double)
            loss.connect((tap,), (tap,))

    def forward(self, x: Tensor, teacher: Tensor, truth: Tensor) -> Tensor:
        """The loss."""
        output = self.layer(x)
        answers = (NetworkOutput(made, (made,)) for made in (output, teacher))
        return self.loss(*answers, truth)


def batch() -> list[Tensor]:
    """Input, teacher's output and ground truth of six images; the images differ in brightness."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(3, 6, 3, 4, 4, generator=generator, dtype=torch.double)
    return list((images * torch.linspace(0.2, 1, 6).double()[:, None, None, None]).unbind())


def values_and_gradients(rank: int = 0, world: int = 1) -> dict[str, tuple[Tensor, Tensor]]:
    """Every loss of a process's share, and the gradient that the optimiser would see."""
    found = {}
    for name, loss in LOSSES.items():
        student: nn.Module = Student(loss)
        layer = student.layer
        if world > 1:
            student = DistributedDataParallel(student)
        value = student(*(part[rank::world] for part in batch()))
        value.backward()
        found[name] = value.detach(), layer.weight.grad
    return found


def in_two(folder: Path) -> list[dict[str, tuple[Tensor, Tensor]]]:
    """What both of two processes find."""
    out = folder / "found"
    arguments = (str(folder / "meet"), str(out))
    multiprocessing.start_processes(_process, arguments, nprocs=2, start_method="forkserver")
    return [torch.load(f"{out}{rank}", weights_only=True) for rank in (0, 1)]


def _process(rank: int, file: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    torch.save(values_and_gradients(rank, 2), f"{out}{rank}")
    os._exit(0)  # PyTorch 2.13 may wait for ever, on its own lock, where gloo is taken down
