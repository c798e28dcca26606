"""The beginning of a result, as a file that a browser plays beside another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError


def first_seconds(source: Path, target: Path, seconds: float) -> bool:
    """Copy a video's first packets, without sound, into MP4; nothing is encoded.

    Matroska is not played by every browser, and H.264 is the same in both.

    Returns:
        False if that cannot be done; nothing is left then.
    """
    try:
        with av.open(str(source)) as old, av.open(str(target), "w", format="mp4") as new:
            stream = old.streams.video[0]
            made = new.add_stream_from_template(stream)
            for packet in _in_order(old.demux(stream)):
                if packet.dts * packet.time_base >= seconds:
                    break
                packet.stream = made
                new.mux(packet)
    except (FFmpegError, OSError, ValueError):
        target.unlink(missing_ok=True)
        return False
    return True


def _in_order(packets: Iterator[Any]) -> Iterator[Any]:
    """Packets with the time at which each is decoded.

    Matroska does not store it, and of the first FFmpeg cannot tell it: they come before the first
    that is known, at even steps.
    """
    early: list[Any] = []
    for packet in packets:
        if not packet.size:
            continue
        if packet.dts is None:
            early.append(packet)
            continue
        step = packet.duration or 1
        for place, first in enumerate(early):
            first.dts = packet.dts - step * (len(early) - place)
            yield first
        early = []
        yield packet
    yield from (packet for packet in early if _decoded_as_shown(packet))


def _decoded_as_shown(packet: Any) -> bool:
    packet.dts = packet.pts
    return packet.pts is not None
