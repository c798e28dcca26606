"""Writing a video: frames encoded, and all else copied."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.error import FFmpegError
from av.stream import Disposition
from numpy.typing import NDArray

from sr_experiments.apply.video_colour import Colour, from_rgb
from sr_experiments.apply.video_read import Piece, VideoSource
from sr_experiments.imaging.colour import round_to_uint8
from sr_experiments.imaging.resize import imresize

#: Suffix -> FFmpeg's name of the container, and the encoder.
_CONTAINERS = {
    ".mp4": ("mp4", "libx264"),
    ".mkv": ("matroska", "libx264"),
    ".webm": ("webm", "libvpx-vp9"),
}
#: WebM's muxer says yes to every codec, and fails later.
_WEBM = {"vorbis", "opus", "webvtt"}
_CRF = {"libx264": 18, "libvpx-vp9": 28}
#: Container -> encoder, and its name, for sound that cannot be copied.
_SOUND = {"mp4": ("aac", "AAC"), "matroska": ("aac", "AAC"), "webm": ("libopus", "Opus")}
_AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}
#: FFmpeg's flag by which an encoder passes the frames' durations on.
_FRAME_DURATION = 1 << 8
_KEPT_METADATA = ("language", "title")
#: What the other container writes about itself.
_OWN_METADATA = {"major_brand", "minor_version", "compatible_brands", "encoder"}


class VideoSink:
    """A video that is being written.

    The file begins with the first frame, which tells what the colours are.

    Args:
        path: a temporary name; the container follows from ``suffix``.
        suffix: .mp4, .mkv or .webm.
        source: whose streams, times and metadata are taken over.
        size: height and width of the frames.
        crf: the encoder's constant quality; None for 18 (H.264) or 28 (VP9).
        lossless: FFV1 in RGB.

    Attributes:
        streams: indices of the source's streams that are taken over.
        notes: what is left out, in words.
        begun: a frame was given.
    """

    def __init__(
        self,
        path: Path,
        suffix: str,
        source: VideoSource,
        size: tuple[int, int],
        *,
        crf: int | None = None,
        lossless: bool = False,
    ) -> None:
        kind, encoder = _CONTAINERS[suffix]
        self.encoder = "ffv1" if lossless else encoder
        self.source, self.crf, self.lossless = source, crf, lossless
        self.height, self.width = size
        # The index first, so that a browser can begin before it has the whole file.
        first = {"movflags": "faststart"} if kind == "mp4" else {}
        self.container: Any = av.open(str(path), "w", format=kind, container_options=first)
        self.streams, self._anew, self.notes = _plan(source, kind, self.container.supported_codecs)
        stored = source.stream.format
        if stored is not None and stored.components[0].bits > 8:
            self.notes.append(f"{stored.components[0].bits} bits a channel became 8")
        # H.264 stores 4:2:0 in whole pairs of rows and columns.
        if self.encoder == "libx264" and (self.height % 2 or self.width % 2):
            self.height, self.width = self.height // 2 * 2, self.width // 2 * 2
            self.notes.append(
                f"H.264 needs even sides, and {size[1]}x{size[0]} became {self.width}x{self.height}"
            )
        self.shape = source.stream.sample_aspect_ratio or Fraction(1)
        if self.encoder == "libvpx-vp9" and self.shape != 1:
            # VP9 has no word for it, and PyAV none for the container's.
            self.width = max(1, round(self.width * self.shape))
            self.shape = Fraction(1)
            became = f"{self.width}x{self.height}"
            self.notes.append(f"its pixels were made square, {size[1]}x{size[0]} became {became}")
        self.begun = False
        self._early: list[av.Packet] = []

    def put(self, piece: Piece, large: NDArray[np.uint8] | None) -> None:
        """Write a piece.

        Args:
            piece: packets and time.
            large: uint8 ``(3, H, W)``, the enlarged frame, or None for packets alone.
        """
        if not self.begun and large is None:
            self._early += piece.packets
            return
        if not self.begun:
            self._begin()
        for packet in (*self._early, *piece.packets):
            index = packet.stream.index
            if index in self._anew:
                self._encode_sound(index, packet)
                continue
            packet.stream = self._outlets[index]
            self.container.mux(packet)
        self._early.clear()
        if large is not None:
            rgb = large[:, : self.height, : self.width]
            if rgb.shape[1:] != (self.height, self.width):
                wide = imresize(torch.from_numpy(large).float(), size=(self.height, self.width))
                rgb = round_to_uint8(wide).numpy()
            frame = from_rgb(rgb, self.colour, lossless=self.lossless)
            frame.pts, frame.duration = piece.pts, piece.duration
            frame.time_base = self.source.time_base
            self.container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what is still held back, and the end of the file."""
        for index in self._anew:
            self._encode_sound(index, None)
        self.container.mux(self._stream.encode(None))
        self.container.close()

    def abandon(self) -> None:
        """Close the file as it is; nothing after :meth:`finish`."""
        with suppress(FFmpegError, OSError, ValueError):
            self.container.close()

    def _begin(self) -> None:
        source = self.source
        assert source.colour is not None  # the reader sets it before it gives a frame
        self.colour: Colour = source.colour
        for key, value in source.container.metadata.items():
            if key.lower() not in _OWN_METADATA:
                self.container.metadata[key] = value
        self._outlets: dict[int, Any] = {}
        for stream in source.container.streams:
            if stream.index == source.stream.index:
                made = self._stream = self._video()
            elif stream.index in self.streams:
                if stream.index in self._anew:
                    made = self._sound(stream)
                else:
                    made = self.container.add_stream_from_template(stream)
                self._outlets[stream.index] = made
            else:
                continue
            made.disposition = stream.disposition
            for key in _KEPT_METADATA:
                if stream.metadata.get(key):
                    made.metadata[key] = stream.metadata[key]
        if source.whole and (chapters := source.container.chapters()):
            self.container.set_chapters(chapters)
        self.container.start_encoding()
        self.begun = True

    def _video(self) -> Any:
        source, encoder, crf, colour = self.source, self.encoder, self.crf, self.colour
        made = self.container.add_stream(encoder, rate=source.rate, time_base=source.time_base)
        context = made.codec_context
        context.width, context.height = self.width, self.height
        context.pix_fmt = "bgr0" if self.lossless else "yuv420p"
        context.sample_aspect_ratio = self.shape
        context.flags |= _FRAME_DURATION
        if encoder == "ffv1":
            context.options = {"level": "3", "slices": "4", "slicecrc": "1"}
            context.gop_size = 1  # each frame by itself, so that any can be sought
        else:
            context.options = {"crf": str(_CRF[encoder] if crf is None else crf)}
        if encoder == "libvpx-vp9":
            context.options |= {"deadline": "good", "cpu-used": "4", "row-mt": "1"}
            if crf == 0:
                context.options |= {"lossless": "1"}
        context.thread_count = 0
        if self.lossless:
            context.colorspace, context.color_range = 0, 2
        else:
            context.colorspace, context.color_range = colour.matrix, 2 if colour.full else 1
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        if source.matrix is not None:
            made.set_display_matrix(source.matrix)
        return made

    def _sound(self, stream: Any) -> Any:
        encoder, _ = _SOUND[self.container.format.name]
        rate = stream.rate if encoder == "aac" and stream.rate in _AAC_RATES else 48000
        layout = "mono" if stream.channels == 1 else "stereo"
        return self.container.add_stream(encoder, rate=rate, layout=layout, bit_rate=160_000)

    def _encode_sound(self, index: int, packet: Any) -> None:
        """Decode and encode a packet of sound, or what both still hold back."""
        made = self._outlets[index]
        try:
            sounds = self.source.container.streams[index].decode(packet)
        except FFmpegError:
            sounds = []  # a damaged piece of sound is a short silence
        for sound in sounds:
            self.container.mux(made.encode(sound))
        if packet is None:
            self.container.mux(made.encode(None))


def _plan(
    source: VideoSource, kind: str, known: set[str]
) -> tuple[frozenset[int], frozenset[int], list[str]]:
    """Which streams are taken, which of them must be encoded anew, and what is to be said."""
    known = _WEBM if kind == "webm" else known
    streams, anew, notes = set(), set(), []
    for stream in source.container.streams:
        if stream.index == source.stream.index:
            continue
        context = stream.codec_context
        codec = "an unknown codec" if context is None else context.codec.canonical_name
        if stream.type == "video":
            cover = stream.disposition & Disposition.attached_pic
            what = "cover picture" if cover else "other video"
            notes.append(f"its {what} is left out")
        elif stream.type in ("audio", "subtitle"):
            if context is not None and (codec in known or context.name in known):
                streams.add(stream.index)
            elif stream.type == "audio" and context is not None:
                streams.add(stream.index)
                anew.add(stream.index)
                name = _SOUND[kind][1]
                notes.append(f"{kind} cannot hold its sound ({codec}), encoded anew as {name}")
            else:
                what = "sound" if stream.type == "audio" else "subtitles"
                notes.append(f"{kind} cannot hold its {what} ({codec}), left out")
        elif stream.type == "attachment":
            notes.append("an attachment is left out")
    return frozenset(streams), frozenset(anew), notes
