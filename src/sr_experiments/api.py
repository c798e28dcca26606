"""The suite from Python, for notebooks and other programs.

Images are uint8 arrays ``(H, W, 3)``, or paths of files. Import it before torch: OpenMP's workers
then do not spin, which makes everything many times slower on cores that other processes use.

>>> from skimage.data import astronaut
>>> from sr_experiments.api import downscale, score, upscale
>>> hr = astronaut()[:128, 128:256]
>>> lr = downscale(hr, 2)
>>> scores = {model: score(upscale(lr, model), hr, 2)["y"].psnr for model in ("bicubic", "ecbsr")}
>>> scores["ecbsr"] - scores["bicubic"] > 1
True
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sr_experiments.config.compose import compose
from sr_experiments.core.device import choose_device
from sr_experiments.imaging import resize
from sr_experiments.imaging.io import read_image
from sr_experiments.metrics.protocols import Score
from sr_experiments.metrics.scoring import score_image
from sr_experiments.runs import run as runs
from sr_experiments.runs.directory import RunDirectory
from sr_experiments.upscale.load_network import load_network
from sr_experiments.upscale.upscaler import Upscaler

__all__ = ["downscale", "load_model", "run", "score", "upscale"]

Image = np.ndarray | str | Path


def load_model(
    model: str | Path | None = None,
    scale: float | Fraction = 2,
    *,
    weights: str = "raw",
    architecture: str | None = None,
    device: str = "auto",
) -> Upscaler:
    """A trained network, ready to enlarge.

    Args:
        model: the name of one that ships (by default the best), ``bicubic``, a run's directory, or
            a file of weights.
        scale: above 1 and at most 8.
        weights: ``raw`` or ``averaged``, of a run's directory.
        architecture: of a file of weights from elsewhere, such as ``edsr:n_feats=256``.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: there is no such network, or it does not do this scale.
    """
    factor = Fraction(scale).limit_denominator(1000)
    name = None if model is None else str(model)
    loaded = load_network(name, factor, weights=weights, architecture=architecture)
    return Upscaler(loaded.network, factor, choose_device(device))


def upscale(
    image: Image, model: Upscaler | str | Path | None = None, scale: float | Fraction = 2
) -> np.ndarray:
    """Enlarge an image, to the values that scoring sees.

    Args:
        image: what to enlarge.
        model: from :func:`load_model`, which then sets the scale, or what it takes.
        scale: above 1 and at most 8.

    Returns:
        uint8 ``(H, W, 3)``.

    Raises:
        UserError: the file or the network cannot be read.
    """
    upscaler = model if isinstance(model, Upscaler) else load_model(model, scale)
    return _array(upscaler.frames(_tensor(image)[None])[0])


def downscale(image: Image, scale: int) -> np.ndarray:
    """MATLAB's bicubic ``imresize`` by ``1/scale``, as the field makes low-resolution images.

    Sides that are no multiple of the scale are cut first.

    Returns:
        uint8 ``(H // scale, W // scale, 3)``.
    """
    return _array(resize.downscale(resize.modcrop(_tensor(image), scale), scale))


def score(sr: Image, hr: Image, scale: int) -> dict[str, Score]:
    """PSNR in dB and SSIM of an image under every protocol, by the protocol's name.

    Args:
        sr: the super-resolved image.
        hr: the ground truth, of the same size.
        scale: the super-resolution factor, which sets the border that is cut.

    Raises:
        UserError: the sizes differ, or the image is too small.
    """
    return score_image(_tensor(sr), _tensor(hr), scale)


def run(*overrides: str) -> RunDirectory:
    """Train and score a network, or find that it already was: ``run("model=rcan", "scale=4")``.

    Args:
        overrides: as on the command line of ``python -m sr_experiments``.

    Returns:
        The run's directory; ``.result()`` has the scores, ``.weights`` the trained network.

    Raises:
        UserError: a mistake in the overrides, missing images, or a training that failed.
    """
    config = compose(overrides)
    path = runs.run(config).directory
    status = RunDirectory(path, "").status()
    return RunDirectory(path, status.identity if status else "")


def _tensor(image: Image) -> Tensor:
    values = image if isinstance(image, np.ndarray) else read_image(image)
    if values.dtype != np.uint8 or values.ndim != 3 or values.shape[2] != 3:
        raise TypeError(f"an image is uint8 (H, W, 3), not {values.dtype} {values.shape}")
    return torch.from_numpy(np.ascontiguousarray(values)).permute(2, 0, 1)


def _array(image: Tensor) -> np.ndarray:
    return np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
