"""Reading and writing images with 16 bits, alpha, frames, colour profile and metadata."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, ImageSequence, PngImagePlugin

from sr_experiments.core.errors import Message, UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.imaging.io import image_errors
from sr_experiments.upscale.pillow_gaps import is_deep, open_image, read_deep, write_png16

#: Suffix that can be written -> Pillow's format.
_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".gif": "GIF",
}
#: Format -> the longest side in pixels.
_MAX_SIDE = {"JPEG": 65535, "WEBP": 16383, "GIF": 65535}
_ANIMATED = {"GIF", "WEBP", "PNG"}
_ORIENTATION, _EXIF_IFD, _GPS_IFD, _WIDTH, _HEIGHT = 0x0112, 0x8769, 0x8825, 0xA002, 0xA003
#: TIFF tags: description, maker, model, software, date, artist, copyright.
_DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 33432)


@dataclass
class Frame:
    """Pixels of an image, or of one frame of an animation.

    Attributes:
        colour: uint8 or uint16 ``(H, W, C)``, C = 1 for grey or 3.
        alpha: ``(H, W)`` of the same type, or None.
        duration: milliseconds, in an animation.
        disposal: GIF's disposal method: what happens to the frame before the next.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    duration: int = 0
    disposal: int = 0


@dataclass
class ImageContent:
    """The content of an image file.

    Attributes:
        frames: of one size; several in an animation.
        metadata: ``icc_profile``, ``exif`` (Pillow's), ``xmp``, ``dpi``, ``text``, ``loop``; those
            that the file has.
        notes: what of the file is missing here.
    """

    frames: list[Frame]
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[Message] = field(default_factory=list)


def measure_image(path: Path) -> tuple[int, bool]:
    """Pixels of all frames, and whether there are several, from the header.

    (0, False) if it cannot be read; reading the image will tell why.
    """
    try:
        with open_image(path) as image:
            return image.width * image.height * _frame_count(image), _frame_count(image) > 1
    except Exception:  # Pillow's readers raise many types
        return 0, False


def read_image_file(path: Path, max_pixels: int | None = None) -> ImageContent:
    """Read an image or an animation with its metadata.

    The EXIF orientation is applied. Palettes, CMYK and the like are converted to RGB.

    Args:
        path: a file of any format that Pillow reads.
        max_pixels: refuse more pixels in all frames; by default ``Image.MAX_IMAGE_PIXELS``.

    Raises:
        UserError: the file is missing, damaged, not an image, or too large.
    """
    limit = Image.MAX_IMAGE_PIXELS if max_pixels is None else max_pixels
    with image_errors(path), open_image(path) as image:
        pixels = image.width * image.height * _frame_count(image)
        if limit is not None and pixels > limit:
            raise UserError(
                "image-too-large",
                "{path}: {pixels:,} pixels, at most {limit:,} are read; --max-pixels raises that "
                "if you trust the file",
                path=path,
                pixels=pixels,
                limit=limit,
            )
        return _read(path, image)


def _frame_count(image: Image.Image) -> int:
    # TIFF and MPO have pages, which are other images, not frames.
    return getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1


def _read(path: Path, image: Image.Image) -> ImageContent:
    notes: list[Message] = []
    if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
        notes.append(Message("note-pages-dropped", "only the first page is used"))
    if _frame_count(image) > 1:
        loop = {"loop": image.info["loop"]} if "loop" in image.info else {}
        frames = []
        for shown in ImageSequence.Iterator(image):
            duration = int(shown.info.get("duration", 0))
            disposal = int(getattr(shown, "disposal_method", 0))
            frame = _planes(shown.convert("RGBA"))
            frames.append(Frame(frame.colour, frame.alpha, duration, disposal))
        return ImageContent(frames, _metadata(image, image) | loop, notes)
    if is_deep(image):
        deep = read_deep(path)
        turned = _turn(deep, image.getexif().get(_ORIENTATION, 1))
        upright = ImageOps.exif_transpose(image)
        solid = turned.shape[2] in (1, 3)
        colour = turned if solid else turned[..., :-1]
        frame = Frame(np.ascontiguousarray(colour), None if solid else turned[..., -1].copy())
        return ImageContent([frame], _metadata(image, upright), notes)
    image.load()
    upright = ImageOps.exif_transpose(image)
    metadata = _metadata(image, upright)
    if upright.mode in ("CMYK", "LAB") and "icc_profile" in metadata:
        # It describes inks or Lab, and does not apply to RGB.
        del metadata["icc_profile"]
        notes.append(
            Message(
                "note-colour-profile-dropped",
                "the profile of its {mode} colours is dropped",
                {"mode": upright.mode},
            )
        )
    return ImageContent([_planes(upright)], metadata, notes)


def _planes(image: Image.Image) -> Frame:
    """Colour and alpha of an upright image, 8 or (grey only) 16 bits."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        if image.mode.startswith("I;16") or (values.max(initial=0) > 255):
            return Frame(values.clip(0, 65535).astype(np.uint16)[..., None])
        return Frame(values.clip(0, 255).astype(np.uint8)[..., None])
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        planes = np.array(image.convert("RGBA"))
        colour = planes[..., :1] if grey else planes[..., :3]
        alpha = planes[..., 3].copy()
        return Frame(np.ascontiguousarray(colour), None if alpha.min(initial=255) == 255 else alpha)
    return Frame(
        np.array(image.convert("L"))[..., None] if grey else np.array(image.convert("RGB"))
    )


def _turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _metadata(image: Image.Image, upright: Image.Image) -> dict[str, Any]:
    """The metadata of an image, given as it was opened and with its orientation applied."""
    info = upright.info
    metadata = {key: info[key] for key in ("icc_profile", "dpi") if info.get(key)}
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if xmp:
        metadata["xmp"] = xmp.encode() if isinstance(xmp, str) else xmp
    exif = image.getexif()
    exif.pop(_ORIENTATION, None)
    if image.format == "TIFF":
        exif = _descriptive(exif)
    if len(exif):
        metadata["exif"] = exif
    text = {k: str(v) for k, v in getattr(image, "text", {}).items() if "xmp" not in k.lower()}
    if text:
        metadata["text"] = text
    return metadata


def _descriptive(tags: Image.Exif) -> Image.Exif:
    """The tags of a TIFF without those that describe the layout of its pixels."""
    kept = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in tags:
            kept[tag] = tags[tag]
    for directory in (_EXIF_IFD, _GPS_IFD):
        if inner := tags.get_ifd(directory):
            kept.get_ifd(directory).update(inner)
            kept[directory] = kept.get_ifd(directory)
    return kept


def write_image_file(path: Path, content: ImageContent) -> list[Message]:
    """Write an image in the format that the suffix names, whole or not at all.

    Returns:
        Notes on what is missing in the file.

    Raises:
        UserError: the format does not support the image, or the file cannot be written.
    """
    kind = _FORMATS[path.suffix.lower()]
    height, width = content.frames[0].colour.shape[:2]
    most = _MAX_SIDE.get(kind, 2**31 - 1)
    if max(height, width) > most:
        raise UserError(
            "format-side-limit",
            "{path}: {format} supports at most {most} pixels a side, and the result is "
            "{width}x{height}; name another format",
            path=path,
            format=kind,
            most=most,
            width=width,
            height=height,
        )
    notes = list(content.notes)
    frames = content.frames
    if len(frames) > 1 and kind not in _ANIMATED:
        raise UserError(
            "format-without-animation",
            "{path}: {format} does not support animations; name a .gif, .webp or .png file",
            path=path,
            format=kind,
        )
    options = _save_options(content.metadata, kind, width, height)
    deep = frames[0].colour.dtype == np.uint16
    grey = frames[0].colour.shape[2] == 1
    if deep and kind == "PNG":
        frame = frames[0]
        planes = [frame.colour] + ([] if frame.alpha is None else [frame.alpha[..., None]])
        with atomic_write(path) as temporary:
            write_png16(temporary, np.concatenate(planes, axis=2), **options)
        return notes
    if deep and kind == "TIFF":
        if not grey or frames[0].alpha is not None:
            raise UserError(
                "deep-colour-needs-png",
                "{path}: 16-bit colour is written as PNG only; name a .png file",
                path=path,
            )
    elif deep:
        notes.append(
            Message(
                "note-image-depth-reduced",
                "{format} has 8 bits per channel, the image had 16",
                {"format": kind},
            )
        )
    if kind == "JPEG" and frames[0].alpha is not None:
        notes.append(
            Message("note-alpha-dropped", "JPEG has no alpha; the image is placed on white")
        )
    images = [_image(frame, kind) for frame in frames]
    if len(images) > 1:
        options |= {"save_all": True, "append_images": images[1:]}
        options["duration"] = [frame.duration for frame in frames]
        if "loop" in content.metadata:
            options["loop"] = content.metadata["loop"]
        if kind == "GIF":
            options["disposal"] = [frame.disposal for frame in frames]
    with atomic_write(path) as temporary:
        try:
            images[0].save(temporary, format=kind, **options)
        except (ValueError, SystemError) as error:
            raise UserError(
                "image-not-encodable",
                "{path}: cannot be written as {format} ({reason})",
                path=path,
                format=kind,
                reason=error,
            ) from None
    return notes


def _image(frame: Frame, kind: str) -> Image.Image:
    colour, alpha = frame.colour, frame.alpha
    if colour.dtype == np.uint16 and kind != "TIFF":
        colour = _eight(colour)
        alpha = None if alpha is None else _eight(alpha)
    image = Image.fromarray(colour[..., 0] if colour.shape[2] == 1 else colour)
    if alpha is None:
        return image
    if kind == "GIF":  # which has a transparent colour, and no alpha
        alpha = np.where(alpha < 128, 0, 255).astype(np.uint8)
    image.putalpha(Image.fromarray(alpha))
    if kind == "JPEG":
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGBA") if kind == "GIF" else image


def _eight(values: np.ndarray) -> np.ndarray:
    """16 bits to 8, rounded: 65535 is 255."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _save_options(metadata: dict[str, Any], kind: str, width: int, height: int) -> dict[str, Any]:
    """The options of Pillow's writer of a format: its settings, and the metadata it supports."""
    settings: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"lossless": True, "exact": True},
        "TIFF": {"compression": "tiff_adobe_deflate"},
    }
    options = dict(settings.get(kind, {}))
    if kind == "GIF":
        return options
    options |= {k: metadata[k] for k in ("icc_profile",) if k in metadata}
    if "dpi" in metadata and kind != "WEBP":
        options["dpi"] = metadata["dpi"]
    if "exif" in metadata:
        exif = metadata["exif"]
        inner = exif.get_ifd(_EXIF_IFD)
        if _WIDTH in inner:
            inner[_WIDTH], inner[_HEIGHT] = width, height
        options["exif"] = exif.tobytes()
        if kind == "TIFF" and inner:
            del options["compression"]  # Pillow cannot write such tags through libtiff
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for key, value in metadata.get("text", {}).items():
            chunks.add_itxt(key, value)
        if "xmp" in metadata:
            chunks.add_itxt("XML:com.adobe.xmp", metadata["xmp"].decode("utf-8", "replace"))
        options["pnginfo"] = chunks
    elif "xmp" in metadata and kind in ("WEBP", "JPEG"):
        options["xmp"] = metadata["xmp"]
    return options
