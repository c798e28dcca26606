"""Optimisers that PyTorch has not, as factories called with a network's parameters."""

from collections.abc import Callable, Iterable

from torch import nn
from torch.optim import Optimizer


def slower_last_layer(
    params: Iterable[nn.Parameter], optimizer: Callable[..., Optimizer], factor: float = 0.1
) -> Optimizer:
    """An optimiser whose rate is smaller for the last layer (SRCNN: 1e-5 to 1e-4).

    The last layer is the last parameter of two dimensions or more, in the order in which a network
    names its parameters, with what follows it, which is its bias.

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
