"""Batch normalisation whose statistics span the processes of a distributed training."""

import torch
from torch import Tensor, nn

from sr_experiments.models.layers.collectives import distributed, joint_sum


class BatchNorm(nn.BatchNorm2d):
    """PyTorch's ``BatchNorm2d``; under several processes that of the joined batch.

    PyTorch's own synchronised layer is for GPUs alone, and running statistics of one process would
    score images otherwise than those of another. ``(N, num_features, h, w)`` -> the same shape.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the batch (training) or by the running statistics (eval)."""
        if not (self.training and distributed()):
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return self._joint(input.to(torch.promote_types(input.dtype, torch.float32)))

    def _joint(self, input: Tensor) -> Tensor:
        values = input.numel() // self.num_features
        sums = joint_sum(torch.cat([input.sum((0, 2, 3)), input.new_full((1,), values)]))
        mean, count = sums[:-1] / sums[-1], sums[-1].detach()
        centred = input - mean.view(1, -1, 1, 1)
        variance = joint_sum(centred.square().sum((0, 2, 3))) / count
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        with torch.no_grad():
            unbiased = variance * count / (count - 1)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
            self.num_batches_tracked.add_(1)
        factor = (variance + self.eps).rsqrt() * self.weight
        return centred * factor.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
