"""FitNets: hints from intermediate features (Romero et al. 2015)."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from sr_experiments.models.layers.collectives import joint_mean
from sr_experiments.training.distillation.distillation_loss import (
    Distillation,
    NetworkOutput,
    loss_dtype,
    refuse_negative,
)


class FitNet(Distillation):
    """Hints (Romero et al. 2015): L1(S, HR) + weight * the sum over the taps of the relative error.

    The relative error of a tap is MSE(A(S_k), T_k) over the teacher's mean square in the batch of
    all processes. A, a 1x1 convolution for each tap, takes the student's channels to the teacher's.
    It is trained with the student and thrown away with the loss. The paper takes the bare squared
    error; in an EDSR that counts to 255 inside that is in the thousands where its L1 is in the
    tens, and the student learns nothing else. Divided, a weight means the same for every teacher.

    Args:
        weight: of the sum over the taps.
    """

    needs_features: ClassVar[bool] = True

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        refuse_negative(weight=weight)
        self.weight = weight
        self.adapters = nn.ModuleList()

    def connect(
        self, student_features: tuple[Tensor, ...], teacher_features: tuple[Tensor, ...]
    ) -> None:
        """Make the adapters, on the device of the features and in float32 or above."""
        super().connect(student_features, teacher_features)
        pairs = zip(student_features, teacher_features, strict=True)
        self.adapters = nn.ModuleList(
            nn.Conv2d(ours.shape[1], theirs.shape[1], 1, device=ours.device, dtype=loss_dtype(ours))
            for ours, theirs in pairs
        )

    def value(self, student: NetworkOutput, teacher: NetworkOutput, truth: Tensor) -> Tensor:
        """Reconstruction and hints."""
        if len(self.adapters) != len(student.features):
            raise RuntimeError(f"{len(self.adapters)} adapters: connect() comes before the loss")
        loss = l1_loss(student.output, truth)
        triples = zip(self.adapters, student.features, teacher.features, strict=True)
        for adapter, ours, theirs in triples:
            weights = next(adapter.parameters())
            adapted = adapter(ours.to(weights.dtype)).to(ours.dtype)
            square = joint_mean(theirs.square().mean())
            unit = square.clamp_min(torch.finfo(theirs.dtype).tiny)
            loss = loss + self.weight * self.distance(adapted, theirs) / unit
        return loss

    def distance(self, adapted: Tensor, theirs: Tensor) -> Tensor:
        """Of one tap's features, both ``(N, C, h, w)``: the mean squared difference."""
        return (adapted - theirs).square().mean()
