"""Uncompressed audio of several channels, decoded without PyAV.

PyAV 18 frees the channel map that a QuickTime file gives twice, and the process crashes, as soon as
such a stream is decoded or the number of its channels is asked for.
"""

import re
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

_LAYOUTS = {3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_NAME = re.compile(r"pcm_([suf])(8|16|24|32|64)(le|be)?")


def channels_of(stream: Any) -> int:
    """The number of channels of a stream of audio."""
    context = stream.codec_context
    match = _NAME.fullmatch(context.name)
    if match is not None and context.bit_rate and context.sample_rate:
        return int(context.bit_rate // (context.sample_rate * int(match[2])))
    return int(context.channels)


def is_wide_pcm(stream: Any) -> bool:
    """Whether a stream is uncompressed audio of 3 to 8 channels."""
    return (
        _NAME.fullmatch(stream.codec_context.name) is not None and channels_of(stream) in _LAYOUTS
    )


def pcm_frames(stream: Any, packet: Any) -> list[av.AudioFrame]:
    """A packet of a stream for which :func:`is_wide_pcm` holds, in floating point.

    Its channels are taken in FFmpeg's order; a flush (None) and an empty packet give no frame.
    """
    if packet is None or not packet.size:
        return []
    channels = channels_of(stream)
    samples = _samples(bytes(packet), stream.codec_context.name, channels)
    frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout=_LAYOUTS[channels])
    frame.sample_rate = stream.codec_context.sample_rate
    frame.pts, frame.time_base = packet.pts, packet.time_base
    return [frame]


def _samples(content: bytes, name: str, channels: int) -> NDArray[np.float32]:
    """Whole samples of all channels, interleaved, in [-1, 1]."""
    match = _NAME.fullmatch(name)
    assert match is not None
    kind, bits, order = match[1], int(match[2]), ">" if match[3] == "be" else "<"
    data = np.frombuffer(content, np.uint8)
    data = data[: len(data) - len(data) % (channels * bits // 8)]
    if bits == 24:  # the high bytes of 32
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, slice(0, 3) if order == ">" else slice(1, 4)] = data.reshape(-1, 3)
        data, bits = wide.reshape(-1), 32
    letter = {"s": "i", "u": "u", "f": "f"}[kind]
    values = data.view(np.dtype(f"{order}{letter}{bits // 8}")).astype(np.float64)
    if kind != "f":
        values = (values - (2.0 ** (bits - 1) if kind == "u" else 0)) / 2.0 ** (bits - 1)
    return values.astype(np.float32)
