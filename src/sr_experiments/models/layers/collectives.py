"""Sums over the processes of a distributed training, for layers whose statistics span the batch."""

import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_reduce


def distributed() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def joint_sum(value: Tensor) -> Tensor:
    """The sum of every process's ``value``, of any shape; without processes, ``value`` itself.

    Gradients flow to all of them: each process's share is asked for by every process's loss. With
    the mean that ``DistributedDataParallel`` takes, the gradients are those of one process that
    holds the joined batch, as in synchronised batch normalisation. It is a collective: all
    processes must come here equally often, so layers call it while training only.
    """
    return all_reduce(value) if distributed() else value
