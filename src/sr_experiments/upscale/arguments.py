"""What the command lines of ``upscale`` and ``speed`` share; imports neither torch nor NumPy."""

from argparse import ArgumentParser
from typing import Literal

from sr_experiments.core.cli import fraction

MAX_SCALE = 8
#: What computes a network: PyTorch, ONNX Runtime, or the latter where it is clearly faster.
Engine = Literal["torch", "onnx", "auto"]
ENGINES: tuple[Engine, ...] = ("torch", "onnx", "auto")
#: The type of ``--scale``.
scale = fraction(1, MAX_SCALE, above=True)


def add_device(parser: ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where the network computes; by default (auto) on the GPU if there is one",
    )


def device_name(device: str, engine: Engine) -> str:
    """The device to choose: ``auto`` is the CPU for ONNX Runtime, which is used on no other."""
    return "cpu" if device == "auto" and engine == "onnx" else device
