"""What a file's numbers mean: from any of Pillow's modes to 8 or 16 bits of full range.

One rule for scoring, training and enlarging, so that an image is the same wherever it is read. The
table of all sample formats is in ``docs/files.md``.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from sr_experiments.core.errors import UserError

#: TIFF's tags: bits per sample, and the largest value of unsigned or of any samples.
_BITS, _MAX_SAMPLE, _MAX_SAMPLE_ANY = 258, 281, 341
#: Floating-point samples may leave 0..1 by half a level of 8 bits.
_SLACK = 0.5 / 255


def upright(image: Image.Image) -> Image.Image:
    """The image with its EXIF orientation applied; as it is stored where the EXIF is damaged."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow's parser of EXIF raises many types
        return image


def white_of(image: Image.Image) -> float | None:
    """The sample of an opened image that means white, where its mode does not tell.

    Returns:
        1.0 for floating point, 65535 or less for 16 bits, None where it cannot be known.
    """
    if image.mode == "F":
        return 1.0
    tags: Any = getattr(image, "tag_v2", {})
    for tag in (_MAX_SAMPLE, _MAX_SAMPLE_ANY):
        try:
            largest = tags.get(tag)
            largest = float(largest[0] if isinstance(largest, tuple) else largest)
        except (TypeError, ValueError, IndexError, ArithmeticError):
            continue
        if largest > 255:
            return largest
    if image.mode.startswith("I;16"):
        bits = tags.get(_BITS, (16,))[0]
        return float(2**bits - 1) if 8 < bits < 16 else 65535.0
    # Pillow stores 16-bit grey of PNG and PPM in 32 bits, too.
    return 65535.0 if image.format in ("PNG", "PPM") else None


def is_grey(image: Image.Image) -> bool:
    """Whether a loaded image has a single plane of colour, be it as the colours of a palette."""
    if image.mode.startswith("I") or image.mode in ("1", "L", "LA", "La", "F"):
        return True
    if image.mode not in ("P", "PA"):
        return False
    palette = np.array(image.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
    used = np.unique(np.asarray(image.getchannel(0)))
    colours = palette[used[used < len(palette)]]
    return bool((colours == colours[:, :1]).all())


def planes_of(
    image: Image.Image, path: Path, white: float | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Colour and alpha of a loaded, upright image.

    Args:
        image: of any mode.
        path: for errors.
        white: see :func:`white_of`, of the image as it was opened.

    Returns:
        uint8 or (grey only) uint16 ``(H, W, C)``, C = 1 for grey or 3; and alpha, uint8 ``(H, W)``,
        or None where all is opaque.

    Raises:
        UserError: the range of its samples cannot be known.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _sixteen(np.asarray(image), path, white)[..., None], None
    grey = is_grey(image)
    if image.has_transparency_data:
        planes = np.array(image.convert("RGBA"))
        colour = planes[..., :1] if grey else planes[..., :3]
        alpha = planes[..., 3].copy()
        return np.ascontiguousarray(colour), None if alpha.min(initial=255) == 255 else alpha
    if image.mode == "LAB":
        return np.array(_from_lab(image)), None
    return np.array(image.convert("L"))[..., None] if grey else np.array(image.convert("RGB")), None


def _sixteen(values: np.ndarray, path: Path, white: float | None) -> np.ndarray:
    """Samples of more than 8 bits as uint16 of full range."""
    low, high = values.min(initial=0), values.max(initial=0)
    floating = values.dtype.kind == "f"
    slack = _SLACK if floating else 0.0
    if white is None or not (-slack * white <= low and high <= white * (1 + slack)):
        raise UserError(
            "sample-range-unknown",
            "{path}: {kind} samples from {low:g} to {high:g}, and {expected}; convert it to 8 or "
            "16 bits",
            path=path,
            kind="floating-point" if floating else "integer",
            low=low,
            high=high,
            expected="the file does not say which is white"
            if white is None
            else f"0 to {white:g} is expected",
        )
    if white == 65535:
        return values.astype(np.uint16)
    scaled = values.astype(np.float64) * (65535 / white)
    return (scaled + 0.5).clip(0, 65535).astype(np.uint16)


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None  # as it is not in place
    return converted
