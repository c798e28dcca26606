"""Words of the command line that several doors understand."""

from fractions import Fraction

import torch

from sr_experiments.core.errors import UserError
from sr_experiments.upscale.upscaler import MAX_SCALE


def scale_of(text: str) -> Fraction:
    """A factor, such as 2 or 1.5.

    Raises:
        UserError: no number above 1 and at most :data:`MAX_SCALE`.
    """
    try:
        scale = Fraction(text)
    except (ValueError, ZeroDivisionError):
        scale = Fraction(0)
    if not 1 < scale <= MAX_SCALE:
        raise UserError(f"--scale {text}: a factor above 1 and at most {MAX_SCALE}")
    return scale


def device_of(name: str, engine: str = "torch") -> torch.device:
    """The device that ``auto``, ``cpu`` or ``cuda`` means; ONNX Runtime works on the CPU.

    Raises:
        UserError: a GPU is asked for, and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() and engine != "onnx" else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here; leave it out")
    return torch.device(name)
