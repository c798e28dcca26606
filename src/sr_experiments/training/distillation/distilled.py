"""Knowledge distillation: a student learns from ground truth and from a trained teacher."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sr_experiments.core.errors import UserError
from sr_experiments.data.datamodule import Batch
from sr_experiments.models.network import Network, prepare
from sr_experiments.training.distillation.distillation_loss import Distillation, NetworkOutput
from sr_experiments.training.distillation.feature_hooks import FeatureHooks
from sr_experiments.training.module import Supervised, scale_of
from sr_experiments.training.schedules import Schedule


class Distilled(Supervised):
    """Learns from a teacher that is frozen, in eval mode and no part of any checkpoint.

    Args:
        network: the student.
        teacher: of the same scale and colour.
        distillation: the whole loss of outputs, features and ground truth; outputs and ground truth
            count to ``value_range``.
        student_taps, teacher_taps: names of the layers whose features are compared, pairwise;
            ``a+b`` is the sum of two layers' features. ``None`` leaves it to the loss: those after
            a third, two thirds and all of each network's blocks, or of fewer equal parts where one
            of them has less than three blocks.
        cached: the teacher's outputs are computed once, from whole training images, rounded to
            uint8, and cut and turned like the ground truth: a step then costs what plain training
            costs. It is another teacher than the one that sees the patches: it sees beyond their
            borders, its answer to a turned patch is the turned answer, and it is rounded.
        network_config, optimizer, schedule, updates, recipe_epochs, value_range: of
            :class:`~sr_experiments.training.module.Supervised`.

    Raises:
        UserError: the two networks do not go together, or the loss needs what a cached teacher has
            not.
    """

    def __init__(
        self,
        network: Network,
        teacher: Network,
        distillation: Distillation,
        network_config: Mapping[str, Any] | None = None,
        student_taps: Sequence[str] | None = None,
        teacher_taps: Sequence[str] | None = None,
        cached: bool = False,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
        schedule: Schedule | None = None,
        updates: int = 1,
        recipe_epochs: float = 1,
        value_range: float = 255.0,
    ) -> None:
        super().__init__(
            network,
            network_config,
            optimizer=optimizer,
            schedule=schedule,
            updates=updates,
            recipe_epochs=recipe_epochs,
            value_range=value_range,
        )
        _go_together(network, teacher)
        prepare(teacher).requires_grad_(False)
        # Not registered: Lightning shall neither save nor train it, nor set it to train mode.
        object.__setattr__(self, "teacher", teacher)
        self.distillation = distillation
        self.cached = cached
        self.taps: tuple[FeatureHooks, FeatureHooks] | None = None
        if distillation.needs_features:
            if cached:
                raise UserError(
                    "cached-needs-outputs",
                    "method.cached=true: this loss compares features, which are not cached; set"
                    " method.cached=false",
                )
            count = max(1, min(3, len(network.stages), len(teacher.stages)))
            names = (
                student_taps or distillation.taps(network, count),
                teacher_taps or distillation.taps(teacher, count),
            )
            distillation.connect(_features(network, names[0]), _features(teacher, names[1]))
            self.taps = (
                FeatureHooks(network, names[0], only_training=True),
                FeatureHooks(teacher, names[1]),
            )

    teacher: Network

    def trained(self) -> list[nn.Parameter]:
        """The student's parameters, and in front of them those that a loss brings along."""
        return [*self.distillation.parameters(), *super().trained()]

    def on_fit_start(self) -> None:
        """Bring the teacher to the student's device and precision."""
        own = next(self.network.parameters())
        self.teacher.to(own.device, own.dtype)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch of uint8 patches."""
        scale = scale_of(batch)
        student = self._look(0, self.predict(self.network_for_step(scale), batch.lr))
        with torch.no_grad():
            if batch.teacher_sr is None:
                teacher = self._look(1, self.predict(self.teacher.for_scale(scale), batch.lr))
            else:
                teacher = self._look(1, self.network.encode(batch.teacher_sr))
        truth = self.network.encode(batch.hr) * self.value_range
        return self.distillation(student, teacher, truth)

    def _look(self, who: int, output: Tensor) -> NetworkOutput:
        features = self.taps[who].take() if self.taps is not None else ()
        return NetworkOutput(output * self.value_range, features)


@torch.no_grad()
def _features(network: Network, names: Sequence[str]) -> tuple[Tensor, ...]:
    """Features of a small image, for their shapes."""
    taps, training = FeatureHooks(network, names), network.training
    network.eval()
    Distilled.predict(network, torch.zeros(1, 3, 24, 24, dtype=torch.uint8))
    network.train(training)
    features = taps.take()
    taps.remove()
    return features


def _go_together(student: Network, teacher: Network) -> None:
    if teacher.scale != student.scale:
        raise UserError(
            "teacher-scale-differs",
            "teacher: its scale is {teacher_scale} and the student's {scale}; they must be equal",
            teacher_scale=teacher.scale,
            scale=student.scale,
        )
    if teacher.colour != student.colour:
        raise UserError(
            "teacher-colour-differs",
            "teacher: {teacher} takes {teacher_colour} input and its student {student} "
            "{colour}; their outputs cannot be compared",
            teacher=type(teacher).__name__,
            teacher_colour=teacher.colour,
            student=type(student).__name__,
            colour=student.colour,
        )
