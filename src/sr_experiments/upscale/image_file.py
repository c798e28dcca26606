"""Images with all that belongs to them: 16 bits, alpha, frames, profile and metadata."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, ImageSequence, PngImagePlugin, UnidentifiedImageError

from sr_experiments.core.errors import Message, UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.upscale.png16 import is_deep, read_deep, write_png16

#: Suffixes that can be written -> Pillow's format.
FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".gif": "GIF",
}
MAX_SIDE = {"JPEG": 65535, "WEBP": 16383, "GIF": 65535}
ANIMATED = {"GIF", "WEBP", "PNG"}
_ORIENTATION, _EXIF_IFD, _GPS_IFD, _WIDTH, _HEIGHT = 0x0112, 0x8769, 0x8825, 0xA002, 0xA003
#: Description, maker, model, software, date, artist, copyright.
_DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 33432)


@dataclass
class Frame:
    """One picture's pixels.

    Attributes:
        colour: uint8 or uint16 ``(H, W, C)``, C = 1 for grey or 3.
        alpha: ``(H, W)`` of the same type, or None.
        duration: milliseconds, of an animation.
        disposal: what a GIF does with the frame afterwards.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    duration: int = 0
    disposal: int = 0


@dataclass
class Picture:
    """A file's frames, one but for an animation, and its metadata.

    Attributes:
        frames: all of one size.
        metadata: ``icc_profile``, ``exif`` (Pillow's), ``xmp``, ``dpi``, ``text``, ``loop``; what
            the file has of them.
        notes: what could not be taken over.
    """

    frames: list[Frame]
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[Message] = field(default_factory=list)


def measure_image(path: Path) -> tuple[int, bool]:
    """Pixels of all frames, and whether there are several; from the header alone. (0, False) if it
    cannot be told.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                frames = _frames(picture)
                return picture.width * picture.height * frames, frames > 1
    except Exception:  # whatever is wrong with it is said when the picture's turn comes
        return 0, False


def read_picture(path: Path, max_pixels: int | None = None) -> Picture:
    """Read a picture, or an animation, with its metadata.

    The EXIF orientation is applied. Palettes become colour, CMYK and the like RGB.

    Args:
        path: a file of any format that Pillow reads.
        max_pixels: refuse more pixels in all frames; by default Pillow's limit.

    Raises:
        UserError: the file is missing, damaged, no picture, or too large.
    """
    limit = max_pixels if max_pixels is not None else (Image.MAX_IMAGE_PIXELS or 2**62)
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limit
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                count = picture.width * picture.height * _frames(picture)
                if count > limit:
                    raise _too_large(path, limit, f"{count:,} pixels in its frames")
                return _read(path, picture)
    except FileNotFoundError:
        raise UserError("image-missing", "{path}: no such file", path=path) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, limit, error) from None
    except UnidentifiedImageError:
        if path.stat().st_size == 0:
            raise UserError(
                "image-empty", "{path}: the file is empty; replace or remove it", path=path
            ) from None
        raise UserError(
            "image-unknown-format",
            "{path}: not an image that Pillow can read; replace or remove it",
            path=path,
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UserError(
            "image-damaged",
            "{path}: damaged image ({reason}); replace or remove it",
            path=path,
            reason=error,
        ) from None
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _too_large(path: Path, limit: int, found: object) -> UserError:
    return UserError(
        "image-too-large",
        "{path}: {found}, at most {limit:,} are read; --max-pixels raises that if you trust the "
        "file",
        path=path,
        found=found,
        limit=limit,
    )


def _frames(picture: Image.Image) -> int:
    # TIFF and MPO have pages, which are other pictures, not frames.
    return getattr(picture, "n_frames", 1) if picture.format in ANIMATED else 1


def _read(path: Path, picture: Image.Image) -> Picture:
    notes: list[Message] = []
    if picture.format == "TIFF" and getattr(picture, "n_frames", 1) > 1:
        notes.append(Message("note-pages-dropped", "only the first of its pages"))
    if _frames(picture) > 1:
        loop = {"loop": picture.info["loop"]} if "loop" in picture.info else {}
        frames = []
        for shown in ImageSequence.Iterator(picture):
            duration = int(shown.info.get("duration", 0))
            disposal = int(getattr(shown, "disposal_method", 0))
            frame = _planes(shown.convert("RGBA"))
            frames.append(Frame(frame.colour, frame.alpha, duration, disposal))
        return Picture(frames, _metadata(picture, picture) | loop, notes)
    if is_deep(picture):
        deep = read_deep(path)
        turned = _turn(deep, picture.getexif().get(_ORIENTATION, 1))
        upright = ImageOps.exif_transpose(picture)
        solid = turned.shape[2] in (1, 3)
        colour = turned if solid else turned[..., :-1]
        frame = Frame(np.ascontiguousarray(colour), None if solid else turned[..., -1].copy())
        return Picture([frame], _metadata(picture, upright), notes)
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    metadata = _metadata(picture, upright)
    if upright.mode in ("CMYK", "LAB") and "icc_profile" in metadata:
        # The profile is that of the inks, and means nothing for RGB.
        del metadata["icc_profile"]
        notes.append(
            Message(
                "note-colour-profile-dropped",
                "the profile of its {mode} colours is left out",
                {"mode": upright.mode},
            )
        )
    return Picture([_planes(upright)], metadata, notes)


def _planes(picture: Image.Image) -> Frame:
    """Colour and alpha of an upright picture, 8 or (grey only) 16 bits."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture)
        if picture.mode.startswith("I;16") or (values.max(initial=0) > 255):
            return Frame(values.clip(0, 65535).astype(np.uint16)[..., None])
        return Frame(values.clip(0, 255).astype(np.uint8)[..., None])
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        planes = np.array(picture.convert("RGBA"))
        colour = planes[..., :1] if grey else planes[..., :3]
        alpha = planes[..., 3].copy()
        return Frame(np.ascontiguousarray(colour), None if alpha.min(initial=255) == 255 else alpha)
    return Frame(
        np.array(picture.convert("L"))[..., None] if grey else np.array(picture.convert("RGB"))
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


def _metadata(picture: Image.Image, upright: Image.Image) -> dict[str, Any]:
    """Of a file as it was opened, and the same with its orientation applied."""
    info = upright.info
    found = {key: info[key] for key in ("icc_profile", "dpi") if info.get(key)}
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if xmp:
        found["xmp"] = xmp.encode() if isinstance(xmp, str) else xmp
    exif = picture.getexif()
    exif.pop(_ORIENTATION, None)
    if picture.format == "TIFF":
        exif = _descriptive(exif)
    if len(exif):
        found["exif"] = exif
    text = {k: str(v) for k, v in getattr(picture, "text", {}).items() if "xmp" not in k.lower()}
    if text:
        found["text"] = text
    return found


def _descriptive(tags: Image.Exif) -> Image.Exif:
    """A TIFF's tags without those that describe how its pixels are laid out."""
    kept = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in tags:
            kept[tag] = tags[tag]
    for directory in (_EXIF_IFD, _GPS_IFD):
        if inner := tags.get_ifd(directory):
            kept.get_ifd(directory).update(inner)
            kept[directory] = kept.get_ifd(directory)
    return kept


def write_picture(path: Path, picture: Picture) -> list[Message]:
    """Write a picture in the format that the suffix names, whole or not at all.

    Returns:
        What the format could not hold, in words.

    Raises:
        UserError: the format cannot hold the picture, or the file cannot be written.
    """
    kind = FORMATS[path.suffix.lower()]
    height, width = picture.frames[0].colour.shape[:2]
    if max(height, width) > MAX_SIDE.get(kind, 2**31 - 1):
        raise UserError(
            f"{path}: {kind} holds at most {MAX_SIDE[kind]} pixels a side, and the result is "
            f"{width}x{height}; name another format"
        )
    notes = list(picture.notes)
    frames = picture.frames
    if len(frames) > 1 and kind not in ANIMATED:
        raise UserError(f"{path}: {kind} holds no animation; name a .gif, .webp or .png file")
    given = _writable(picture.metadata, kind, width, height)
    deep = frames[0].colour.dtype == np.uint16
    grey = frames[0].colour.shape[2] == 1
    if deep and kind == "PNG":
        frame = frames[0]
        planes = [frame.colour] + ([] if frame.alpha is None else [frame.alpha[..., None]])
        with atomic_write(path) as temporary:
            write_png16(temporary, np.concatenate(planes, axis=2), **given)
        return notes
    if deep and kind == "TIFF":
        if not grey or frames[0].alpha is not None:
            raise UserError(f"{path}: 16-bit colour is written as PNG only; name a .png file")
    elif deep:
        notes.append(
            Message(
                "note-image-depth-reduced",
                "{format} has 8 bits a channel, the image had 16",
                {"format": kind},
            )
        )
    if kind == "JPEG" and frames[0].alpha is not None:
        notes.append(Message("note-alpha-dropped", "JPEG has no alpha, the image is laid on white"))
    images = [_image(frame, kind) for frame in frames]
    if len(images) > 1:
        given |= {"save_all": True, "append_images": images[1:]}
        given["duration"] = [frame.duration for frame in frames]
        if "loop" in picture.metadata:
            given["loop"] = picture.metadata["loop"]
        if kind == "GIF":
            given["disposal"] = [frame.disposal for frame in frames]
    with atomic_write(path) as temporary:
        try:
            images[0].save(temporary, format=kind, **given)
        except (ValueError, SystemError) as error:
            raise UserError(f"{path}: cannot be written as {kind} ({error})") from None
    return notes


def _image(frame: Frame, kind: str) -> Image.Image:
    colour, alpha = frame.colour, frame.alpha
    if colour.dtype == np.uint16 and kind != "TIFF":
        colour = _eight(colour)
        alpha = None if alpha is None else _eight(alpha)
    image = Image.fromarray(colour[..., 0] if colour.shape[2] == 1 else colour)
    if alpha is None:
        return image
    if kind == "GIF":  # there is opaque and transparent, and nothing between
        alpha = np.where(alpha < 128, 0, 255).astype(np.uint8)
    image.putalpha(Image.fromarray(alpha))
    if kind == "JPEG":
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGBA") if kind == "GIF" else image


def _eight(values: np.ndarray) -> np.ndarray:
    """16 bits to 8, rounded: 65535 is 255."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _writable(metadata: dict[str, Any], kind: str, width: int, height: int) -> dict[str, Any]:
    """Metadata as the writer of a format takes it, and the format's own settings."""
    settings: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"lossless": True, "exact": True},
        "TIFF": {"compression": "tiff_adobe_deflate"},
    }
    given = dict(settings.get(kind, {}))
    if kind == "GIF":
        return given
    given |= {k: metadata[k] for k in ("icc_profile",) if k in metadata}
    if "dpi" in metadata and kind != "WEBP":
        given["dpi"] = metadata["dpi"]
    if "exif" in metadata:
        exif = metadata["exif"]
        inner = exif.get_ifd(_EXIF_IFD)
        if _WIDTH in inner:
            inner[_WIDTH], inner[_HEIGHT] = width, height
        given["exif"] = exif.tobytes()
        if kind == "TIFF" and inner:
            del given["compression"]  # Pillow cannot write such tags through libtiff
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for key, value in metadata.get("text", {}).items():
            chunks.add_itxt(key, value)
        if "xmp" in metadata:
            chunks.add_itxt("XML:com.adobe.xmp", metadata["xmp"].decode("utf-8", "replace"))
        given["pnginfo"] = chunks
    elif "xmp" in metadata and kind in ("WEBP", "JPEG"):
        given["xmp"] = metadata["xmp"]
    return given
