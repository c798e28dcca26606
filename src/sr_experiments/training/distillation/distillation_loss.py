"""The base of all distillation losses, and what they share.

Every loss is the whole training loss, its reconstruction term included. Outputs and ground truth
are ``(N, C, H, W)``, in [0, 1] or [0, 255] as the recipe counts; features are tuples of
``(N, C_k, h_k, w_k)``, one for each tap. Tensors of the teacher are detached.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from sr_experiments.core.errors import UserError
from sr_experiments.models.network import Network
from sr_experiments.training.distillation.feature_hooks import thirds

#: Stands for what is smaller where it is divided by or its logarithm is taken.
LEAST = 1e-6


@dataclass(frozen=True)
class NetworkOutput:
    """What a network made of a batch.

    Attributes:
        output: ``(N, C, H, W)``.
        features: of its taps, in order; empty where the loss needs none.
    """

    output: Tensor
    features: tuple[Tensor, ...] = ()


class Distillation(nn.Module, ABC):
    """A loss of student, teacher and ground truth.

    Attributes:
        needs_features: whether the networks have to be tapped.
        definition: a caveat to show wherever a result of this loss is; empty if there is none.
    """

    needs_features: ClassVar[bool] = False
    definition: ClassVar[str] = ""

    def connect(
        self, student_features: tuple[Tensor, ...], teacher_features: tuple[Tensor, ...]
    ) -> None:
        """Fit the loss to the features of a probe; to be called once, before the optimiser is made.

        Raises:
            UserError: the features cannot be compared.
        """
        check_features(student_features, teacher_features)

    def taps(self, network: Network, count: int) -> tuple[str, ...]:
        """Names of the layers to compare, for :class:`FeatureHooks`, where the user names none.

        Args:
            network: student or teacher.
            count: of the taps.
        """
        return thirds(network, count)

    def forward(self, student: NetworkOutput, teacher: NetworkOutput, truth: Tensor) -> Tensor:
        """The loss of a batch, in float32 or above whatever the precision of the training.

        Raises:
            UserError: outputs or features that cannot be compared.
        """
        if not student.output.shape == teacher.output.shape == truth.shape:
            shapes = (tuple(t.shape) for t in (student.output, teacher.output, truth))
            raise UserError(
                "distillation-shapes-differ",
                "distillation: outputs of student {student}, teacher {teacher} and ground truth "
                "{truth} differ in shape; the teacher must have the student's scale and colour",
                **dict(zip(("student", "teacher", "truth"), shapes, strict=True)),
            )
        if self.needs_features:
            check_features(student.features, teacher.features)
        # The affinities and ratios below compare what differs by little: half precision loses it.
        with torch.autocast(truth.device.type, enabled=False):
            learned = tuple(at_least_float32(t) for t in student.features)
            taught = tuple(at_least_float32(t.detach()) for t in teacher.features)
            return self.value(
                NetworkOutput(at_least_float32(student.output), learned),
                NetworkOutput(at_least_float32(teacher.output.detach()), taught),
                at_least_float32(truth.detach()),
            )

    @abstractmethod
    def value(self, student: NetworkOutput, teacher: NetworkOutput, truth: Tensor) -> Tensor:
        """The loss of tensors that have been checked, widened and, the teacher's, detached."""


def check_features(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> None:
    """Refuse features of student and teacher that differ in number or in size."""
    if not 0 < len(ours) == len(theirs):
        raise UserError(
            "taps-differ",
            "distillation: {ours} feature maps of the student and {theirs} of the "
            "teacher; both networks need the same taps, at least 1",
            ours=len(ours),
            theirs=len(theirs),
        )
    for k, (one, other) in enumerate(zip(ours, theirs, strict=True), start=1):
        if one.shape[-2:] != other.shape[-2:]:
            sizes = (f"{t.shape[-2]}x{t.shape[-1]}" for t in (one, other))
            raise UserError(
                "tap-sizes-differ",
                "distillation: the features of tap {tap} are {student} in the student and "
                "{teacher} in the teacher; choose networks that work at one size, or a method on "
                "outputs",
                tap=k,
                **dict(zip(("student", "teacher"), sizes, strict=True)),
            )


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half precision as float32; other tensors unchanged."""
    return tensor.to(loss_dtype(tensor))


def loss_dtype(tensor: Tensor) -> torch.dtype:
    """The precision in which a loss of this tensor is computed."""
    return torch.promote_types(tensor.dtype, torch.float32)


def refuse_negative(**weights: float) -> None:
    """Refuse weights of a loss that are below 0."""
    for name, weight in weights.items():
        if weight < 0:
            raise ValueError(f"{name}={weight}: at least 0")


def weighted_l1(
    student: NetworkOutput, teacher: NetworkOutput, truth: Tensor, weight: float
) -> Tensor:
    """L1 to the ground truth and to the teacher's output, which has the ``weight``."""
    to_truth, to_teacher = l1_loss(student.output, truth), l1_loss(student.output, teacher.output)
    return (1 - weight) * to_truth + weight * to_teacher
