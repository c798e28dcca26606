"""Contrastive distillation (Moon et al. 2022): close to the teacher, far from the batch."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, normalize

from sr_experiments.core.errors import UserError
from sr_experiments.training.distillation.distillation_loss import (
    LEAST,
    Distillation,
    NetworkOutput,
    refuse_negative,
)

Similarity = Literal["l1", "cosine"]


Negatives = Literal["teacher", "student", "both"]


Reduction = Literal["sum", "mean"]


class Contrastive(Distillation):
    """Contrastive distillation of EDSR (Moon et al. 2022), equations (1) and (2).

    The loss is L1(S, HR) + weight * L_CL. For each of the N images of a batch, L_CL takes the
    similarity d of the student's and the teacher's output (the positive pair) over the sum of d
    between the student's output and the outputs of the other images (the negatives), and sums up
    over the images. For ``l1``, d is the mean absolute difference and the ratio is minimised. For
    ``cosine``, d is the cosine of the flattened outputs and each ratio's -log is minimised.

    The paper's sentence on ``l1`` has the positives as the denominator and the negatives as the
    numerator, against its equation and against its own aim; here the equation holds. Whether the
    negatives are the teacher's outputs, the student's or both it does not say: N - 1, N - 1 or
    2 (N - 1) of them for each image. The student learns from its negatives too.

    Nothing bounds the ``cosine`` loss below: an output that has less and less in common with all
    others is better and better. Summed as printed, with the weight of 10, it draws a student away
    from its targets even at a small rate; the mean over the batch still costs it PSNR.

    A factor on all outputs leaves L_CL as it is. It is finite because a sum over negatives, and
    the positive cosine whose logarithm is taken, count as 1e-6 where they are below, and give no
    gradient there. That happens only where an image equals all its negatives, or where cosines
    are not positive, as those of images are.

    Several processes each compare the images of their own share only; an image has the fewer
    negatives, and the loss another value than in one process.

    Args:
        similarity: ``l1`` or ``cosine``.
        weight: the paper's alpha.
        negatives: whose outputs.
        reduction: ``sum`` over the images of a batch, as equation (1) prints it, or ``mean``.
    """

    def __init__(
        self,
        similarity: Similarity,
        weight: float = 10.0,
        negatives: Negatives = "teacher",
        reduction: Reduction = "sum",
    ) -> None:
        super().__init__()
        if reduction not in get_args(Reduction):
            raise ValueError(f"reduction={reduction}: {' or '.join(get_args(Reduction))}")
        if similarity not in get_args(Similarity):
            raise ValueError(f"similarity={similarity}: {' or '.join(get_args(Similarity))}")
        if negatives not in get_args(Negatives):
            raise ValueError(f"negatives={negatives}: {', '.join(get_args(Negatives))}")
        refuse_negative(weight=weight)
        self.similarity, self.weight, self.negatives = similarity, weight, negatives
        self.reduction = reduction

    def value(self, student: NetworkOutput, teacher: NetworkOutput, truth: Tensor) -> Tensor:
        """Equation (2)."""
        contrast = self.contrast(student.output, teacher.output)
        return l1_loss(student.output, truth) + self.weight * contrast

    def contrast(self, student: Tensor, teacher: Tensor) -> Tensor:
        """L_CL, equation (1), of outputs ``(N, C, H, W)``.

        Raises:
            UserError: a single image.
        """
        count = len(student)
        if count < 2:
            raise UserError(
                "contrastive-batch-of-one",
                "method: contrastive distillation of a batch of 1 image has no negatives;"
                " each process needs at least 2 (training.batch_size)",
            )
        student, teacher = student.flatten(1), teacher.flatten(1)
        across = self._pairs(student, teacher)
        others = ~torch.eye(count, dtype=torch.bool, device=student.device)
        sums = across.new_zeros(count)
        if self.negatives != "student":
            sums = sums + (across * others).sum(1)
        if self.negatives != "teacher":
            sums = sums + (self._pairs(student, student) * others).sum(1)
        positives, sums = across.diagonal(), sums.clamp_min(LEAST)
        if self.similarity == "l1":
            terms = positives / sums
        else:
            terms = sums.log() - positives.clamp_min(LEAST).log()
        return terms.sum() if self.reduction == "sum" else terms.mean()

    def _pairs(self, first: Tensor, second: Tensor) -> Tensor:
        """d of every image with every other: two ``(N, values)`` -> ``(N, N)``."""
        if self.similarity == "l1":
            # Without the (N, N, values) differences that broadcasting would keep for the gradient.
            return torch.cdist(first, second, p=1) / first.shape[1]
        return normalize(first) @ normalize(second).T
