"""Losses of outputs and ground truth missing from PyTorch."""

from torch import Tensor, nn


class HalfSquaredError(nn.Module):
    """Half the squared error of a whole patch, ``1/2 ||r - f(x)||^2``, the mean over the batch.

    VDSR's (Kim et al. 2016, section 3.2) as its Caffe layer computes it, and figure 9 of the
    platform report. It grows with the patch, which is what rates of 0.1 are meant for; PyTorch's
    ``MSELoss`` is smaller by half of a patch's values.

    ``(N, C, H, W)`` twice -> a number.
    """

    def forward(self, output: Tensor, truth: Tensor) -> Tensor:
        """See the class."""
        return (output - truth).square().sum() / (2 * len(output))
