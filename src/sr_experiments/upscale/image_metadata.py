"""What an image file tells besides its pixels: read from one format, written to another.

Nothing here may cost the pixels: what cannot be read or written is dropped with a note.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from sr_experiments.core.errors import Message
from sr_experiments.imaging.pillow_gaps import LEFT_OUT, png_chunks

_ORIENTATION, _EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 0x0112, 0x8769, 0x8825, 0xA005
_WIDTH, _HEIGHT, _XMP_TAG = 0xA002, 0xA003, 700
#: TIFF tags: description, maker, model, software, date, artist, copyright.
_DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 33432)
#: TIFF tags of IPTC and of Photoshop's blocks, which hold it as well; a block's number.
_IPTC_TAGS, _IPTC_BLOCK = (33723, 34377), 0x0404
#: Chunks of a PNG that say how its colours are meant.
_COLOUR_CHUNKS = {"cICP", "gAMA", "cHRM", "mDCV", "cLLI"}
#: gAMA and cHRM of sRGB, which is what a file without them means.
_SRGB = {
    "gAMA": (45455).to_bytes(4, "big"),
    "cHRM": b"".join(
        value.to_bytes(4, "big")
        for value in (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    ),
}
#: Resolutions that programs write when they know none.
_NO_RESOLUTION = {1, 72, 96}
#: Names of a gain map in XMP: Adobe's and Google's, ISO 21496-1's, Apple's.
_GAIN_MAP = (b"hdrgm:", b"iso:ts:21496", b"HDRGainMap")

#: Format -> what can be written into it.
_SUPPORTED = {
    "PNG": {"icc_profile", "exif", "xmp", "dpi", "text", "comment", "colour"},
    "JPEG": {"icc_profile", "exif", "xmp", "dpi", "comment"},
    "WEBP": {"icc_profile", "exif", "xmp"},
    "TIFF": {"icc_profile", "exif", "xmp", "dpi"},
    "GIF": {"comment"},
}
_NAMES = {
    "icc_profile": "colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "dpi": "resolution",
    "text": "texts",
    "comment": "comment",
    "colour": "colour tags",
}
_SETTINGS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
#: The longest EXIF, XMP and comment that one segment of a JPEG holds.
_JPEG_MOST = {"exif": 65533, "xmp": 65504, "comment": 65533}


def dropped(names: Iterable[str]) -> Message:
    """The note on metadata that is not in the result."""
    return Message(
        "note-metadata-dropped",
        "not carried over: {names}",
        {"names": ", ".join(names)},
    )


def read_metadata(
    path: Path, image: Image.Image, turned: Image.Image
) -> tuple[dict[str, Any], list[Message]]:
    """The metadata of an image and notes on what of them cannot be used.

    Args:
        path: the file.
        image: as it was opened.
        turned: the same with its orientation applied.

    Returns:
        Those of ``icc_profile``, ``exif`` (Pillow's), ``xmp``, ``dpi``, ``text``, ``comment`` and
        ``colour`` (PNG's chunks) that the file has.
    """
    info, missing, metadata = turned.info, [], {}
    for key in ("icc_profile", "dpi"):
        if info.get(key):
            metadata[key] = info[key]
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if xmp:
        xmp = xmp.encode() if isinstance(xmp, str) else xmp
        if any(name in xmp for name in _GAIN_MAP):
            # It would point to a gain map that is not in the result.
            missing.append("gain map")
        else:
            metadata["xmp"] = xmp
    exif, lost = _read_exif(image)
    if len(exif):
        metadata["exif"] = exif
    if lost:
        missing.append(f"EXIF ({lost} damaged tags)" if lost > 0 else "EXIF (damaged)")
    texts = {key: str(value) for key, value in getattr(image, "text", {}).items()}
    # Profiles as text: EXIF and XMP were read from them, and their orientation is applied.
    raw = {key for key in texts if key.lower().startswith("raw profile type ")}
    if any(key.lower().rpartition(" ")[2] in ("iptc", "8bim") for key in raw):
        missing.append("IPTC")
    texts = {k: v for k, v in texts.items() if k not in raw and "xmp" not in k.lower()}
    if texts:
        metadata["text"] = texts
    comment = info.get("comment") if image.format in ("JPEG", "MPO", "GIF") else None
    if comment:
        metadata["comment"] = comment.encode() if isinstance(comment, str) else bytes(comment)
    blocks = info.get("photoshop")
    tags = getattr(image, "tag_v2", {})
    if (isinstance(blocks, dict) and _IPTC_BLOCK in blocks) or any(t in tags for t in _IPTC_TAGS):
        missing.append("IPTC")
    colour = png_chunks(path, _COLOUR_CHUNKS) if image.format == "PNG" else []
    if any(_SRGB.get(kind) != content for kind, content in colour):
        metadata["colour"] = colour
    for kind in image.info.get(LEFT_OUT, ()):
        missing.append("colour profile (too large)" if kind == "iCCP" else "a text (too large)")
    return metadata, [dropped(missing)] if missing else []


def _read_exif(image: Image.Image) -> tuple[Image.Exif, int]:
    """The EXIF that can be written again, and the number of tags that cannot; -1 for all."""
    kept, lost = Image.Exif(), 0
    try:
        exif = image.getexif()
        flat = dict(exif)
        inner = {directory: dict(exif.get_ifd(directory)) for directory in (_EXIF_IFD, _GPS_IFD)}
    except Exception:  # Pillow's parser of EXIF raises many types
        return kept, -1
    for tag, value in flat.items():
        if tag in (_ORIENTATION, _EXIF_IFD, _GPS_IFD, _INTEROP_IFD):
            continue
        # The other tags of a TIFF describe the layout of its pixels.
        if image.format == "TIFF" and tag not in _DESCRIPTIVE:
            continue
        if _writable({tag: value}):
            kept[tag] = value
        else:
            lost += 1
    for directory, tags in inner.items():
        tags.pop(_INTEROP_IFD, None)
        good = {tag: value for tag, value in tags.items() if _writable({directory: {tag: value}})}
        lost += len(tags) - len(good)
        if good:
            kept.get_ifd(directory).update(good)
            kept[directory] = kept.get_ifd(directory)
    return kept, lost


def _writable(tags: dict[int, Any]) -> bool:
    probe = Image.Exif()
    try:
        for tag, value in tags.items():
            probe[tag] = value
        probe.tobytes()
    except Exception:  # Pillow's writer of EXIF raises many types
        return False
    return True


def save_with_metadata(
    save: Callable[..., None],
    metadata: dict[str, Any],
    kind: str,
    size: tuple[int, int],
) -> list[Message]:
    """Write an image with what of its metadata the format supports.

    Args:
        save: writes the pixels, given options of Pillow's writer.
        metadata: see :func:`read_metadata`.
        kind: Pillow's name of the format.
        size: width and height of the result, for the tags that repeat them.

    Returns:
        A note on what was not written.

    Raises:
        Exception: what ``save`` raises without any metadata.
    """
    kept = {key: value for key, value in metadata.items() if key in _SUPPORTED[kind]}
    missing = [key for key in metadata if key in _NAMES and key not in kept]
    if kind == "WEBP" and _resolution(metadata) is None:
        missing = [key for key in missing if key != "dpi"]
    if kind == "JPEG":
        for key, most in _JPEG_MOST.items():
            if key in kept and len(_bytes_of(kept[key])) > most:
                del kept[key]
                missing.append(key)
    while True:
        try:
            save(**_options(kept, kind, size))
            break
        except OSError:
            raise  # of the disk; with other metadata it would be the same
        except Exception:  # Pillow's writers raise many types for metadata that they cannot write
            last = next((k for k in ("exif", "xmp", "text", "comment", *_NAMES) if k in kept), None)
            if last is None:
                raise
            del kept[last]
            missing.append(last)
    return [dropped(_NAMES[key] for key in missing)] if missing else []


def _bytes_of(value: Any) -> bytes:
    return value.tobytes() if isinstance(value, Image.Exif) else value


def _resolution(metadata: dict[str, Any]) -> Any:
    """The resolution, if it was chosen by someone."""
    dpi = metadata.get("dpi")
    try:
        return None if dpi is None or {round(float(v)) for v in dpi} <= _NO_RESOLUTION else dpi
    except (TypeError, ValueError, OverflowError):
        return None


def _options(metadata: dict[str, Any], kind: str, size: tuple[int, int]) -> dict[str, Any]:
    """The options of Pillow's writer of a format: its settings, and the metadata."""
    options = dict(_SETTINGS.get(kind, {}))
    for key in ("icc_profile", "dpi", "comment"):
        if key in metadata and not (key == "comment" and kind == "PNG"):
            options[key] = metadata[key]
    xmp = metadata.get("xmp")
    exif = _exif_for(metadata.get("exif"), kind, size)
    if kind == "TIFF":
        if xmp:
            exif[_XMP_TAG] = xmp
        options["tiffinfo"] = exif
        if _EXIF_IFD in exif or _GPS_IFD in exif:
            del options["compression"]  # Pillow cannot write such tags through libtiff
    else:
        if len(exif):
            options["exif"] = exif.tobytes()
        if xmp and kind in ("WEBP", "JPEG"):
            options["xmp"] = xmp
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for name, content in metadata.get("colour", ()):
            chunks.add(name.encode(), content)
        for key, value in metadata.get("text", {}).items():
            chunks.add_itxt(key, value)
        if "comment" in metadata:
            chunks.add_itxt("Comment", metadata["comment"].decode("utf-8", "replace"))
        if xmp:
            chunks.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        options["pnginfo"] = chunks
    return options


def _exif_for(exif: Image.Exif | None, kind: str, size: tuple[int, int]) -> Image.Exif:
    """A copy with the size of the result, and for a TIFF without tags that describe pixels."""
    made = Image.Exif()
    if exif is None:
        return made
    for tag, value in exif.items():
        if tag not in (_EXIF_IFD, _GPS_IFD) and (kind != "TIFF" or tag in _DESCRIPTIVE):
            made[tag] = value
    for directory in (_EXIF_IFD, _GPS_IFD):
        if inner := dict(exif.get_ifd(directory)):
            if _WIDTH in inner:
                inner[_WIDTH], inner[_HEIGHT] = size
            made.get_ifd(directory).update(inner)
            made[directory] = made.get_ifd(directory)
    return made
