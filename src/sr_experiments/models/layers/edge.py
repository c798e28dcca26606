"""Edge-oriented convolutions, which are ordinary ones once they are trained (Zhang et al. 2021)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Sobel across, Sobel down and Laplacian; the figures of the paper's equations 3 to 6.
FILTERS = (
    ((1, 0, -1), (2, 0, -2), (1, 0, -1)),
    ((1, 2, 1), (0, 0, 0), (-1, -2, -1)),
    ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
)
#: Standard deviation of the first strengths of the filters, as in the authors' code.
STRENGTH = 1e-3


class EdgeConvolution(nn.Conv2d):
    """A convolution whose kernel is a sum of kernels (ECBSR, section 3.2).

    ``(N, in_channels, h, w)`` -> ``(N, out_channels, h, w)``, zero-padded. The class is a factory
    of the group ``convolution``. The kernel is the sum of an ordinary one, of a 1x1 convolution to
    more channels and one that leads back, and of 1x1 convolutions before a Sobel filter across, one
    down, and a Laplacian, each with a learned strength for each output.

    The authors convolve with each branch while they train and add the kernels afterwards. Here the
    kernels are added first: all branches are linear, so that output and gradients are the same, and
    a step costs what one convolution does. The branches have one bias together, as theirs add up to
    one. A kernel of another size has the filters in its middle, a 1x1 has none.

    Initialisers draw the ordinary kernel, whose name is ``weight``; the other branches begin as
    PyTorch's convolutions do.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd; height and width of the kernel.
        bias: whether there is a bias.
        expansion: channels of the wide branch for each output channel, at least 1.
    """

    filters: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        expansion: int = 2,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias
        )
        if expansion < 1:
            raise ValueError(f"expansion={expansion}: at least 1")
        wide = expansion * out_channels
        self.expand = nn.Parameter(nn.Conv2d(in_channels, wide, 1).weight.detach()[..., 0, 0])
        squeeze = nn.Conv2d(wide, out_channels, kernel_size)
        self.squeeze = nn.Parameter(squeeze.weight.detach())
        if kernel_size < 3:
            return
        margin = (kernel_size - 3) // 2
        filters = F.pad(torch.tensor(FILTERS, dtype=self.weight.dtype), [margin] * 4)
        # Known from the class alone, so that no file of weights holds it.
        self.register_buffer("filters", filters, persistent=False)
        mixes = [nn.Conv2d(in_channels, out_channels, 1).weight.detach() for _ in FILTERS]
        self.mix = nn.Parameter(torch.stack(mixes)[..., 0, 0])
        self.strength = nn.Parameter(torch.randn(len(FILTERS), out_channels) * STRENGTH)

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the ordinary convolution that computes the same."""
        out, wide, *sides = self.squeeze.shape
        # (out, k k, wide) @ (wide, in): the two convolutions as one.
        through = self.squeeze.reshape(out, wide, -1).transpose(1, 2) @ self.expand
        weight = self.weight + through.transpose(1, 2).reshape(out, -1, *sides)
        if self.kernel_size[0] >= 3:
            scaled = (self.mix * self.strength[:, :, None]).reshape(len(self.filters), -1)
            edges = scaled.T @ self.filters.reshape(len(self.filters), -1)
            weight = weight + edges.reshape(weight.shape)
        return weight, self.bias

    def forward(self, input: Tensor) -> Tensor:
        """Convolve with the sum of the kernels."""
        with torch.autocast(input.device.type, enabled=False):
            weight, bias = self.folded()
        if self.weight.is_contiguous(memory_format=torch.channels_last):
            weight = weight.contiguous(memory_format=torch.channels_last)
        bias = None if bias is None else bias.to(input.dtype)
        return F.conv2d(input, weight.to(input.dtype), bias, padding=self.padding)
