"""Frames of a video to RGB and back, by their matrix, range and chroma siting.

Not left to swscale, which rounds chroma and guesses where its samples lie.
Equations: ITU-T H.273 (2021), section 8.3; siting: H.264, figure E-1.
"""

import re
from dataclasses import dataclass

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from sr_experiments.core.errors import UserError

Array = NDArray[np.float32]

#: H.273's numbers of a matrix -> red's and blue's share of luma.
SHARES = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
RGB, BT709, UNKNOWN, BT601 = 0, 1, 2, 6
LIMITED, FULL = 1, 2
#: Planar formats whose planes are read as they are.
_PLANAR = re.compile(r"(yuvj?a?4\d\dp|gray)(\d+le)?")
#: Codecs that put chroma in the middle of its luma samples, as JPEG and MPEG-1 do.
_CENTRED = {"mjpeg", "mpeg1video"}


@dataclass(frozen=True)
class Colour:
    """How the values of a frame encode colour.

    Attributes:
        matrix: H.273's number, one of :data:`SHARES`.
        full: luma ranges from 0 to 255, not from 16 to 235.
        primaries: H.273's number, passed through.
        transfer: H.273's number, passed through.
        centred: chroma lies in the middle of its luma samples, not in the column of the left one.
    """

    matrix: int
    full: bool
    primaries: int
    transfer: int
    centred: bool = False


def colour_of(frame: VideoFrame, codec: str = "") -> Colour:
    """The colour of a frame; where it is not tagged, what players assume.

    That is BT.709 from 720 rows on and for RGB, BT.601 below.

    Raises:
        UserError: the matrix is not one of :data:`SHARES`.
    """
    name, matrix = frame.format.name, int(frame.colorspace)
    if matrix in (RGB, UNKNOWN):
        matrix = BT709 if frame.height >= 720 or frame.format.is_rgb else BT601
    if matrix not in SHARES:
        raise UserError(
            "colour-matrix-unknown",
            "its colours have the matrix {matrix} of H.273, which is not supported; convert the "
            "video to BT.709",
            matrix=matrix,
        )
    tagged = int(frame.color_range)
    full = tagged == FULL or name.startswith("yuvj") or (name.startswith("gray") and tagged == 0)
    return Colour(matrix, full, int(frame.color_primaries), int(frame.color_trc), codec in _CENTRED)


def to_rgb(frame: VideoFrame, colour: Colour) -> NDArray[np.uint8]:
    """Decode a frame's colours.

    Args:
        frame: of any pixel format; more than 8 bits are rounded to 8, alpha is dropped.
        colour: see :func:`colour_of`.

    Returns:
        uint8 ``(3, H, W)``.
    """
    if frame.format.is_rgb or frame.format.name == "pal8":
        packed = _plane(frame.reformat(format="rgb24"), 0, 3)
        return np.ascontiguousarray(packed.reshape(frame.height, frame.width, 3).transpose(2, 0, 1))
    if not _PLANAR.fullmatch(frame.format.name):
        # Only the layout changes, neither colours nor range.
        deep = max(component.bits for component in frame.format.components) > 8
        frame = frame.reformat(format="yuv444p16le" if deep else "yuv444p")
    depth = frame.format.components[0].bits
    unit = float(1 << (depth - 8))
    peak = float((1 << depth) - 1)
    luma = _plane(frame, 0).astype(np.float32)
    luma = luma * (255 / peak) if colour.full else (luma - 16 * unit) * (255 / (219 * unit))
    if frame.format.name.startswith("gray"):
        return np.broadcast_to(_rounded(luma), (3, *luma.shape)).copy()
    gain = 255 / peak if colour.full else 255 / (224 * unit)
    cb, cr = (
        _enlarged((_plane(frame, i).astype(np.float32) - 128 * unit) * gain, luma.shape, colour)
        for i in (1, 2)
    )
    red, blue = SHARES[colour.matrix]
    green = 1 - red - blue
    result = np.empty((3, *luma.shape), np.uint8)
    result[0] = _rounded(luma + cr * (2 - 2 * red))
    result[1] = _rounded(
        luma - cb * (2 * blue * (1 - blue) / green) - cr * (2 * red * (1 - red) / green)
    )
    result[2] = _rounded(luma + cb * (2 - 2 * blue))
    return result


def from_rgb(rgb: NDArray[np.uint8], colour: Colour, *, lossless: bool = False) -> VideoFrame:
    """Encode colours as a frame.

    Args:
        rgb: uint8 ``(3, H, W)``.
        colour: of the result.
        lossless: keep RGB (``bgr0``); else the result is ``yuv420p``.

    Returns:
        A frame with tagged colours, without a time.
    """
    height, width = rgb.shape[1:]
    frame = VideoFrame(width, height, "bgr0" if lossless else "yuv420p")
    if lossless:
        frame.colorspace, frame.color_range = RGB, FULL
        target = _plane(frame, 0, 4).reshape(height, width, 4)
        target[..., :3] = rgb[::-1].transpose(1, 2, 0)
        target[..., 3] = 0
        return frame
    frame.colorspace, frame.color_range = colour.matrix, FULL if colour.full else LIMITED
    red, blue = SHARES[colour.matrix]
    r, g, b = (plane.astype(np.float32) for plane in rgb)
    luma = r * red + g * (1 - red - blue) + b * blue
    gain = 1.0 if colour.full else 224 / 255
    small = _halved(luma, colour)
    for index, plane, share in ((1, b, blue), (2, r, red)):
        chroma = (_halved(plane, colour) - small) * (gain / (2 - 2 * share)) + 128
        _plane(frame, index)[:] = _rounded(chroma)
    _plane(frame, 0)[:] = _rounded(luma if colour.full else luma * (219 / 255) + 16)
    return frame


def _plane(frame: VideoFrame, index: int, channels: int = 1) -> NDArray[np.uint8]:
    """A writable view of a plane, ``(H, W * channels)``, without its padding."""
    plane = frame.planes[index]
    deep = frame.format.components[0].bits > 8
    line = abs(plane.line_size)
    rows = np.frombuffer(memoryview(plane), np.uint8)[: line * plane.height].reshape(
        plane.height, line
    )
    if plane.line_size < 0:  # stored from the bottom
        rows = rows[::-1]
    if deep:
        return rows.view("<u2")[:, : plane.width * channels]
    return rows[:, : plane.width * channels]


def _enlarged(chroma: Array, shape: tuple[int, ...], colour: Colour) -> Array:
    """Chroma at each luma sample, by linear interpolation."""
    for axis in (0, 1):
        size, large = chroma.shape[axis], shape[axis]
        step = -(-large // size)
        if step == 1:
            continue
        middle = (step - 1) / 2 if axis == 0 or colour.centred else 0.0
        place = ((np.arange(large) - middle) / step).clip(0, size - 1)
        low = np.floor(place).astype(np.intp)
        high = np.minimum(low + 1, size - 1)
        weight = (place - low).astype(np.float32)
        weight = weight[:, None] if axis == 0 else weight
        chroma = chroma.take(low, axis) * (1 - weight) + chroma.take(high, axis) * weight
    return chroma


def _halved(plane: Array, colour: Colour) -> Array:
    """``(H, W)`` -> ``(ceil(H/2), ceil(W/2))``, centred between rows, and in columns as sited."""
    height, width = plane.shape
    plane = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    half, quarter = np.float32(0.5), np.float32(0.25)
    rows: Array = (plane[::2] + plane[1::2]) * half
    even, odd = rows[:, ::2], rows[:, 1::2]
    if colour.centred:
        return (even + odd) * half
    before = np.concatenate([even[:, :1], odd[:, :-1]], axis=1)  # the edge repeats
    return even * half + (before + odd) * quarter


def _rounded(values: Array) -> NDArray[np.uint8]:
    return np.floor(values + 0.5).clip(0, 255).astype(np.uint8)
