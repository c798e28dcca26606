"""Optimisers missing from PyTorch, and how one goes on where another stopped."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from sr_experiments.core.errors import UserError


def slower_last_layer(
    params: Iterable[nn.Parameter], optimizer: Callable[..., Optimizer], factor: float = 0.1
) -> Optimizer:
    """An optimiser whose rate is smaller for the last layer (SRCNN: 1e-5 to 1e-4).

    The last layer is the last parameter with at least two dimensions, and its bias.

    Args:
        params: all trained parameters, in the network's order.
        optimizer: factory of the optimiser, called with groups of parameters.
        factor: of the last layer's rate to the others', above 0. Schedules apply to both.

    Raises:
        ValueError: the factor is not above 0, or no parameter has two dimensions.
    """
    if not factor > 0:
        raise ValueError(f"factor={factor}: must be above 0")
    params = list(params)
    last = max((i for i, p in enumerate(params) if p.dim() >= 2), default=None)
    if last is None:
        raise ValueError("factor: the network has no layer with a weight of two dimensions")
    groups = [{"params": params[:last]}, {"params": params[last:]}]
    made = optimizer([group for group in groups if group["params"]])
    made.param_groups[-1]["lr"] *= factor
    return made


def take_moments(optimizer: Optimizer, moments: Mapping[int, Mapping[str, Any]]) -> None:
    """Give a fresh optimiser what another one of its kind has gathered about the same parameters.

    Rates and other settings stay its own.

    Args:
        optimizer: freshly made.
        moments: the ``state`` of the other's ``state_dict``.

    Raises:
        UserError: the two have other parameters, or are of different kinds.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    shapes = [p.shape for p in parameters]
    fits = set(moments) == set(range(len(shapes))) and all(
        value.dim() == 0 or value.shape == shapes[index]
        for index, kept in moments.items()
        for value in kept.values()
        if isinstance(value, Tensor)
    )
    if not fits:
        raise UserError(
            "moments-do-not-fit",
            "start_optimizer=true: no state of the parent's optimiser "
            "fits these parameters; set start_optimizer=false",
        )
    own = optimizer.state_dict()
    optimizer.load_state_dict(
        {"state": deepcopy(dict(moments)), "param_groups": own["param_groups"]}
    )
