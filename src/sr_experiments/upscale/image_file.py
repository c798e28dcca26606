"""Reading and writing images with 16 bits, alpha, frames, colour profile and metadata."""

import itertools
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from sr_experiments.core.errors import Message, UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.imaging.io import image_errors
from sr_experiments.imaging.pillow_gaps import is_deep, open_image, read_deep, write_png16
from sr_experiments.imaging.samples import planes_of, upright, white_of
from sr_experiments.upscale.image_metadata import read_metadata, save_with_metadata

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
_ORIENTATION = 0x0112
#: Bytes in which the header of an AVIF or JPEG 2000 is looked for.
_HEAD = 1 << 14


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
        metadata: of :func:`read_metadata`, and ``loop`` of an animation.
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
    if _frame_count(image) > 1:
        return _read_animation(path, image)
    notes = _notes_on(path, image)
    white, deep = white_of(image), is_deep(image)
    if not deep:
        image.load()
    turned = upright(image)
    metadata, missing = read_metadata(path, image, turned)
    if deep:
        planes = _turn(read_deep(path), image.getexif().get(_ORIENTATION, 1))
        solid = planes.shape[2] in (1, 3)
        colour = np.ascontiguousarray(planes if solid else planes[..., :-1])
        return ImageContent(
            [Frame(colour, None if solid else planes[..., -1].copy())], metadata, notes + missing
        )
    if turned.mode in ("CMYK", "LAB") and "icc_profile" in metadata:
        # It describes inks or Lab, and does not apply to RGB.
        del metadata["icc_profile"]
        notes.append(
            Message(
                "note-colour-profile-dropped",
                "the profile of its {mode} colours is dropped",
                {"mode": turned.mode},
            )
        )
    if turned.mode == "F":
        notes.append(Message("note-floats-rounded", "its floating-point samples became 16 bits"))
    return ImageContent([Frame(*planes_of(turned, path, white))], metadata, notes + missing)


def _read_animation(path: Path, image: Image.Image) -> ImageContent:
    loop = {"loop": image.info["loop"]} if "loop" in image.info else {}
    metadata, notes = read_metadata(path, image, image)
    frames = []
    for shown in ImageSequence.Iterator(image):
        shown.load()  # before that a WebP has the time of the frame before
        duration = round(float(shown.info.get("duration", 0)))
        disposal = int(getattr(shown, "disposal_method", 0))
        colour, alpha = planes_of(shown.convert("RGBA"), path, None)
        frames.append(Frame(colour, alpha, duration, disposal))
    if getattr(image, "default_image", False) and len(frames) > 1:
        # Programs that know no animated PNG show it instead; it is not part of the animation.
        del frames[0]
    return ImageContent(frames, metadata | loop, notes)


def _notes_on(path: Path, image: Image.Image) -> list[Message]:
    """What of a file Pillow does not read."""
    notes = []
    others = getattr(image, "n_frames", 1) - 1
    if others > 0 and image.format == "TIFF":
        notes.append(Message("note-pages-dropped", "only the first page is used"))
    elif others > 0:
        # A gain map, a second view, a depth map; or the frames of an AVIF.
        notes.append(
            Message(
                "note-images-dropped",
                "the file holds {count} images, of which the first is used; the others, such as "
                "a gain map, are dropped",
                {"count": others + 1},
            )
        )
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if _has_more_bits(image, head):
        notes.append(
            Message(
                "note-bits-not-read",
                "8 bits per channel were read, the file has more",
            )
        )
    return notes


def _has_more_bits(image: Image.Image, head: bytes) -> bool:
    """Whether a file has more bits per channel than Pillow reads of it."""
    if image.mode not in ("RGB", "RGBA", "L", "LA"):
        return False
    if image.format == "PPM":
        tile = getattr(image, "tile", None)
        arguments = tile[0][3] if tile else ""
        # The largest value; or the raw mode, of which those of 16 bits have no other.
        return isinstance(arguments, tuple) and any(
            isinstance(value, int) and value > 255 for value in arguments
        )
    if image.format == "AVIF":
        at = head.find(b"av1C")  # AV1 in ISOBMFF, section 2.3: the flag high_bitdepth
        return at > 0 and len(head) > at + 6 and bool(head[at + 6] & 0x40)
    if image.format == "JPEG2000":
        at = head.find(b"\xff\x4f\xff\x51")  # ISO 15444-1, A.5.1: SIZ, and in it Ssiz
        return at > 0 and len(head) > at + 42 and (head[at + 42] & 0x7F) > 7
    return False


def _turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


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
    metadata, size = content.metadata, (width, height)
    deep = frames[0].colour.dtype == np.uint16
    grey = frames[0].colour.shape[2] == 1
    if deep and kind == "PNG":
        frame = frames[0]
        planes = [frame.colour] + ([] if frame.alpha is None else [frame.alpha[..., None]])
        pixels = np.concatenate(planes, axis=2)
        with atomic_write(path) as temporary:
            save = partial(write_png16, temporary, pixels)
            return notes + save_with_metadata(save, metadata, kind, size)
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
    options: dict[str, Any] = {}
    times = [frame.duration for frame in frames]
    if kind == "GIF" and len(images) > 1 and all(image == images[0] for image in images):
        # Pillow makes one frame of equal ones, and then cannot write their times.
        images, options = images[:1], {"duration": sum(times)}
    elif len(images) > 1:
        if kind == "GIF":
            times = _hundredths(times)
            options["disposal"] = [frame.disposal for frame in frames]
        if times != [frame.duration for frame in frames]:
            notes.append(
                Message("note-times-rounded", "GIF shows frames for whole hundredths of a second")
            )
        options |= {"save_all": True, "append_images": images[1:], "duration": times}
        if "loop" in metadata:
            options["loop"] = metadata["loop"]
    with atomic_write(path) as temporary:
        save = partial(images[0].save, temporary, format=kind, **options)
        try:
            return notes + save_with_metadata(save, metadata, kind, size)
        except (ValueError, SystemError, RuntimeError) as error:
            raise UserError(
                "image-not-encodable",
                "{path}: cannot be written as {format} ({reason})",
                path=path,
                format=kind,
                reason=error,
            ) from None


def _hundredths(times: list[int]) -> list[int]:
    """Durations in ms rounded to 10 ms, each frame ending as near as can be to its time."""
    ends = [round(end / 10) * 10 for end in itertools.accumulate(times)]
    return [end - begin for begin, end in itertools.pairwise([0, *ends])]


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
