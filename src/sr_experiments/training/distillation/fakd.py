"""FAKD: Feature-Affinity Based Knowledge Distillation (He et al. 2020)."""

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, normalize
from torch.utils.checkpoint import checkpoint

from sr_experiments.core.errors import UserError
from sr_experiments.models.network import Network
from sr_experiments.models.residual import ResidualNetwork
from sr_experiments.training.distillation.distillation_loss import (
    LEAST,
    Distillation,
    NetworkOutput,
    refuse_negative,
    weighted_l1,
)

LastTap = Literal["paper", "code"]


class FAKD(Distillation):
    """Feature-affinity distillation (He et al., ICIP 2020), with the weights of its public code.

    The loss is (1 - output_weight) L1(S, HR) + output_weight L1(S, T) + affinity_weight * the sum
    over the taps of the mean absolute difference of the two networks' affinities. An affinity is
    the cosine of every two pixels of a feature map, across the channels: the networks may differ
    in channels, not in size.

    The taps lie behind 1/3, 2/3 and all of the body. Of the last one there are two readings. The
    paper's is the output of the body. The public code adds the head's output to that very tensor in
    place after it has stored it, so that its last tap is what the tail sees, body + head. In RCAN
    the code's second tap is behind group 7 of 10 and not 6, which ``method.student_taps`` can say.
    Its schedule is ``scheduler=fakd``: 200 epochs, half the rate at 150.

    Memory and time grow with the square of the pixels: the affinities of 16 patches of 48 x 48
    and three taps are 2 GB. None is kept; they are computed anew, image by image, for the gradient.

    Args:
        output_weight: of the teacher's output, in [0, 1].
        affinity_weight: of the sum over the taps.
        last_tap: ``paper`` or ``code``, where the taps are not named one by one.
    """

    needs_features: ClassVar[bool] = True

    def __init__(
        self,
        output_weight: float = 0.5,
        affinity_weight: float = 10.0,
        last_tap: LastTap = "paper",
    ) -> None:
        super().__init__()
        if last_tap not in get_args(LastTap):
            raise ValueError(f"last_tap={last_tap}: {' or '.join(get_args(LastTap))}")
        if not 0 <= output_weight <= 1:
            raise ValueError(f"output_weight={output_weight}: in [0, 1]")
        refuse_negative(affinity_weight=affinity_weight)
        self.output_weight, self.affinity_weight = output_weight, affinity_weight
        self.last_tap = last_tap

    def taps(self, network: Network, count: int) -> tuple[str, ...]:
        """See :class:`Distillation`.

        Raises:
            UserError: the code's last tap, of a network without a skip around its body.
        """
        names = super().taps(network, count)
        if self.last_tap == "paper":
            return names
        if not isinstance(network, ResidualNetwork):
            raise UserError(
                "no-skip-to-tap",
                "method.distillation.last_tap=code: {network} has no skip around its body whose "
                "sum could be tapped; set last_tap=paper",
                network=type(network).__name__,
            )
        return (*names[:-1], f"head+{names[-1]}")

    def value(self, student: NetworkOutput, teacher: NetworkOutput, truth: Tensor) -> Tensor:
        """The weighted sum of the three parts."""
        loss = weighted_l1(student, teacher, truth, self.output_weight)
        for ours, theirs in zip(student.features, teacher.features, strict=True):
            loss = loss + self.affinity_weight * _affinity_distance(ours, theirs)
        return loss


def affinity(features: Tensor) -> Tensor:
    """FAKD's spatial affinity: ``(N, C, h, w)`` -> ``(N, h * w, h * w)``, in [-1, 1].

    Pixels whose channels are all zero have affinity 0, with themselves as well, and no gradient:
    it would be without bound.
    """
    pixels = features.flatten(2)
    lengths = pixels.norm(dim=1, keepdim=True)
    pixels = normalize(pixels).where(lengths > LEAST, 0)
    return pixels.transpose(1, 2) @ pixels


def _affinity_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    def distance(one: Tensor, other: Tensor) -> Tensor:
        return l1_loss(affinity(one), affinity(other))

    images = [
        checkpoint(distance, *pair, use_reentrant=False, preserve_rng_state=False)
        for pair in zip(ours.split(1), theirs.split(1), strict=True)
    ]
    return torch.stack(images).mean()
