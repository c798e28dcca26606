"""What a student is trained on: the ground truth, and a teacher's outputs or features.

Every loss here is the whole training loss, its reconstruction term included. Outputs and ground
truth are ``(N, C, H, W)``, in [0, 1] or [0, 255] as the recipe counts; features are tuples of
``(N, C_k, h_k, w_k)`` in the networks' own units, one for each tap. Nothing teaches the teacher:
its tensors are detached.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, normalize
from torch.utils.checkpoint import checkpoint

from sr_experiments.core.errors import UserError

Similarity = Literal["l1", "cosine"]
Negatives = Literal["teacher", "student", "both"]
Reduction = Literal["sum", "mean"]
#: Stands for what is smaller where it is divided by or its logarithm is taken.
LEAST = 1e-6


@dataclass(frozen=True)
class Seen:
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
        _check_features(student_features, teacher_features)

    def forward(self, student: Seen, teacher: Seen, truth: Tensor) -> Tensor:
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
            _check_features(student.features, teacher.features)
        # The affinities and ratios below compare what differs by little: half precision loses it.
        with torch.autocast(truth.device.type, enabled=False):
            taught = tuple(_wide(t.detach()) for t in teacher.features)
            return self.value(
                Seen(_wide(student.output), tuple(_wide(t) for t in student.features)),
                Seen(_wide(teacher.output.detach()), taught),
                _wide(truth.detach()),
            )

    @abstractmethod
    def value(self, student: Seen, teacher: Seen, truth: Tensor) -> Tensor:
        """The loss of tensors that have been checked, widened and, the teacher's, detached."""


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
        _refuse_negative(weight=weight)
        self.similarity, self.weight, self.negatives = similarity, weight, negatives
        self.reduction = reduction

    def value(self, student: Seen, teacher: Seen, truth: Tensor) -> Tensor:
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


class OutputL1(Distillation):
    """Output distillation: (1 - weight) L1(S, HR) + weight L1(S, T).

    Args:
        weight: of the teacher's output, in [0, 1]; FAKD's is 0.5.
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        if not 0 <= weight <= 1:
            raise ValueError(f"weight={weight}: in [0, 1]")
        self.weight = weight

    def value(self, student: Seen, teacher: Seen, truth: Tensor) -> Tensor:
        """The weighted mean of the two distances."""
        return _between(student, teacher, truth, self.weight)


class FAKD(Distillation):
    """Feature-affinity distillation (He et al., ICIP 2020), with the weights of its public code.

    The loss is (1 - output_weight) L1(S, HR) + output_weight L1(S, T) + affinity_weight * the sum
    over the taps of the mean absolute difference of the two networks' affinities. An affinity is
    the cosine of every two pixels of a feature map, across the channels: the networks may differ
    in channels, not in size.

    The last tap is the output of the body, as the paper describes it. The public code adds the
    head's output to that very tensor in place after it has stored it, so that its last tap holds
    body + head.

    Memory and time grow with the square of the pixels: the affinities of 16 patches of 48 x 48
    and three taps are 2 GB. None is kept; they are computed anew, image by image, for the gradient.

    Args:
        output_weight: of the teacher's output, in [0, 1].
        affinity_weight: of the sum over the taps.
    """

    needs_features: ClassVar[bool] = True

    def __init__(self, output_weight: float = 0.5, affinity_weight: float = 10.0) -> None:
        super().__init__()
        if not 0 <= output_weight <= 1:
            raise ValueError(f"output_weight={output_weight}: in [0, 1]")
        _refuse_negative(affinity_weight=affinity_weight)
        self.output_weight, self.affinity_weight = output_weight, affinity_weight

    def value(self, student: Seen, teacher: Seen, truth: Tensor) -> Tensor:
        """The weighted sum of the three parts."""
        loss = _between(student, teacher, truth, self.output_weight)
        for ours, theirs in zip(student.features, teacher.features, strict=True):
            loss = loss + self.affinity_weight * _affinity_distance(ours, theirs)
        return loss


class FitNet(Distillation):
    """Hints (Romero et al. 2015): L1(S, HR) + weight * the sum over the taps of the relative error.

    The relative error of a tap is MSE(A(S_k), T_k) over the teacher's mean square in the batch. A,
    a 1x1 convolution for each tap, takes the student's channels to the teacher's. It is trained
    with the student and thrown away with the loss. The paper takes the bare squared error; in an
    EDSR that counts to 255 inside that is in the thousands where its L1 is in the tens, and the
    student learns nothing else. Divided, a weight means the same for every teacher.

    Args:
        weight: of the sum over the taps.
    """

    needs_features: ClassVar[bool] = True

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        _refuse_negative(weight=weight)
        self.weight = weight
        self.adapters = nn.ModuleList()

    def connect(
        self, student_features: tuple[Tensor, ...], teacher_features: tuple[Tensor, ...]
    ) -> None:
        """Make the adapters, on the device of the features and in float32 or above."""
        super().connect(student_features, teacher_features)
        pairs = zip(student_features, teacher_features, strict=True)
        self.adapters = nn.ModuleList(
            nn.Conv2d(ours.shape[1], theirs.shape[1], 1, device=ours.device, dtype=_dtype(ours))
            for ours, theirs in pairs
        )

    def value(self, student: Seen, teacher: Seen, truth: Tensor) -> Tensor:
        """Reconstruction and hints."""
        if len(self.adapters) != len(student.features):
            raise RuntimeError(f"{len(self.adapters)} adapters: connect() comes before the loss")
        loss = l1_loss(student.output, truth)
        triples = zip(self.adapters, student.features, teacher.features, strict=True)
        for adapter, ours, theirs in triples:
            weights = next(adapter.parameters())
            adapted = adapter(ours.to(weights.dtype)).to(ours.dtype)
            unit = theirs.square().mean().clamp_min(torch.finfo(theirs.dtype).tiny)
            loss = loss + self.weight * self.distance(adapted, theirs) / unit
        return loss

    def distance(self, adapted: Tensor, theirs: Tensor) -> Tensor:
        """Of one tap's features, both ``(N, C, h, w)``: the mean squared difference."""
        return (adapted - theirs).square().mean()


class LSFD(FitNet):
    """Local-selective feature distillation (Park and Kwak 2021, arXiv 2111.10988), reconstructed.

    The paper's formula was not at hand; this is a reading of its abstract, and a result must be
    shown with ``definition``. *Local*: the adapters are 1x1 convolutions, so that a position is
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


def _between(student: Seen, teacher: Seen, truth: Tensor, weight: float) -> Tensor:
    to_truth, to_teacher = l1_loss(student.output, truth), l1_loss(student.output, teacher.output)
    return (1 - weight) * to_truth + weight * to_teacher


def _check_features(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> None:
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


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(_dtype(tensor))


def _dtype(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


def _refuse_negative(**weights: float) -> None:
    for name, weight in weights.items():
        if weight < 0:
            raise ValueError(f"{name}={weight}: at least 0")
