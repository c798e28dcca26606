"""Contrastive distillation (Moon et al. 2022): close to the teacher, far from the batch."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, normalize

from sr_experiments.core.errors import UserError
from sr_experiments.models.layers.collectives import joint_batch
from sr_experiments.training.distillation.distillation_loss import (
    LEAST,
    Distillation,
    NetworkOutput,
    refuse_negative,
)

Similarity = Literal["l1", "cosine"]


Negatives = Literal["both", "teacher", "student"]


Logarithm = Literal["sum", "each"]


Reduction = Literal["sum", "mean"]


class Contrastive(Distillation):
    """Contrastive distillation of EDSR (Moon et al. 2022), equations (1) and (2).

    The loss is L1(S, HR) + weight * L_CL. For each of the N images of a batch, a ratio r_i has the
    similarity d of the student's and the teacher's output (the positive pair) above, and below the
    sum of d between the student's output and the outputs of the other images (the negatives). For
    ``l1``, d is the mean absolute difference and L_CL = sum_i r_i. For ``cosine``, d is the cosine
    of the flattened outputs and L_CL = -log sum_i r_i: the paper takes -log of equation (1).

    Section 2 counts the teacher's and the student's outputs: those of the same index are positive,
    "the remaining samples negative". That is ``both``, 2 (N - 1) negatives for each image. The
    student learns from its negatives too. The sentence on ``l1`` has the positives as the
    denominator, against the equation and its own aim; here the equation holds.

    Nothing bounds the ``cosine`` loss below: an output that has less and less in common with all
    others is better and better. What holds the student is L1, and that is too weak where an output
    is nearly black: the gradient of a cosine grows as one over the image's length, and of a patch
    of mean 1 (of 255) it is ten times L1's. Measured on EDSR 4x16 at ``budget=quick``, x2, PSNR on
    Y of the four embedded test images, beside 33.19 dB undistilled and 32.19 dB bicubic: with the
    Hubble deep field and the retina among the training images, 6.6 % of whose patches have a mean
    below 15, ``both`` and ``sum`` at weight 10 end at 29.89, 28.15 and 29.80 dB (seeds 0, 1, 2);
    at 26.6 to 31.8 with batches of 8 to 64, patches of 12 to 48, rates of 1e-4 to 1e-3, a rate
    that decays to a hundredth, or 3,000 updates; at 32.4 with weight 3 and 32.8 with weight 1. The
    other readings end at 17.5 (sum of -log) to 31.3 dB. Without those two images all is well with
    the paper's own values: 33.15, 33.23 and 33.29 dB beside 33.24 undistilled, and 33.0 to 33.3 at
    each of those batches, patches and rates. ``data=embedded`` is therefore without them; DIV2K
    has few such patches, which is no proof that it has none.

    A factor on all outputs leaves L_CL as it is. It is finite because a sum over negatives, and
    what the logarithm is taken of, count as 1e-6 where they are below, and give no gradient there.
    That happens only where an image equals all its negatives, or where cosines are not positive,
    as those of images are.

    The batch is that of all processes together, so that their number does not matter.

    Args:
        similarity: ``l1`` or ``cosine``.
        weight: the paper's alpha.
        negatives: whose outputs: ``both``, as the paper says, or one network's alone.
        logarithm: for ``cosine``, -log of the ``sum`` of the ratios, as the paper says, or the sum
            of -log of ``each``. The gradient of the first is nearly that of the mean of the second.
        reduction: ``sum`` over the images of a batch, as equation (1) prints it, or ``mean``; with
            -log of the sum, that is only a constant.
    """

    def __init__(
        self,
        similarity: Similarity,
        weight: float = 10.0,
        negatives: Negatives = "both",
        logarithm: Logarithm = "sum",
        reduction: Reduction = "sum",
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("similarity", similarity, Similarity),
            ("negatives", negatives, Negatives),
            ("logarithm", logarithm, Logarithm),
            ("reduction", reduction, Reduction),
        ):
            if value not in get_args(known):
                raise ValueError(f"{name}={value}: {' or '.join(get_args(known))}")
        refuse_negative(weight=weight)
        self.similarity, self.weight, self.negatives = similarity, weight, negatives
        self.logarithm, self.reduction = logarithm, reduction

    def value(self, student: NetworkOutput, teacher: NetworkOutput, truth: Tensor) -> Tensor:
        """Equation (2)."""
        contrast = self.contrast(joint_batch(student.output), joint_batch(teacher.output))
        return l1_loss(student.output, truth) + self.weight * contrast

    def contrast(self, student: Tensor, teacher: Tensor) -> Tensor:
        """L_CL of outputs ``(N, C, H, W)``.

        Raises:
            UserError: a single image.
        """
        count = len(student)
        if count < 2:
            raise UserError(
                "contrastive-batch-of-one",
                "method: contrastive distillation of a batch of 1 image has no negatives;"
                " set training.batch_size to at least 2",
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
        if self.similarity == "cosine" and self.logarithm == "each":
            terms = sums.log() - positives.clamp_min(LEAST).log()
        else:
            terms = positives / sums
        joined = terms.sum() if self.reduction == "sum" else terms.mean()
        if self.similarity == "cosine" and self.logarithm == "sum":
            joined = -joined.clamp_min(LEAST).log()
        return joined

    def _pairs(self, first: Tensor, second: Tensor) -> Tensor:
        """d of every image with every other: two ``(N, values)`` -> ``(N, N)``."""
        if self.similarity == "l1":
            # Without the (N, N, values) differences that broadcasting would keep for the gradient.
            return torch.cdist(first, second, p=1) / first.shape[1]
        return normalize(first) @ normalize(second).T
