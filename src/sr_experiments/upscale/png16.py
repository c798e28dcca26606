"""Colour of 16 bits a channel, which Pillow can neither read whole nor write."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

#: Pillow's modes of 16-bit data whose low bytes it drops -> how it is made to give the low bytes.
_SWAPPED = {
    **{f"{mode};16B": f"{mode};16L" for mode in ("RGB", "RGBA")},
    **{f"{mode};16L": f"{mode};16B" for mode in ("RGB", "RGBA")},
    # The machine's own order, which is little-endian wherever PyTorch runs.
    **{f"{mode};16N": f"{mode};16B" for mode in ("RGB", "RGBA")},
}
_GREY_ALPHA = "LA;16B"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: PNG's colour types by the number of channels.
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def is_deep(picture: Image.Image) -> bool:
    """Whether a picture that was opened but not loaded has colour or grey + alpha in 16 bits."""
    return _raw_mode(picture) in (*_SWAPPED, _GREY_ALPHA)


def read_deep(path: Path) -> np.ndarray:
    """Read a picture of :func:`is_deep`.

    Pillow decodes such a file to high bytes. Told that the bytes of a value stand in the other
    order, it gives the low ones.

    Returns:
        uint16 ``(H, W, C)`` with C = 2, 3 or 4.
    """
    with Image.open(path) as picture:
        if _raw_mode(picture) == _GREY_ALPHA:
            # Four bytes a pixel, as RGBA has: taken as that, all of them come through.
            picture._mode = "RGBA"
            _set_raw_mode(picture, "RGBA")
            data = np.asarray(picture)
            return np.ascontiguousarray(data).view(">u2").astype(np.uint16)
        high = np.asarray(picture).astype(np.uint16)
    with Image.open(path) as picture:
        _set_raw_mode(picture, _SWAPPED[_raw_mode(picture)])
        return high << 8 | np.asarray(picture)


def write_png16(path: Path, image: np.ndarray, **metadata: Any) -> None:
    """Write a PNG of 16 bits a channel.

    Args:
        path: of the file.
        image: uint16 ``(H, W, C)``, C from 1 to 4.
        metadata: what Pillow's PNG writer takes: ``icc_profile``, ``exif``, ``dpi``, ``pnginfo``.
    """
    height, width, channels = image.shape
    # Pillow knows how to write the metadata: of a picture of one pixel, all but that is taken.
    small = io.BytesIO()
    Image.new("RGB", (1, 1)).save(small, "PNG", **metadata)
    head = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    rows = np.ascontiguousarray(image.astype(">u2")).view(np.uint8).reshape(height, -1)
    with path.open("wb") as file:
        file.write(_SIGNATURE + _chunk(b"IHDR", head))
        written = False
        for kind, body in _chunks(small.getvalue()):
            if kind == b"IDAT" and not written:
                file.write(_chunk(b"IDAT", _compressed(rows, 2 * channels)))
                written = True
            elif kind not in (b"IHDR", b"IDAT"):
                file.write(_chunk(kind, body))


def _compressed(rows: np.ndarray, step: int) -> bytes:
    """Rows behind PNG's filter 1, the difference to the pixel on the left."""
    compressor = zlib.compressobj(6)
    parts = []
    for row in rows:
        line = row.copy()
        line[step:] -= row[:-step]
        parts.append(compressor.compress(b"\x01" + line.tobytes()))
    return b"".join([*parts, compressor.flush()])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(_SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _raw_mode(picture: Image.Image) -> str:
    tiles = getattr(picture, "tile", None)
    if not tiles:
        return ""
    args = tiles[0][3]
    mode = args[0] if isinstance(args, tuple) else args
    return mode if isinstance(mode, str) else ""


def _set_raw_mode(picture: Image.Image, mode: str) -> None:
    tiles = []
    for tile in picture.tile:  # type: ignore[attr-defined]
        args = (mode, *tile[3][1:]) if isinstance(tile[3], tuple) else mode
        tiles.append(tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args))
    picture.tile = tiles  # type: ignore[attr-defined]
