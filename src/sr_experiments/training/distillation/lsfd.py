"""LSFD: Local-Selective Feature Distillation (Park and Kwak 2021), definition reconstructed."""

from typing import ClassVar

import torch
from torch import Tensor

from sr_experiments.training.distillation.fitnet import FitNet


class LSFD(FitNet):
    """Local-selective feature distillation (Park and Kwak 2021, arXiv 2111.10988), reconstructed.

    The paper's full text and formula were not to be had, and no public code is known; this is a
    reading of its abstract, which announces a FitNet that keeps to local information and a soft
    attention over pixels from the difference of teacher and student. A result must be shown with
    ``definition``. *Local*: the adapters are 1x1 convolutions, so that a position is
    compared by itself alone. *Selective*: the squared differences of a feature map, the mean over
    its channels, are not averaged over the positions but weighed by a soft attention that sums to
    one in each image: the softmax over the positions of the mean absolute difference across the
    channels, divided by its mean over the image, so that the features' units do not matter. No
    gradient goes through the attention. Where the difference is everywhere the same, the loss is
    :class:`FitNet`'s.
    """

    definition: ClassVar[str] = "definition reconstructed"

    def distance(self, adapted: Tensor, theirs: Tensor) -> Tensor:
        """Of one tap's features, both ``(N, C, h, w)``: the squared difference where it matters."""
        difference = adapted - theirs
        squared = difference.square().mean(1)
        return (self.attention(difference) * squared).sum((1, 2)).mean()

    def attention(self, difference: Tensor) -> Tensor:
        """Weights of the positions: ``(N, C, h, w)`` -> ``(N, h, w)``, each image's sum 1."""
        size = difference.detach().abs().mean(1)
        relative = size / size.mean((1, 2), keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)
        return relative.flatten(1).softmax(1).view_as(size)
