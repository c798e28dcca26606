"""L1 to the ground truth and to the teacher's output."""

from torch import Tensor

from sr_experiments.training.distillation.distillation_loss import (
    Distillation,
    NetworkOutput,
    weighted_l1,
)


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

    def value(self, student: NetworkOutput, teacher: NetworkOutput, truth: Tensor) -> Tensor:
        """The weighted mean of the two distances."""
        return weighted_l1(student, teacher, truth, self.weight)
