"""A long video in parts, so that an interrupted conversion resumes.

Each part is encoded by itself, begins with a key frame, and is stored beside the result. Their
packets are joined unchanged, and all else is copied from the source, so the result does not depend
on how often the conversion was interrupted.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import av
import torch
from filelock import FileLock, Timeout
from numpy import uint8
from numpy.typing import NDArray

from sr_experiments.core.errors import UserError
from sr_experiments.upscale.video.encoder import FrameEncoder, decoding_times
from sr_experiments.upscale.video.source import MediaChunk

#: Frames in a part; x264's default distance of key frames.
PART = 250
#: Errors after which the finished parts are of use: to another disk, container or option.
_KEPT_AFTER = {"cannot-write", "cannot-write-part", "video-truncated"}
_FORMAT = 1
_HEAD = 1 << 20
_LENGTH = 8


class Parts:
    """The parts of one result, in a hidden folder beside it.

    Args:
        folder: where they are.

    Attributes:
        folder: where they are.
        frames: in all complete parts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index: list[dict[str, Any]] = []
        while (content := _index_of(self._file(len(self._index)))) is not None:
            self._index.append(content)
        self.frames = sum(len(content["packets"]) for content in self._index)

    def __len__(self) -> int:
        return len(self._index)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06}.part"

    @contextmanager
    def writing(self) -> Iterator[tuple[BinaryIO, dict[str, Any]]]:
        """The next part: a file for the bytes of packets, and a dictionary for their index.

        It is complete when the block ends without an exception.
        """
        path = self._file(len(self._index))
        temporary = path.with_suffix(".tmp")
        index: dict[str, Any] = {"packets": [], "extradata": ""}
        with temporary.open("wb") as file:
            yield file, index
            text = json.dumps(index).encode()
            file.write(text + len(text).to_bytes(_LENGTH, "big"))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        self._index.append(index)
        self.frames += len(index["packets"])

    @property
    def headers(self) -> set[bytes]:
        """The encoders' headers, which the container stores once."""
        return {bytes.fromhex(content["extradata"]) for content in self._index}

    def packets(self, time_base: Any) -> Iterator[av.Packet]:
        """The frames' packets of all parts, in the order of decoding."""
        rows = [row for content in self._index for row in content["packets"]]
        held = max(_held_back(content["packets"]) for content in self._index)
        times = decoding_times([row[0] for row in rows], held)
        for number, content in enumerate(self._index):
            with self._file(number).open("rb") as file:
                for pts, _, duration, key, size in content["packets"]:
                    packet: Any = av.Packet(file.read(size))
                    packet.pts, packet.dts, packet.duration = pts, next(times), duration
                    packet.time_base, packet.is_keyframe = time_base, bool(key)
                    yield packet


class PartWriter:
    """Encodes frames into parts.

    Args:
        parts: where they go.
        encoder: how they are encoded.
    """

    def __init__(self, parts: Parts, encoder: FrameEncoder) -> None:
        self.parts, self.encoder = parts, encoder
        self._work = self._write()
        next(self._work)

    def put(self, chunk: MediaChunk, large: NDArray[uint8] | None) -> None:
        """Encode an enlarged frame, uint8 ``(3, H, W)``; chunks without one are ignored."""
        if large is not None:
            self._work.send((chunk, large))

    def finish(self) -> None:
        """Complete the last part."""
        with suppress(StopIteration):
            self._work.send(None)

    def abandon(self) -> None:
        """Drop the incomplete part; without effect after :meth:`finish`."""
        self._work.close()

    def _write(self) -> Generator[None, tuple[MediaChunk, NDArray[uint8]] | None, None]:
        item = yield
        while item is not None:
            with self.parts.writing() as (file, index):
                context = self.encoder.open_context()
                index["extradata"] = (context.extradata or b"").hex()
                count = 0
                while item is not None and count < PART:
                    self._store(context.encode(self.encoder.frame(*item)), file, index)
                    count += 1
                    if count < PART:
                        item = yield
                self._store(context.encode(None), file, index)
            if item is not None:
                item = yield

    @staticmethod
    def _store(packets: list[Any], file: BinaryIO, index: dict[str, Any]) -> None:
        for packet in packets:
            content = bytes(packet)
            file.write(content)
            key = int(packet.is_keyframe)
            row = [packet.pts, packet.dts, packet.duration or 0, key, len(content)]
            index["packets"].append(row)


def _held_back(rows: list[list[int]]) -> int:
    """The encoder's delay in frames: packets that are decoded before the first is shown."""
    first = min(row[0] for row in rows)
    return sum(row[1] < first for row in rows)


def _index_of(path: Path) -> dict[str, Any] | None:
    """The index of a part; None if it is missing or damaged."""
    try:
        with path.open("rb") as file:
            whole = file.seek(0, os.SEEK_END)
            file.seek(whole - _LENGTH)
            length = int.from_bytes(file.read(_LENGTH), "big")
            file.seek(whole - _LENGTH - length)
            content: dict[str, Any] = json.loads(file.read(length))
        sizes = sum(row[4] for row in content["packets"])
        return content if sizes and sizes + length + _LENGTH == whole else None
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError):
        return None


@contextmanager
def parts_of(source: Path, target: Path, settings: str) -> Iterator[Parts]:
    """The parts of a result, locked.

    They are removed when the block ends without an exception, with those that other sources or
    options left for the same target; also after a :class:`UserError` that the same conversion would
    meet again. After an interruption, where the result could not be written and where the source is
    cut short, they stay.

    Args:
        source: the video.
        target: the result.
        settings: what else decides the result: options, network, engine.

    Raises:
        UserError: another process is writing them, or the folder cannot be written.
    """
    name = hashlib.sha256(target.name.encode(errors="surrogateescape")).hexdigest()[:8]
    start = f".{target.name[:40]}.{name}-"
    folder = target.parent / f"{start}{_key(source, settings)}.parts"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder / "lock"))
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            "video-locked",
            "{target}: another process is writing it; wait until it ends or stop it",
            target=target,
        ) from None
    except OSError as error:
        raise UserError(
            "cannot-write",
            "{path}: cannot be written ({reason})",
            path=target,
            reason=error.strerror or error,
        ) from error
    gone = False
    parts = Parts(folder)
    try:
        yield parts
        gone = True
        _remove_others(target.parent, start, folder)
    except UserError as error:
        gone = error.code not in _KEPT_AFTER
        raise
    finally:
        if gone or not len(parts):
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        if gone or not len(parts):  # Windows does not remove a locked file
            shutil.rmtree(folder, ignore_errors=True)


def _remove_others(parent: Path, start: str, own: Path) -> None:
    for folder in parent.iterdir():
        if folder != own and folder.name.startswith(start) and folder.name.endswith(".parts"):
            with suppress(Timeout, OSError):
                with FileLock(str(folder / "lock")).acquire(timeout=0):
                    for file in folder.glob("[0-9]*"):
                        file.unlink()
                shutil.rmtree(folder, ignore_errors=True)


def _key(source: Path, settings: str) -> str:
    facts = source.stat()
    digest = hashlib.sha256(f"{_FORMAT} {facts.st_size} {facts.st_mtime_ns} {settings}".encode())
    digest.update(f" {torch.__version__} {av.__version__} {PART} ".encode())
    with source.open("rb") as file:
        digest.update(file.read(_HEAD))
    return digest.hexdigest()[:16]
