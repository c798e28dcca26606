"""Begin a network with the weights of another, and say exactly which."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sr_experiments.core.errors import UserError
from sr_experiments.models.network import Network


@dataclass(frozen=True)
class Transfer:
    """What :func:`transfer` did: names of tensors taken over, and of those left as they were."""

    taken: tuple[str, ...]
    left: tuple[str, ...]

    def __str__(self) -> str:
        left = f"; fresh: {', '.join(self.left)}" if self.left else ""
        return f"{len(self.taken)} tensors taken over{left}"


@torch.no_grad()
def transfer(network: Network, state: Mapping[str, Tensor]) -> Transfer:
    """Copy every tensor whose name and shape are the same in both.

    EDSR's x3 and x4 networks begin with x2's head and body this way; of the upsampler, what
    differs keeps its own initial values.

    Raises:
        UserError: anything but what belongs to one scale does not fit, so that the two are of
            different architectures or sizes.
    """
    own = network.state_dict()
    taken = [k for k, v in own.items() if k in state and state[k].shape == v.shape]
    odd = [k for k in {**own, **state} if k not in taken]
    if foreign := [k for k in odd if not k.startswith(network.scale_dependent)]:
        raise UserError(
            "start-does-not-fit",
            "start: {first} and {more} more weights of {network} do not fit "
            "those of the parent; the parent run has another architecture or size",
            first=foreign[0],
            more=len(foreign) - 1,
            network=type(network).__name__,
        )
    for name in taken:
        own[name].copy_(state[name])
    return Transfer(tuple(taken), tuple(k for k in own if k not in taken))
