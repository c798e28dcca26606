"""Frames per second that an upscaler reaches on this machine.

What is measured is :meth:`Upscaler.frames`, from RGB to RGB. Decoding and encoding a video run
beside it and take their own share of the processor.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from sr_experiments.core.device import processor
from sr_experiments.upscale.upscaler import Upscaler

#: Height and width of the frames that a slow network is tried on first.
_STEPS = ((16, 16), (48, 48), (144, 144))


@dataclass(frozen=True)
class Speed:
    """How fast an upscaler is at one size of frame.

    Attributes:
        per_second: frames per second.
        height: of a frame, in pixels of the input.
        width: of a frame, in pixels of the input.
        estimated: extrapolated from smaller frames, because one frame takes too long.
    """

    per_second: float
    height: int
    width: int
    estimated: bool = False


def measured(upscaler: Upscaler, height: int, width: int, seconds: float) -> Speed:
    """The median over as many frames as ``seconds`` allow, at least one.

    A batch is as large as ``upscaler.together`` says. The first one warms up and is not counted,
    unless there is no time for a second.
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
    return Speed(count / statistics.median(counted), height, width)


def quick(upscaler: Upscaler, height: int = 360, width: int = 640, seconds: float = 2.0) -> Speed:
    """Measure, or estimate, the speed in ``seconds`` at most.

    Frames grow up to the requested size. If that would take too long, the time per pixel of the
    largest measured one is used.
    """
    begin = time.perf_counter()
    rate = 0.0  # pixels per second
    for rows, columns in _smaller(height, width):
        if rate:
            left = seconds - (time.perf_counter() - begin)
            if rows * columns / rate > left / 2:
                return Speed(rate / (height * width), height, width, estimated=True)
        last = (rows, columns) == (height, width)
        spent = time.perf_counter() - begin
        speed = measured(upscaler, rows, columns, (seconds - spent) / 2 if last else 0.0)
        rate = speed.per_second * rows * columns
    return speed


def _smaller(height: int, width: int) -> Iterator[tuple[int, int]]:
    yield from ((h, w) for h, w in _STEPS if h * w < height * width)
    yield height, width


def _noise(count: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def machine(device: torch.device) -> str:
    """The processor, such as ``2 threads on AMD EPYC 7763`` or the name of a GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    count = torch.get_num_threads()
    return f"{count} thread{'s' if count > 1 else ''} on {processor()}"
