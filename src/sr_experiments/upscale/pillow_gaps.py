"""What Pillow lacks: a limit of pixels for each call, and colour of 16 bits per channel."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

#: Raw modes whose low bytes Pillow drops -> the same in the other byte order.
_SWAPPED = {
    **{f"{mode};16B": f"{mode};16L" for mode in ("RGB", "RGBA")},
    **{f"{mode};16L": f"{mode};16B" for mode in ("RGB", "RGBA")},
    # The native order, which is little-endian wherever PyTorch runs.
    **{f"{mode};16N": f"{mode};16B" for mode in ("RGB", "RGBA")},
}
_GREY_ALPHA = "LA;16B"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Channels -> PNG's colour type.
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def open_image(path: Path) -> ImageFile.ImageFile:
    """Open an image as :func:`PIL.Image.open` does, whatever its size.

    ``Image.open`` checks the size against a limit of the whole process, which a thread must not
    change. The caller compares ``size`` with its own limit before it loads pixels. Only later
    frames of a GIF and tiles of a TIFF are still checked by Pillow.

    Raises:
        PIL.UnidentifiedImageError: no format of Pillow's fits.
    """
    with path.open("rb") as file:
        prefix = file.read(16)
    Image.preinit()  # common formats first
    Image.init()
    for factory, accept in list(Image.OPEN.values()):
        try:
            accepted = accept is None or accept(prefix)
            if accepted and not isinstance(accepted, str):  # a string says that a codec is missing
                return factory(str(path), str(path))  # type: ignore[arg-type]  # or a path
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
    raise UnidentifiedImageError(str(path))


def is_deep(image: Image.Image) -> bool:
    """Whether an opened, not yet loaded image has 16 bits of colour, or of grey and alpha."""
    return _raw_mode(image) in (*_SWAPPED, _GREY_ALPHA)


def read_deep(path: Path) -> np.ndarray:
    """Read the pixels of an image for which :func:`is_deep` holds.

    Pillow decodes them to their high bytes and has no option for more. Told by its undocumented
    ``tile`` that the bytes are in the other order, it gives the low ones; for grey with alpha its
    private ``_mode`` says that four bytes are one pixel.

    Returns:
        uint16 ``(H, W, C)`` with C = 2, 3 or 4.
    """
    with open_image(path) as image:
        if _raw_mode(image) == _GREY_ALPHA:
            image._mode = "RGBA"
            _set_raw_mode(image, "RGBA")
            data = np.asarray(image)
            return np.ascontiguousarray(data).view(">u2").astype(np.uint16)
        high = np.asarray(image).astype(np.uint16)
    with open_image(path) as image:
        _set_raw_mode(image, _SWAPPED[_raw_mode(image)])
        return high << 8 | np.asarray(image)


def write_png16(path: Path, image: np.ndarray, **metadata: Any) -> None:
    """Write a PNG of 16 bits per channel.

    Args:
        path: of the file.
        image: uint16 ``(H, W, C)``, C from 1 to 4.
        metadata: options of Pillow's PNG writer: ``icc_profile``, ``exif``, ``dpi``, ``pnginfo``.
    """
    height, width, channels = image.shape
    # Pillow writes the metadata: every chunk but the pixels comes from an image of one pixel.
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
    """Rows with PNG's filter 1, the difference to the pixel on the left, compressed."""
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
    chunks, at = [], len(_SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def _raw_mode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    args = tiles[0][3]
    mode = args[0] if isinstance(args, tuple) else args
    return mode if isinstance(mode, str) else ""


def _set_raw_mode(image: Image.Image, mode: str) -> None:
    tiles = []
    for tile in image.tile:  # type: ignore[attr-defined]
        args = (mode, *tile[3][1:]) if isinstance(tile[3], tuple) else mode
        tiles.append(tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args))
    image.tile = tiles  # type: ignore[attr-defined]
