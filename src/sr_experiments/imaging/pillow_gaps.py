"""What Pillow lacks: a limit of pixels for each call, large texts, and colour of 16 bits."""

import io
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

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
#: Key of ``Image.info``: the chunks that :func:`open_image` left out, such as ``["zTXt"]``.
LEFT_OUT = "left_out"
#: Texts of a PNG that are longer are left out, as in Pillow; it refuses the image, too.
_MAX_TEXT = 2**20
_MAX_TEXTS = 2**25
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Channels -> PNG's colour type.
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def open_image(path: Path, formats: Collection[str] | None = None) -> ImageFile.ImageFile:
    """Open an image as :func:`PIL.Image.open` does, whatever its size.

    ``Image.open`` checks the size against a limit of the whole process, which a thread must not
    change. The caller compares ``size`` with its own limit before it loads pixels. Only later
    frames of a GIF and tiles of a TIFF are still checked by Pillow.

    Texts and profiles of a PNG that unpack to more than a MiB are left out, where Pillow refuses
    the image; ``info`` lists them under :data:`LEFT_OUT`.

    Args:
        path: of the file.
        formats: Pillow's names of those that may be read; all by default.

    Raises:
        PIL.UnidentifiedImageError: no format of Pillow's fits.
    """
    with path.open("rb") as file:
        prefix = file.read(16)
        large = _large_chunks(file) if prefix.startswith(_SIGNATURE) else []
        content = io.BytesIO(_without(file, large)) if large else None
    image = _opened(path, content, prefix, formats)
    if large:
        image.info[LEFT_OUT] = [kind for kind, _, _ in large]
    return image


def _opened(
    path: Path, content: io.BytesIO | None, prefix: bytes, formats: Collection[str] | None
) -> ImageFile.ImageFile:
    Image.preinit()  # common formats first
    Image.init()
    for name, (factory, accept) in list(Image.OPEN.items()):
        if formats is not None and name not in formats:
            continue
        try:
            accepted = accept is None or accept(prefix)
            if accepted and not isinstance(accepted, str):  # a string says that a codec is missing
                if content is not None:
                    return factory(content, str(path))
                return factory(str(path), str(path))  # type: ignore[arg-type]  # or a path
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
    raise UnidentifiedImageError(str(path))


def _headers(file: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """Kind, offset and length of the content of each chunk of a PNG."""
    at = len(_SIGNATURE)
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        yield kind.decode("latin-1"), at + 8, length
        at += 12 + length


def _large_chunks(file: BinaryIO) -> list[tuple[str, int, int]]:
    """The chunks of a PNG that Pillow refuses because they are, or unpack to, too much."""
    large, total = [], 0
    for kind, offset, length in _headers(file):
        if kind not in ("tEXt", "zTXt", "iTXt", "iCCP"):
            continue
        file.seek(offset)
        size = _unpacked_size(kind, file.read(min(length, 2 * _MAX_TEXT)))
        total += min(size, _MAX_TEXT)
        if max(size, length) > _MAX_TEXT or total > _MAX_TEXTS:
            large.append((kind, offset, length))
    return large


def _unpacked_size(kind: str, content: bytes) -> int:
    """The size of a text or profile; of a packed one no more than needed to see it is large."""
    _, _, rest = content.partition(b"\0")
    if kind == "tEXt":
        return len(content)
    if kind == "iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
        if not packed:
            return len(content)
    else:
        rest = rest[1:]
    try:
        return len(zlib.decompressobj().decompress(rest, _MAX_TEXT + 1))
    except zlib.error:
        return 0


def _without(file: BinaryIO, chunks: list[tuple[str, int, int]]) -> bytes:
    file.seek(0)
    content, parts, at = file.read(), [], 0
    for _, offset, length in chunks:
        parts.append(content[at : offset - 8])
        at = offset + length + 4
    return b"".join([*parts, content[at:]])


def png_chunks(path: Path, kinds: set[str]) -> list[tuple[str, bytes]]:
    """The contents of a PNG's chunks of some kinds, in the order of the file; of others, none."""
    found = []
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) == _SIGNATURE:
            for kind, offset, length in _headers(file):
                if kind in kinds and length <= _MAX_TEXT:
                    file.seek(offset)
                    found.append((kind, file.read(length)))
    return found


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
