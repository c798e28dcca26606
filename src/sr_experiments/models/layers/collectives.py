"""Sums and batches over the processes of a distributed training, for what spans the whole batch."""

import torch
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


def joint_mean(value: Tensor) -> Tensor:
    """The mean of every process's ``value``, of any shape and without a gradient."""
    value = value.detach()
    if distributed():
        value = value.clone()
        dist.all_reduce(value)
        value = value / dist.get_world_size()
    return value


def joint_batch(share: Tensor) -> Tensor:
    """Every process's share of a batch, ``(n, ...)`` of one shape -> ``(N, ...)``.

    Every process must make the same loss of it. Its gradient for the own share is then all that is
    asked for, and is multiplied by the number of processes, so that the mean which
    ``DistributedDataParallel`` takes is the gradient of one process that holds the joined batch.
    """
    if not distributed():
        return share
    world, own = dist.get_world_size(), share.contiguous()
    shares = [torch.empty_like(own) for _ in range(world)]
    dist.all_gather(shares, own.detach())
    if share.requires_grad:
        own = own.clone()
        own.register_hook(lambda gradient: gradient * world)
        shares[dist.get_rank()] = own
    return torch.cat(shares)
