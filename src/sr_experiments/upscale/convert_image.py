"""Enlarging an image file into another."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sr_experiments.core.errors import Message
from sr_experiments.imaging.colour import LUMA_OFFSET, LUMA_WEIGHTS, luma
from sr_experiments.imaging.resize import imresize
from sr_experiments.upscale.image_file import Frame, ImageContent, read_image_file, write_image_file
from sr_experiments.upscale.upscaler import Progress, Upscaler


def enlarge_file(
    source: Path,
    target: Path,
    upscaler: Upscaler,
    *,
    max_pixels: int | None = None,
    progress: Progress = lambda pixels: None,
) -> list[Message]:
    """Read an image or animation, enlarge it and write it.

    Args:
        source: the image.
        target: its suffix names the format.
        upscaler: enlarges the frames.
        max_pixels: refuse more pixels in all frames; by default Pillow's limit.
        progress: called with the number of input pixels that were processed.

    Returns:
        Notes on what is missing in the result.

    Raises:
        UserError: the image cannot be read, enlarged or written.
    """
    content = read_image_file(source, max_pixels)
    for frame in content.frames:
        extend_colour(frame)
    frames = _enlarge_frames(content.frames, upscaler, progress)
    return write_image_file(target, ImageContent(frames, content.metadata, content.notes))


def extend_colour(frame: Frame) -> None:
    """Give fully transparent pixels the colour of visible ones near them.

    What a program left there, often black or green, would bleed into the edges of what is visible.
    Averages of visible pixels on grids of half, a quarter, ... the size fill what is missing.
    """
    if frame.alpha is None or frame.alpha.all() or not frame.alpha.any():
        return
    colour = torch.from_numpy(frame.colour.astype(np.float32)).permute(2, 0, 1)[None]
    weight = torch.from_numpy((frame.alpha > 0).astype(np.float32))[None, None]
    filled = _filled(colour * weight, weight)[0].permute(1, 2, 0).add(0.5).floor()
    hidden = frame.alpha == 0
    frame.colour[hidden] = filled.numpy().astype(frame.colour.dtype)[hidden]


def _filled(total: Tensor, weight: Tensor) -> Tensor:
    """``total / weight``, ``(1, C, H, W)``, and where that is 0 / 0, of a grid of half the size."""
    mean = total / weight.clamp(min=1e-6)
    if not (weight == 0).any():
        return mean
    half = _filled(
        F.avg_pool2d(total, 2, ceil_mode=True, count_include_pad=False),
        F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False),
    )
    return torch.where(weight > 0, mean, F.interpolate(half, size=mean.shape[-2:]))


def _enlarge_frames(frames: list[Frame], upscaler: Upscaler, progress: Progress) -> list[Frame]:
    colour = [f.colour for f in frames if f.colour.dtype == np.uint8 and f.colour.shape[2] == 3]
    if not len(frames) == len(colour) > 1:
        return [enlarge(frame, upscaler, progress) for frame in frames]
    # Frames of an animation may be enlarged several at a time.
    large = upscaler.frames(torch.from_numpy(np.stack(colour)).permute(0, 3, 1, 2), progress)
    enlarged = large.permute(0, 2, 3, 1).contiguous().numpy()
    return [
        Frame(rgb, _alpha(frame, upscaler), frame.duration, frame.disposal)
        for rgb, frame in zip(enlarged, frames, strict=True)
    ]


def enlarge(frame: Frame, upscaler: Upscaler, progress: Progress = lambda pixels: None) -> Frame:
    """Enlarge colour by the network and alpha by MATLAB's bicubic.

    8-bit colour is the result of :meth:`Upscaler.frames`. 16-bit values are scaled to the network's
    range without rounding. Grey stays grey: the luma of the result.
    """
    deep = frame.colour.dtype == np.uint16
    grey = frame.colour.shape[2] == 1
    height, width = frame.colour.shape[:2]
    colour = torch.from_numpy(frame.colour.astype(np.float64) / 257 if deep else frame.colour)
    planes = colour.permute(2, 0, 1).expand(3, height, width)
    if deep or grey:
        values = upscaler.values(planes, progress)
        if grey:
            values = (luma(values) - LUMA_OFFSET) * (255.0 / sum(LUMA_WEIGHTS))
        large = _rounded(values, deep)
    else:
        large = upscaler.frames(planes[None], progress)[0].permute(1, 2, 0).numpy()
    alpha = _alpha(frame, upscaler)
    return Frame(np.ascontiguousarray(large), alpha, frame.duration, frame.disposal)


def _alpha(frame: Frame, upscaler: Upscaler) -> np.ndarray | None:
    if frame.alpha is None:
        return None
    deep = frame.alpha.dtype == np.uint16
    plane = torch.from_numpy(frame.alpha.astype(np.float64) / (257 if deep else 1))
    return _rounded(imresize(plane, size=upscaler.size(*plane.shape))[None], deep)[..., 0]


def _rounded(values: Tensor, deep: bool) -> np.ndarray:
    """``(C, H, W)`` in [0, 255] -> uint8, or uint16 of full range, ``(H, W, C)``."""
    steps = 257 if deep else 1
    whole = values.mul(steps).clamp(0, 255 * steps).add(0.5).floor()
    return whole.permute(1, 2, 0).numpy().astype(np.uint16 if deep else np.uint8)
