"""Network deconvolution: a convolution of decorrelated input (Ye et al. 2020, ICLR)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sr_experiments.models.layers.collectives import joint_sum
from sr_experiments.models.layers.products import gram, product


class Deconvolution(nn.Conv2d):
    """A convolution whose input is whitened over pixels and channels, ``y = (x - mean) D w + b``.

    ``(N, in_channels, h, w)`` -> ``(N, out_channels, h, w)``, zero-padded. The class is a factory
    of the group ``convolution``. Its parameters are an ordinary convolution's, by the same names.

    While training, the mean and the covariance of the input's patches come from the batch, and D is
    what :func:`whiten` makes of the covariance; all of it has gradients. Mean and D are folded
    into the weight and the bias, so that one ordinary convolution remains. In eval mode the running
    mean (from 0) and the running D (from the identity) take their place; folded once, they cost
    nothing. Statistics are computed in float32 at least, whatever autocast says, and span the
    processes of a distributed training, whose buffers are therefore the same everywhere. With
    gradient accumulation they are those of each partial batch.

    Five iterations leave D far from a true inverse root, by design (speed over
    accuracy); the paper's results are those of the iteration. ``eps`` is added to the covariance
    and is meant for input of order 1. Behind layers that count to 255, as in EDSR with
    ``rgb_range`` 255, variances of 100 and more make it meaningless: it then guards neither against
    flat channels nor against rounding. ``model.rgb_range=1`` makes it effective.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd; height and width of the kernel.
        bias: whether there is a learned bias; the mean's share is subtracted either way.
        eps: added to the covariance's diagonal, above 0.
        n_iter: steps of the iteration, at least 1.
        momentum: share of the new batch in the running statistics, in (0, 1].
        block: channels that are whitened together. The largest divisor of ``in_channels`` up to
            this number is used; all blocks, of neighbouring channels, share one mean and one D.
        sampling_stride: pixels between two patches that statistics are taken of.
    """

    running_mean: Tensor
    running_deconv: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        eps: float = 1e-5,
        n_iter: int = 5,
        momentum: float = 0.1,
        block: int = 64,
        sampling_stride: int = 3,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias
        )
        if eps <= 0 or not 0 < momentum <= 1:
            raise ValueError(f"eps={eps}, momentum={momentum}: above 0, and in (0, 1]")
        if min(n_iter, block, sampling_stride) < 1:
            raise ValueError(
                f"n_iter={n_iter}, block={block}, sampling_stride={sampling_stride}: at least 1"
            )
        self.eps, self.n_iter, self.momentum = eps, n_iter, momentum
        self.block = max(b for b in range(1, min(block, in_channels) + 1) if in_channels % b == 0)
        self.sampling_stride = sampling_stride
        columns = self.block * kernel_size**2
        self.register_buffer("running_mean", torch.zeros(columns))
        self.register_buffer("running_deconv", torch.eye(columns))
        self._kept: tuple[object, Tensor, Tensor] | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Whiten and convolve; see the class."""
        with torch.autocast(input.device.type, enabled=False):
            weight, bias = self._of_batch(input) if self.training else self._of_running()
        return F.conv2d(input, weight.to(input.dtype), bias.to(input.dtype), padding=self.padding)

    def _of_batch(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias with the batch's statistics folded in; the running ones follow."""
        mean, covariance = self._statistics(input.to(_exact(input.dtype)))
        rows = self.weight.to(mean.dtype).reshape(-1, len(mean))
        whitened, deconv = whiten(rows, covariance, self.n_iter)
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            self.running_deconv.lerp_(deconv.to(self.running_deconv), self.momentum)
        return self._shaped(whitened, mean)

    def _statistics(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and covariance of the patches of all blocks, channels slowest."""
        size = len(self.running_mean)
        mean, covariance = _Statistics.apply(input, size, self.kernel_size[0], self.sampling_stride)
        unit = torch.eye(size, dtype=covariance.dtype, device=covariance.device)
        return mean, covariance + self.eps * unit

    def _of_running(self) -> tuple[Tensor, Tensor]:
        """The same with the running statistics; kept until anything that they depend on changes."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.folded()
        parts = [self.weight, self.running_mean, self.running_deconv]
        parts += [] if self.bias is None else [self.bias]
        # A version is counted at each change in place: an optimiser's step, the loading of weights.
        now = [(p.data_ptr(), p._version, p.dtype, p.device) for p in parts]
        if self._kept is None or self._kept[0] != now:
            self._kept = (now, *self.folded())
        return self._kept[1], self._kept[2]

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the ordinary convolution that eval mode computes."""
        exact = _exact(self.weight.dtype)
        mean, deconv = self.running_mean.to(exact), self.running_deconv.to(exact)
        return self._shaped(self.weight.to(exact).reshape(-1, len(mean)) @ deconv, mean)

    def _shaped(self, whitened: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        shift = (whitened @ mean).view(self.out_channels, -1).sum(1)
        bias = -shift if self.bias is None else self.bias - shift
        return whitened.view_as(self.weight), bias

    def train(self, mode: bool = True) -> "Deconvolution":
        """Forget what was kept for eval mode, so that no copy or checkpoint carries it."""
        self._kept = None
        return super().train(mode)


def whiten(rows: Tensor, covariance: Tensor, n_iter: int) -> tuple[Tensor, Tensor]:
    """Multiply by the inverse square root of a covariance, as coupled Newton-Schulz finds it.

    With ``Y = C / |C|`` (Frobenius) and ``Z = I``, each step is ``T = (3 I - Z Y) / 2``,
    ``Y <- Y T``, ``Z <- T Z``; D is ``Z / sqrt(|C|)`` in the end. All of these are polynomials in
    C and commute, so that ``W = Z Y`` can be followed alone, ``W <- W T T``, and D is the product
    of the T. It is multiplied to the few rows factor by factor, which is where gradients flow; D
    itself is needed for its running mean only, without them. That saves half of the arithmetic.

    Args:
        rows: ``(R, K)``.
        covariance: ``(K, K)``, symmetric, positive definite.
        n_iter: steps; at 5 far from converged, at 20 close.

    Returns:
        ``rows @ D`` ``(R, K)``, and D ``(K, K)`` detached.
    """
    if n_iter < 1:
        raise ValueError(f"n_iter={n_iter}: at least 1")
    norm = covariance.norm()
    w = covariance / norm
    deconv: Tensor | None = None
    for step in range(n_iter):
        rows = _Factor.apply(rows, w)
        with torch.no_grad():
            factor = -0.5 * w  # T
            factor.diagonal().add_(1.5)
            deconv = factor if deconv is None else product(deconv, factor)
        if step + 1 < n_iter:
            w = _Step.apply(w)
    root = norm.sqrt()
    assert deconv is not None  # there is at least one step
    return rows / root, deconv / root.detach()


class _Statistics(torch.autograd.Function):
    """Mean and covariance of an input's patches ``(N, C, h, w)``, over all processes.

    The patches are unfolded once, centred in place and kept for the gradient. Centred patches sum
    to zero over the processes, so that the covariance's gradient through the mean vanishes.
    """

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, size: int, side: int, stride: int
    ) -> tuple[Tensor, Tensor]:
        ctx.shape, ctx.folding = input.shape, {"padding": side // 2, "stride": stride}
        ctx.side = side
        # One (size, pixels) for each block of each image.
        patches = F.unfold(input, side, **ctx.folding).unflatten(1, (-1, size)).flatten(0, 1)
        number = patches.new_full((1,), len(patches) * patches.shape[2])
        sums = joint_sum(torch.cat([patches.sum((0, 2)), number]))
        mean, ctx.count = sums[:-1] / sums[-1], sums[-1]
        patches -= mean[:, None]
        ctx.save_for_backward(patches)
        return mean, joint_sum(gram(patches)) / ctx.count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (patches,) = ctx.saved_tensors
        of_mean, of_covariance = (joint_sum(g) / ctx.count for g in gradients)
        of_patches = product(of_covariance + of_covariance.T, patches)
        of_patches += of_mean[:, None]
        columns = of_patches.view(ctx.shape[0], -1, patches.shape[2])
        return F.fold(columns, ctx.shape[2:], ctx.side, **ctx.folding), None, None, None


class _Factor(torch.autograd.Function):
    """``rows (3 I - W) / 2`` of a symmetric W."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(rows, w)
        return 1.5 * rows - product(0.5 * rows, w)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        rows, w = ctx.saved_tensors
        half = 0.5 * gradients[0]
        return 1.5 * gradients[0] - product(half, w), -product(rows.T, half)


class _Step(torch.autograd.Function):
    """``W (3 I - W)^2 / 4`` of a symmetric W, which also changes along symmetric matrices only.

    So the symmetric part of a gradient says everything, and three products do instead of four.
    """

    @staticmethod
    def forward(ctx: Any, w: Tensor) -> Tensor:
        ctx.save_for_backward(w)
        square = product(w, w)
        out = product(w, 0.25 * square)
        return out.add_(w, alpha=2.25).add_(square, alpha=-1.5)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (w,) = ctx.saved_tensors
        g = (gradients[0] + gradients[0].T) / 2
        gw = product(g, w)
        quarter = 0.25 * w
        # Of W W: gW + Wg. Of W W W: gWW + WgW + WWg.
        outer = product(gw, quarter).add_(gw, alpha=-1.5)
        return product(quarter, gw).add_(g, alpha=2.25).add_(outer).add_(outer.T)


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
