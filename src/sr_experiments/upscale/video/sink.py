"""Writing a video: frames encoded, and all else copied."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Disposition
from numpy.typing import NDArray

from sr_experiments.core.errors import Message, UserError
from sr_experiments.upscale.video.encoder import FrameEncoder
from sr_experiments.upscale.video.source import Piece, VideoSource

#: Suffix -> FFmpeg's name of the container.
_CONTAINERS = {".mp4": "mp4", ".mkv": "matroska", ".webm": "webm"}
#: WebM's muxer says yes to every codec, and fails later.
_WEBM = {"vorbis", "opus", "webvtt"}
#: Container -> encoder, and its name, for sound that cannot be copied.
_SOUND = {"mp4": ("aac", "AAC"), "matroska": ("aac", "AAC"), "webm": ("libopus", "Opus")}
_AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}
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
        encoder: how frames are encoded.

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
        encoder: FrameEncoder,
    ) -> None:
        kind = _CONTAINERS[suffix]
        self.source, self.encoder = source, encoder
        # The index first, so that a browser can begin before it has the whole file.
        first = {"movflags": "faststart"} if kind == "mp4" else {}
        self.container: Any = av.open(str(path), "w", format=kind, container_options=first)
        self.streams, self._anew, self.notes = _plan(source, kind, self.container.supported_codecs)
        self.notes += encoder.notes
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
            self._put_other(packet)
        self._early.clear()
        if large is not None:
            self.container.mux(self._stream.encode(self.encoder.frame(piece, large)))

    def join(
        self, frames: Iterable[av.Packet], others: Iterable[av.Packet], headers: set[bytes]
    ) -> None:
        """Write packets of frames that are encoded already, and of the other streams, by time.

        Args:
            frames: in the order of decoding, with their times.
            others: of the source.
            headers: of the encoders that made ``frames``.

        Raises:
            UserError: the frames cannot be decoded with the header that the file has.
        """
        self._begin()
        if headers != {self._stream.codec_context.extradata or b""}:
            raise UserError(
                f"{self.source.path}: what is done was encoded with other settings, and cannot be "
                "joined; it is removed, and the same command begins anew"
            )
        waiting: Iterator[av.Packet] = iter(frames)
        frame = next(waiting, None)
        for packet in others:
            while frame is not None and _when(frame) <= _when(packet):
                self._put_frame(frame)
                frame = next(waiting, None)
            self._put_other(packet)
        while frame is not None:
            self._put_frame(frame)
            frame = next(waiting, None)

    def _put_frame(self, packet: av.Packet) -> None:
        packet.stream = self._stream
        self.container.mux(packet)

    def _put_other(self, packet: av.Packet) -> None:
        index = packet.stream.index
        if index in self._anew:
            self._encode_sound(index, packet)
        else:
            packet.stream = self._outlets[index]
            self.container.mux(packet)

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
        source = self.source
        made = self.container.add_stream(
            self.encoder.codec, rate=source.rate, time_base=source.time_base
        )
        self.encoder.set_up(made.codec_context)
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


def _when(packet: av.Packet) -> Fraction:
    assert packet.pts is not None  # without one it is not copied
    return (packet.pts if packet.dts is None else packet.dts) * packet.time_base


def _plan(
    source: VideoSource, kind: str, known: set[str]
) -> tuple[frozenset[int], frozenset[int], list[Message]]:
    """Which streams are taken, which of them must be encoded anew, and what is to be said."""
    known = _WEBM if kind == "webm" else known
    streams, anew = set(), set()
    notes: list[Message] = []
    for stream in source.container.streams:
        if stream.index == source.stream.index:
            continue
        context = stream.codec_context
        codec = "an unknown codec" if context is None else context.codec.canonical_name
        if stream.type == "video":
            cover = stream.disposition & Disposition.attached_pic
            notes.append(
                Message("note-cover-dropped", "its cover image is left out")
                if cover
                else Message("note-video-dropped", "its other video is left out")
            )
        elif stream.type in ("audio", "subtitle"):
            if context is not None and (codec in known or context.name in known):
                streams.add(stream.index)
            elif stream.type == "audio" and context is not None:
                streams.add(stream.index)
                anew.add(stream.index)
                name = _SOUND[kind][1]
                notes.append(
                    Message(
                        "note-sound-encoded",
                        "{format} cannot hold its sound ({codec}), encoded anew as {name}",
                        {"format": kind, "codec": codec, "name": name},
                    )
                )
            else:
                notes.append(
                    Message(
                        "note-sound-dropped",
                        "{format} cannot hold its sound ({codec}), left out",
                        {"format": kind, "codec": codec},
                    )
                    if stream.type == "audio"
                    else Message(
                        "note-subtitles-dropped",
                        "{format} cannot hold its subtitles ({codec}), left out",
                        {"format": kind, "codec": codec},
                    )
                )
        elif stream.type == "attachment":
            notes.append(Message("note-attachment-dropped", "an attachment is left out"))
    return frozenset(streams), frozenset(anew), notes
