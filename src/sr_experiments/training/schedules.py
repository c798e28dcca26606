"""Learning rates as functions of how much of the recipe is done.

A schedule is written in the recipe's own epochs. A budget that carries out a tenth of the recipe
passes its milestones after a tenth of the updates.
"""

import math
from collections.abc import Callable, Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

#: ``(updates done, updates in all, recipe epochs in all) -> factor on the initial rate``.
Schedule = Callable[[int, int, float], float]


class Constant:
    """The rate never changes.

    Args:
        factor: on the rate that the optimiser names, above 0.
    """

    def __init__(self, factor: float = 1.0) -> None:
        if not factor > 0:
            raise ValueError(f"factor={factor}: must be above 0")
        self.factor = factor

    def __call__(self, update: int, updates: int, recipe_epochs: float) -> float:
        """The factor, whatever is asked."""
        return self.factor


class MultiStep:
    """The rate is multiplied by ``gamma`` at each milestone.

    Args:
        milestones: in epochs of the recipe, at least 0.
        gamma: the factor, above 0.
    """

    def __init__(self, milestones: Sequence[float], gamma: float = 0.5) -> None:
        if gamma <= 0 or any(m < 0 for m in milestones):
            raise ValueError(f"milestones={list(milestones)}, gamma={gamma}: must be positive")
        self.milestones, self.gamma = tuple(milestones), gamma

    def __call__(self, update: int, updates: int, recipe_epochs: float) -> float:
        """The factor that holds for the update that follows ``update`` finished ones."""
        # Cross-multiplied, so that a milestone falls on an exact update.
        done = update * recipe_epochs
        return self.gamma ** sum(done >= m * updates for m in self.milestones)


class Cosine:
    """The rate falls to ``last`` of itself along half a cosine (Loshchilov & Hutter 2017).

    Args:
        last: the factor at the end of the training, in 0..1.
    """

    def __init__(self, last: float = 0.0) -> None:
        if not 0 <= last <= 1:
            raise ValueError(f"last={last}: must be in 0..1")
        self.last = last

    def __call__(self, update: int, updates: int, recipe_epochs: float) -> float:
        """The factor that holds for the update that follows ``update`` finished ones."""
        return self.last + (1 - self.last) * (1 + math.cos(math.pi * update / updates)) / 2


def scheduler(
    optimizer: Optimizer, schedule: Schedule, updates: int, recipe_epochs: float
) -> LambdaLR:
    """A PyTorch scheduler that is stepped once an update."""
    return LambdaLR(optimizer, lambda update: schedule(update, updates, recipe_epochs))
