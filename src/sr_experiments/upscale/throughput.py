"""Frames per second of a network, measured on the machine that it runs on.

Measured is what :meth:`Upscaler.frames` does, from RGB to RGB. Decoding and encoding a video run
beside it and take their own share of the processor.
"""

import platform
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from sr_experiments.upscale.onnx_network import fingerprint
from sr_experiments.upscale.upscaler import Upscaler

#: Sides of the pictures that a slow network is first tried on.
_STEPS = ((16, 16), (48, 48), (144, 144))
_known: dict[tuple[object, ...], "Figure"] = {}


@dataclass(frozen=True)
class Figure:
    """How fast an upscaler is.

    Attributes:
        per_second: frames in a second.
        height: of a frame, in pixels of the input.
        width: likewise.
        estimated: concluded from smaller pictures, because one frame takes too long.
    """

    per_second: float
    height: int
    width: int
    estimated: bool = False

    def __str__(self) -> str:
        about = "about " if self.estimated else ""
        return f"{about}{self.per_second:.3g} frames/s at {self.width}x{self.height}"


def measured(upscaler: Upscaler, height: int, width: int, seconds: float) -> Figure:
    """The median over as many frames as ``seconds`` allow, at least one.

    A batch is as large as ``upscaler.together`` says. The first one warms up and is not counted,
    unless it takes all the time.
    """
    count = upscaler.together(height, width)
    frames = _noise(count, height, width)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        begin = time.perf_counter()
        upscaler.frames(frames)
        times.append(time.perf_counter() - begin)
    counted = times[1:] or times
    return Figure(count / statistics.median(counted), height, width)


def quick(upscaler: Upscaler, height: int = 360, width: int = 640, seconds: float = 2.0) -> Figure:
    """A figure in about ``seconds`` at most, whatever the network; measured once in a process.

    Images grow until a frame is affordable. If it never is, the last one's time per pixel is
    taken for the frame's.
    """
    key = (
        *(fingerprint(upscaler.network), upscaler.scale, upscaler.engine, upscaler.device),
        *(upscaler.self_ensemble, upscaler.denoise > 0, upscaler.sharpen > 0, upscaler.batch),
        *(height, width, torch.get_num_threads()),
    )
    if key not in _known:
        _known[key] = _quick(upscaler, height, width, seconds)
    return _known[key]


def _quick(upscaler: Upscaler, height: int, width: int, seconds: float) -> Figure:
    begin = time.perf_counter()
    rate = 0.0  # pixels a second
    for rows, columns in _smaller(height, width):
        if rate:
            left = seconds - (time.perf_counter() - begin)
            if rows * columns / rate > left / 2:
                return Figure(rate / (height * width), height, width, estimated=True)
        last = (rows, columns) == (height, width)
        spent = time.perf_counter() - begin
        figure = measured(upscaler, rows, columns, (seconds - spent) / 2 if last else 0.0)
        rate = figure.per_second * rows * columns
    return figure


def _smaller(height: int, width: int) -> Iterator[tuple[int, int]]:
    yield from ((h, w) for h, w in _STEPS if h * w < height * width)
    yield height, width


def _noise(count: int, height: int, width: int) -> torch.Tensor:
    made = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=made)


def machine(device: torch.device) -> str:
    """The processor that works, in words: ``2 threads of an AMD EPYC``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                name = value.strip()
                break
    except OSError:  # not Linux
        pass
    count = torch.get_num_threads()
    return f"{count} thread{'s' if count > 1 else ''} on {name}"
