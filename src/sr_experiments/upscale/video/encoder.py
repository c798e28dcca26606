"""Frames to packets: which encoder, with what settings, and in what size."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import torch
from av import VideoFrame
from numpy import uint8
from numpy.typing import NDArray

from sr_experiments.core.errors import Message
from sr_experiments.imaging.colour import round_to_uint8
from sr_experiments.imaging.resize import imresize
from sr_experiments.upscale.video.frame_colour import from_rgb
from sr_experiments.upscale.video.source import Piece, VideoSource

_ENCODERS = {".mp4": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
_CRF = {"libx264": 18, "libvpx-vp9": 28}
#: FFmpeg's flags: an encoder passes the frames' durations on; its header goes into the container's.
_FRAME_DURATION, _GLOBAL_HEADER = 1 << 8, 1 << 22


class FrameEncoder:
    """How the frames of a result are encoded.

    Args:
        suffix: .mp4, .mkv or .webm.
        source: whose times, colours and shape of pixels are taken over.
        size: height and width of the enlarged frames.
        crf: constant quality; None for 18 (H.264) or 28 (VP9).
        lossless: FFV1 in RGB.

    Attributes:
        codec: FFmpeg's name of the encoder.
        height: of the frames as they are encoded.
        width: likewise.
        notes: why they are not ``size``, in words.
    """

    def __init__(
        self,
        suffix: str,
        source: VideoSource,
        size: tuple[int, int],
        *,
        crf: int | None = None,
        lossless: bool = False,
    ) -> None:
        self.codec = "ffv1" if lossless else _ENCODERS[suffix]
        self.source, self.crf, self.lossless = source, crf, lossless
        self.height, self.width = size
        self.notes: list[Message] = []
        stored = source.stream.format
        if stored is not None and stored.components[0].bits > 8:
            self.notes.append(
                Message(
                    "note-video-depth-reduced",
                    "{bits} bits a channel became 8",
                    {"bits": stored.components[0].bits},
                )
            )
        # H.264 stores 4:2:0 in whole pairs of rows and columns.
        if self.codec == "libx264" and (self.height % 2 or self.width % 2):
            self.height, self.width = self.height // 2 * 2, self.width // 2 * 2
            self.notes.append(
                Message(
                    "note-sides-made-even",
                    "H.264 needs even sides, and {before} became {after}",
                    {"before": f"{size[1]}x{size[0]}", "after": f"{self.width}x{self.height}"},
                )
            )
        self.shape = source.stream.sample_aspect_ratio or Fraction(1)
        if self.codec == "libvpx-vp9" and self.shape != 1:
            # VP9 has no word for it, and PyAV none for the container's.
            self.width = max(1, round(self.width * self.shape))
            self.shape = Fraction(1)
            self.notes.append(
                Message(
                    "note-pixels-made-square",
                    "its pixels were made square, {before} became {after}",
                    {"before": f"{size[1]}x{size[0]}", "after": f"{self.width}x{self.height}"},
                )
            )

    def opened(self) -> Any:
        """An encoder of its own, whose packets go to a container later."""
        context: Any = av.CodecContext.create(self.codec, "w")
        context.framerate, context.time_base = self.source.rate, self.source.time_base
        self.set_up(context)
        context.flags |= _GLOBAL_HEADER
        context.open()
        return context

    def set_up(self, context: Any) -> None:
        """Give an encoder its settings; the first frame must have been read."""
        colour, codec = self.source.colour, self.codec
        assert colour is not None  # the reader sets it before it gives a frame
        context.width, context.height = self.width, self.height
        context.pix_fmt = "bgr0" if self.lossless else "yuv420p"
        context.sample_aspect_ratio = self.shape
        context.flags |= _FRAME_DURATION
        if codec == "ffv1":
            context.options = {"level": "3", "slices": "4", "slicecrc": "1"}
            context.gop_size = 1  # each frame by itself, so that any can be sought
        else:
            context.options = {"crf": str(_CRF[codec] if self.crf is None else self.crf)}
        if codec == "libvpx-vp9":
            context.options |= {"deadline": "good", "cpu-used": "4", "row-mt": "1"}
            if self.crf == 0:
                context.options |= {"lossless": "1"}
        context.thread_count = 0
        if self.lossless:
            context.colorspace, context.color_range = 0, 2
        else:
            context.colorspace, context.color_range = colour.matrix, 2 if colour.full else 1
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer

    def frame(self, piece: Piece, large: NDArray[uint8]) -> VideoFrame:
        """An enlarged frame, uint8 ``(3, H, W)``, in the encoder's colours and with its time."""
        colour = self.source.colour
        assert colour is not None  # the reader sets it before it gives a frame
        rgb = large[:, : self.height, : self.width]
        if rgb.shape[1:] != (self.height, self.width):
            wide = imresize(torch.from_numpy(large).float(), size=(self.height, self.width))
            rgb = round_to_uint8(wide).numpy()
        frame = from_rgb(rgb, colour, lossless=self.lossless)
        frame.pts, frame.duration = piece.pts, piece.duration
        frame.time_base = self.source.time_base
        return frame


def in_order(times: list[int], held: int = 0) -> Iterator[int]:
    """Decoding times of packets, from their showing times in the order of decoding.

    As x264 gives them: each is decoded when the frame is shown that is as many places earlier as
    frames are held back; the first ones earlier by as much as that takes.

    Args:
        times: of the frames.
        held: frames that the encoder holds back.
    """
    shown = sorted(times)
    place = {time: index for index, time in enumerate(shown)}
    delay = max((index - place[time] for index, time in enumerate(times)), default=0)
    delay = min(max(delay, held), len(times) - 1)
    for index in range(len(times)):
        if index < delay:
            yield shown[index] - (shown[delay] - shown[0])
        else:
            yield shown[index - delay]
