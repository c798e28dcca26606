"""Writing a video: frames are encoded, everything else is copied."""

import itertools
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
from sr_experiments.upscale.video.pcm import channels_of, is_wide_pcm, pcm_frames
from sr_experiments.upscale.video.source import MediaChunk, VideoSource

#: Suffix -> FFmpeg's name of the container.
_CONTAINERS = {".mp4": "mp4", ".mkv": "matroska", ".webm": "webm"}
#: FFmpeg's muxer of WebM claims to support every codec, and fails later.
_WEBM_CODECS = {"vorbis", "opus", "webvtt"}
#: Container -> encoder, and its name, of audio that cannot be copied.
_AUDIO = {"mp4": ("aac", "AAC"), "matroska": ("aac", "AAC"), "webm": ("libopus", "Opus")}
_AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}
_KEPT_METADATA = ("language", "title")
#: Packets that are written to find out whether the container takes them.
_REHEARSED = 200
#: What a container writes about itself.
_OWN_METADATA = {"major_brand", "minor_version", "compatible_brands", "encoder"}


class VideoSink:
    """A video that is being written.

    The file begins with the first frame, whose colours the header needs.

    Args:
        path: a temporary name; the container follows from ``suffix``.
        suffix: .mp4, .mkv or .webm.
        source: whose other streams, chapters and metadata are copied.
        encoder: how frames are encoded.

    Attributes:
        streams: indices of the source's streams that are copied or re-encoded.
        notes: on what is missing or changed.
        begun: a frame was written.
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
        # The index comes first, so that a browser can play before it has the whole file.
        first = {"movflags": "faststart"} if kind == "mp4" else {}
        self.container: Any = av.open(str(path), "w", format=kind, container_options=first)
        self.streams, self._reencoded, self.notes = _plan(
            source, kind, self.container.supported_codecs
        )
        self.notes += encoder.notes
        self.begun = False
        self._last: dict[int, int] = {}
        self._early: list[av.Packet] = []

    def put(self, chunk: MediaChunk, large: NDArray[np.uint8] | None) -> None:
        """Write a chunk.

        Args:
            chunk: packets and time.
            large: uint8 ``(3, H, W)``, the enlarged frame, or None for packets alone.
        """
        if not self.begun and large is None:
            self._early += chunk.packets
            return
        if not self.begun:
            self._begin()
        for packet in (*self._early, *chunk.packets):
            self._put_other(packet)
        self._early.clear()
        if large is not None:
            self.container.mux(self._stream.encode(self.encoder.frame(chunk, large)))

    def join(
        self, frames: Iterable[av.Packet], others: Iterable[av.Packet], headers: set[bytes]
    ) -> None:
        """Write packets of encoded frames, and those of the other streams, by time.

        Args:
            frames: in the order of decoding, with their times.
            others: packets of the source's other streams.
            headers: of the encoders of ``frames``.

        Raises:
            UserError: the frames need another header than the file has.
        """
        self._begin()
        if headers != {self._stream.codec_context.extradata or b""}:
            raise UserError(
                "video-parts-differ",
                "{path}: its finished parts were encoded with other settings and cannot be joined; "
                "they are removed, and the same command starts again",
                path=self.source.path,
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

    def rehearse(self, others: Iterable[av.Packet]) -> None:
        """Begin the file and write some packets of the other streams."""
        self._begin()
        for packet in itertools.islice(others, _REHEARSED):
            self._put_other(packet)

    def _put_frame(self, packet: av.Packet) -> None:
        packet.stream = self._stream
        self.container.mux(packet)

    def _put_other(self, packet: av.Packet) -> None:
        index = packet.stream.index
        if index in self._reencoded:
            self._encode_audio(index, packet)
        else:
            self._make_later(index, packet)
            packet.stream = self._outputs[index]
            self.container.mux(packet)

    def _make_later(self, index: int, packet: av.Packet) -> None:
        """Let a packet be decoded after the one before, as ``ffmpeg -c copy`` does.

        MP4 takes no two packets of one time, which files from elsewhere have.
        """
        assert packet.pts is not None and packet.dts is not None  # others are not copied
        last = self._last.get(index)
        if last is not None and packet.dts <= last:
            packet.dts = last + 1
            packet.pts = max(packet.pts, packet.dts)
        self._last[index] = packet.dts

    def finish(self) -> None:
        """Flush the encoders and finish the file."""
        for index in self._reencoded:
            self._encode_audio(index, None)
        self.container.mux(self._stream.encode(None))
        self.container.close()

    def abandon(self) -> None:
        """Close the file as it is; without effect after :meth:`finish`."""
        with suppress(FFmpegError, OSError, ValueError):
            self.container.close()

    def _begin(self) -> None:
        source = self.source
        for key, value in source.container.metadata.items():
            if key.lower() not in _OWN_METADATA:
                self.container.metadata[key] = value
        self._outputs: dict[int, Any] = {}
        for stream in source.container.streams:
            if stream.index == source.stream.index:
                output = self._stream = self._video()
            elif stream.index in self.streams:
                if stream.index in self._reencoded:
                    output = self._audio(stream)
                else:
                    output = self.container.add_stream_from_template(stream)
                self._outputs[stream.index] = output
            else:
                continue
            output.disposition = stream.disposition
            for key in _KEPT_METADATA:
                if stream.metadata.get(key):
                    output.metadata[key] = stream.metadata[key]
        if source.whole and (chapters := source.container.chapters()):
            self.container.set_chapters(chapters)
        self.container.start_encoding()
        self.begun = True

    def _video(self) -> Any:
        source = self.source
        stream = self.container.add_stream(
            self.encoder.codec, rate=source.rate, time_base=source.time_base
        )
        self.encoder.configure(stream.codec_context)
        if source.matrix is not None:
            stream.set_display_matrix(source.matrix)
        return stream

    def _audio(self, stream: Any) -> Any:
        encoder, _ = _AUDIO[self.container.format.name]
        rate = stream.rate if encoder == "aac" and stream.rate in _AAC_RATES else 48000
        layout = "mono" if channels_of(stream) == 1 else "stereo"
        return self.container.add_stream(encoder, rate=rate, layout=layout, bit_rate=160_000)

    def _encode_audio(self, index: int, packet: Any) -> None:
        """Re-encode a packet of audio, or flush decoder and encoder for None."""
        output, stream = self._outputs[index], self.source.container.streams[index]
        try:
            frames = pcm_frames(stream, packet) if is_wide_pcm(stream) else stream.decode(packet)
        except (FFmpegError, ValueError):
            frames = []  # a damaged packet becomes a short silence
        for frame in frames:
            self.container.mux(output.encode(frame))
        if packet is None:
            self.container.mux(output.encode(None))


def _when(packet: av.Packet) -> Fraction:
    assert packet.pts is not None  # others are not copied
    return (packet.pts if packet.dts is None else packet.dts) * packet.time_base


def _plan(
    source: VideoSource, kind: str, supported: set[str]
) -> tuple[frozenset[int], frozenset[int], list[Message]]:
    """The streams to keep, those of them to re-encode, and notes on what is missing or changed."""
    supported = _WEBM_CODECS if kind == "webm" else supported
    streams, reencoded = set(), set()
    notes: list[Message] = []
    for stream in source.container.streams:
        if stream.index == source.stream.index:
            continue
        context = stream.codec_context
        codec = "an unknown codec" if context is None else context.codec.canonical_name
        if stream.type == "video":
            cover = stream.disposition & Disposition.attached_pic
            notes.append(
                Message("note-cover-dropped", "its cover image is dropped")
                if cover
                else Message("note-video-dropped", "its second video track is dropped")
            )
        elif stream.type in ("audio", "subtitle"):
            if context is not None and (codec in supported or context.name in supported):
                streams.add(stream.index)
            elif stream.type == "audio" and context is not None:
                streams.add(stream.index)
                reencoded.add(stream.index)
                name = _AUDIO[kind][1]
                channels = channels_of(stream)
                notes.append(
                    Message(
                        "note-sound-encoded-in-stereo",
                        "{format} cannot hold its audio ({codec}); it is re-encoded as {name}, and "
                        "its {channels} channels become stereo",
                        {"format": kind, "codec": codec, "name": name, "channels": channels},
                    )
                    if channels > 2
                    else Message(
                        "note-sound-encoded",
                        "{format} cannot hold its audio ({codec}); it is re-encoded as {name}",
                        {"format": kind, "codec": codec, "name": name},
                    )
                )
            else:
                notes.append(
                    Message(
                        "note-sound-dropped",
                        "{format} cannot hold its audio ({codec}); it is dropped",
                        {"format": kind, "codec": codec},
                    )
                    if stream.type == "audio"
                    else Message(
                        "note-subtitles-dropped",
                        "{format} cannot hold its subtitles ({codec}); they are dropped",
                        {"format": kind, "codec": codec},
                    )
                )
        elif stream.type == "attachment":
            notes.append(Message("note-attachment-dropped", "an attachment is dropped"))
        elif stream.type == "data":
            notes.append(Message("note-data-dropped", "a data track is dropped"))
    return frozenset(streams), frozenset(reencoded), notes
