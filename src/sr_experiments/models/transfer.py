"""Begin a network with the weights of another, and say exactly which."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError


@dataclass(frozen=True)
class Transfer:
    """What :func:`transfer` did: names of tensors taken over, and of those left as they were."""

    taken: tuple[str, ...]
    left: tuple[str, ...]

    def __str__(self) -> str:
        left = f"; fresh: {', '.join(self.left)}" if self.left else ""
        return f"{len(self.taken)} tensors taken over{left}"


@torch.no_grad()
def transfer(network: nn.Module, state: Mapping[str, Tensor]) -> Transfer:
    """Copy every tensor whose name and shape are the same in both.

    EDSR's x3 and x4 networks begin with x2's head and body this way; what differs (the
    upsampler) keeps its own initial values.

    Raises:
        UserError: not a single tensor fits, so that the two are different architectures.
    """
    own = network.state_dict()
    taken = [k for k, v in own.items() if k in state and state[k].shape == v.shape]
    if not any(k in taken for k, _ in network.named_parameters()):
        raise UserError(
            f"none of the {len(state)} weights to begin with fits {type(network).__name__}: "
            "the parent run has another architecture or size"
        )
    for name in taken:
        own[name].copy_(state[name])
    return Transfer(tuple(taken), tuple(k for k in own if k not in taken))
