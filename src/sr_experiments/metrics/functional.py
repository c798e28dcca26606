"""PSNR and SSIM as pure functions of batches, in float64 unless told otherwise.

torchmetrics' SSIM differs from the field's by up to 8e-4 and its PSNR pools the error of a batch,
so both are written out here; ``protocols`` says on which planes they are taken.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from sr_experiments.metrics.protocols import WINDOW_SIZE, Window

WINDOW_SIGMA = 1.5
K1, K2 = 0.01, 0.03


def psnr(a: Tensor, b: Tensor, peak: float = 255.0) -> Tensor:
    """Peak signal-to-noise ratio of each image of a batch.

    Args:
        a: ``(N, C, H, W)``, any dtype, in [0, ``peak``].
        b: same shape and range.
        peak: the largest value a pixel can have.

    Returns:
        float64 ``(N,)`` in dB, over C, H and W; infinite where the two images are equal.

    Raises:
        ValueError: the shapes differ or are not four-dimensional.
    """
    _same_batches(a, b)
    if a.device.type != "cpu":
        error = (a.double() - b).square().mean(dim=(1, 2, 3))
    else:  # plane by plane, which stays in the cache
        planes = zip(a.flatten(0, 1), b.flatten(0, 1), strict=True)
        differences = [(p.double() - q).flatten() for p, q in planes]
        sums = torch.stack([torch.dot(d, d) for d in differences])
        error = sums.unflatten(0, a.shape[:2]).sum(1) / a[0].numel()
    return 10 * torch.log10(peak**2 / error)


def mean_error(a: Tensor, b: Tensor) -> Tensor:
    """Signed mean of a - b over C, H and W of each image: how much too bright ``a`` is.

    Args:
        a: ``(N, C, H, W)``, any dtype.
        b: same shape.

    Returns:
        float64 ``(N,)``, in the unit of the images.
    """
    first, second = (x.mean(dim=(1, 2, 3), dtype=torch.float64) for x in (a, b))
    return first - second


def ssim(
    a: Tensor,
    b: Tensor,
    *,
    peak: float = 255.0,
    window: Window = "valid",
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Structural similarity of each image: the mean of :func:`ssim_map` over C, H and W.

    Args:
        a: ``(N, C, H, W)``, any dtype, in [0, ``peak``].
        b: same shape and range.
        peak: the largest value a pixel can have.
        window: see :func:`ssim_map`.
        dtype: see :func:`ssim_map`.

    Returns:
        float64 ``(N,)``, at most 1.

    Raises:
        ValueError: see :func:`ssim_map`.
    """
    values = ssim_map(a, b, peak=peak, window=window, dtype=dtype)
    return values.mean(dim=(1, 2, 3), dtype=torch.float64)


def ssim_map(
    a: Tensor,
    b: Tensor,
    *,
    peak: float = 255.0,
    window: Window = "valid",
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Local structural similarity, each channel on its own.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment", 2004, equation 13, with their
    11x11 Gaussian window of sigma 1.5 and K = (0.01, 0.03); the statistics are those of the
    window, without the sample correction n / (n - 1).

    Args:
        a: ``(N, C, H, W)``, any dtype, in [0, ``peak``].
        b: same shape and range.
        peak: the largest value a pixel can have.
        window: ``valid`` keeps the windows that lie inside the image (Wang's ``ssim_index.m``);
            ``replicate`` repeats the border by five pixels and keeps every window (MATLAB's
            ``ssim``). The inner part of the second is the first.
        dtype: of the arithmetic. float32 is off by up to 1e-4 where the image is flat, because
            variances are differences of large squares.

    Returns:
        ``(N, C, H - 10, W - 10)`` for ``valid``, ``(N, C, H, W)`` for ``replicate``.

    Raises:
        ValueError: the shapes differ, or an image is smaller than the window.
    """
    _same_batches(a, b)
    if a.device.type != "cpu" or window == "replicate":
        a, b = a.to(dtype), b.to(dtype)
    if window == "replicate":
        border = (WINDOW_SIZE // 2,) * 4
        a, b = F.pad(a, border, mode="replicate"), F.pad(b, border, mode="replicate")
    elif min(a.shape[-2:]) < WINDOW_SIZE:
        height, width = a.shape[-2:]
        raise ValueError(f"a {height}x{width} image holds no {WINDOW_SIZE}x{WINDOW_SIZE} window")
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    if a.device.type != "cpu":
        return _similarity(_blur(a), _blur(b), _blur(a * b), _blur(a * a + b * b), c1, c2)
    strips = _Strips(a.shape[-2], a.shape[-1], dtype)
    maps = torch.empty(*a.shape[:2], strips.height, strips.width, dtype=dtype)
    planes = (batch.flatten(0, 1) for batch in (a, b, maps))
    for plane_a, plane_b, out in zip(*planes, strict=True):
        strips(plane_a, plane_b, c1, c2, out)
    return maps


def _same_batches(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.ndim != 4:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise ValueError(f"two batches (N, C, H, W) of one shape are needed, not {shapes}")


def _similarity(
    mean_a: Tensor, mean_b: Tensor, product: Tensor, squares: Tensor, c1: float, c2: float
) -> Tensor:
    """SSIM from the windows' means of a, b, a b and a^2 + b^2, all of which are overwritten.

    Only the sum of the two variances enters the formula, so four moments do instead of five.
    """
    mean_product = mean_a * mean_b
    mean_squares = mean_a.square_().addcmul_(mean_b, mean_b)
    numerator = product.sub_(mean_product).mul_(2).add_(c2).mul_(mean_product.mul_(2).add_(c1))
    denominator = squares.sub_(mean_squares).add_(c2).mul_(mean_squares.add_(c1))
    return numerator.div_(denominator)


def _blur(planes: Tensor) -> Tensor:
    """Gaussian means of ``(..., H, W)`` as sums of shifted slices: ten values less a side."""
    weights = _taps()
    for axis in (-1, -2):
        length = planes.shape[axis] - WINDOW_SIZE + 1
        total = planes.narrow(axis, 0, length) * weights[0]
        for shift in range(1, WINDOW_SIZE):
            total = total.add_(planes.narrow(axis, shift, length), alpha=weights[shift])
        planes = total
    return planes


class _Strips:
    """The SSIM of planes of one size on a processor.

    A plane is worked through in strips that stay in the cache, in memory that is taken once. The
    Gaussian means of a block of values are a product with a banded matrix, which a processor does
    in two thirds of the time of eleven shifted sums (torch's float64 convolution takes twenty
    times as long). The blocks of a plane overlap, and a view with strides says so without a copy.
    """

    _DOWN, _ACROSS, _ROWS = 8, 12, 96  # sides of the blocks, rows of a strip: the fastest found

    def __init__(self, height: int, width: int, dtype: torch.dtype) -> None:
        reach = WINDOW_SIZE - 1
        self.height, self.width = height - reach, width - reach  # of the map
        strips = -(-self.height // self._ROWS)
        down = -(-self.height // (strips * self._DOWN))
        self.rows, self.across = down * self._DOWN, -(-self.width // self._ACROSS)
        # The four moments stand side by side, with a block between them that nobody reads. Zero,
        # so that what lies beyond a plane is finite.
        padded = (self.across + 1) * self._ACROSS
        moments = torch.zeros(self.rows + reach, 4, padded, dtype=dtype)
        middle = torch.empty(down, self._DOWN, 4 * padded, dtype=dtype)
        blocks = 4 * (self.across + 1) - 1
        self.moments = moments[:, :, : self.width + reach].unbind(1)
        self.means = torch.empty(blocks, self.rows, self._ACROSS, dtype=dtype)
        line = 4 * padded
        self._down = (
            _band(self._DOWN, dtype).expand(down, -1, -1),
            moments.as_strided((down, self._DOWN + reach, line), (self._DOWN * line, line, 1)),
            middle,
        )
        self._along = (
            middle.as_strided((blocks, self.rows, self._ACROSS + reach), (self._ACROSS, line, 1)),
            _band(self._ACROSS, dtype).t().expand(blocks, -1, -1),
            self.means,
        )

    def __call__(self, a: Tensor, b: Tensor, c1: float, c2: float, out: Tensor) -> None:
        """Write the map of two planes ``(H, W)`` into ``out``, ``(H - 10, W - 10)``."""
        for top in range(0, self.height, self.rows):
            count = min(self.rows, self.height - top)
            used = slice(top, top + count + WINDOW_SIZE - 1)
            first, second, product, squares = (m[: count + WINDOW_SIZE - 1] for m in self.moments)
            first.copy_(a[used])
            second.copy_(b[used])
            torch.mul(first, second, out=product)
            torch.mul(first, first, out=squares).addcmul_(second, second)
            for left, right, result in (self._down, self._along):
                torch.bmm(left, right, out=result)
            mean_a, mean_b, mean_product, mean_squares = (
                self.means[i * (self.across + 1) :][: self.across] for i in range(4)
            )
            blocks = _similarity(mean_a, mean_b, mean_product, mean_squares, c1, c2)
            lines = blocks.transpose(0, 1).reshape(self.rows, -1)
            out[top : top + count] = lines[:count, : self.width]


def _band(size: int, dtype: torch.dtype) -> Tensor:
    """``(size, size + 10)``: line i holds the Gaussian from column i on."""
    band = torch.zeros(size, size + WINDOW_SIZE - 1, dtype=dtype)
    for line in range(size):
        band[line, line : line + WINDOW_SIZE] = torch.tensor(_taps(), dtype=dtype)
    return band


@lru_cache(maxsize=1)
def _taps() -> tuple[float, ...]:
    """The normalised one-dimensional Gaussian."""
    position = torch.arange(WINDOW_SIZE, dtype=torch.float64) - WINDOW_SIZE // 2
    weights = torch.exp(-(position**2) / (2 * WINDOW_SIGMA**2))
    return tuple((weights / weights.sum()).tolist())
