"""Encoding frames: the encoder, its settings and the size of the frames."""

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
from sr_experiments.upscale.video.source import MediaChunk, VideoSource

_ENCODERS = {".mp4": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
_CRF = {"libx264": 18, "libvpx-vp9": 28}
#: FFmpeg's flags: keep the durations of frames; write the encoder's header into the container's.
_FRAME_DURATION, _GLOBAL_HEADER = 1 << 8, 1 << 22


class FrameEncoder:
    """The encoder of a result, and its settings.

    Args:
        suffix: .mp4, .mkv or .webm.
        source: whose times, colours and pixel shape the result has.
        size: height and width of the enlarged frames.
        crf: constant quality; None for 18 (H.264) or 28 (VP9).
        lossless: FFV1 in RGB.

    Attributes:
        codec: FFmpeg's name of the encoder.
        height: of the encoded frames.
        width: of the encoded frames.
        notes: on what was changed.
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
                    "{bits} bits per channel were reduced to 8",
                    {"bits": stored.components[0].bits},
                )
            )
        # H.264 stores 4:2:0 in whole pairs of rows and columns.
        if self.codec == "libx264" and (self.height % 2 or self.width % 2):
            self.height, self.width = self.height // 2 * 2, self.width // 2 * 2
            self.notes.append(
                Message(
                    "note-sides-made-even",
                    "H.264 needs even sides; {before} became {after}",
                    {"before": f"{size[1]}x{size[0]}", "after": f"{self.width}x{self.height}"},
                )
            )
        self.shape = source.stream.sample_aspect_ratio or Fraction(1)
        if self.codec == "libvpx-vp9" and self.shape != 1:
            # VP9 cannot store it, and PyAV does not write it into the container.
            self.width = max(1, round(self.width * self.shape))
            self.shape = Fraction(1)
            self.notes.append(
                Message(
                    "note-pixels-made-square",
                    "its pixels were made square; {before} became {after}",
                    {"before": f"{size[1]}x{size[0]}", "after": f"{self.width}x{self.height}"},
                )
            )

    def open_context(self) -> Any:
        """An open encoder without a container, to which its packets are written later."""
        context: Any = av.CodecContext.create(self.codec, "w")
        context.framerate, context.time_base = self.source.rate, self.source.time_base
        self.configure(context)
        context.flags |= _GLOBAL_HEADER
        context.open()
        return context

    def configure(self, context: Any) -> None:
        """Set up an encoder; the first frame must have been read."""
        colour, codec = self.source.colour, self.codec
        assert colour is not None  # set before the first chunk is returned
        context.width, context.height = self.width, self.height
        context.pix_fmt = "bgr0" if self.lossless else "yuv420p"
        context.sample_aspect_ratio = self.shape
        context.flags |= _FRAME_DURATION
        if codec == "ffv1":
            context.options = {"level": "3", "slices": "4", "slicecrc": "1"}
            context.gop_size = 1  # each frame by itself, for seeking
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

    def frame(self, chunk: MediaChunk, large: NDArray[uint8]) -> VideoFrame:
        """An enlarged frame, uint8 ``(3, H, W)``, in the encoder's colours and with its time."""
        colour = self.source.colour
        assert colour is not None  # set before the first chunk is returned
        rgb = large[:, : self.height, : self.width]
        if rgb.shape[1:] != (self.height, self.width):
            wide = imresize(torch.from_numpy(large).float(), size=(self.height, self.width))
            rgb = round_to_uint8(wide).numpy()
        frame = from_rgb(rgb, colour, lossless=self.lossless)
        frame.pts, frame.duration = chunk.pts, chunk.duration
        frame.time_base = self.source.time_base
        return frame


def decoding_times(times: list[int], held: int = 0) -> Iterator[int]:
    """Decoding times of packets from their presentation times, in the order of decoding.

    As x264 sets them: the n-th packet is decoded when the frame ``delay`` places before the n-th is
    shown; the first ``delay`` packets earlier still.

    Args:
        times: presentation times.
        held: the encoder's delay in frames, at least.
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
