"""Reading any image file as RGB, and writing PNG files atomically."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write

# Set once, because filters that are swapped are not thread-safe: read_image refuses such images.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def read_image(path: str | Path, *, keep_grey: bool = False) -> np.ndarray:
    """Read an image as RGB.

    8 and 16 bit, grey, palette, alpha and CMYK are converted; an EXIF rotation is applied.
    Sixteen-bit values keep their high byte, transparency is laid on white.

    Args:
        path: a file of any format that Pillow reads; of an animation, the first frame.
        keep_grey: leave a file of a single plane as it is.

    Returns:
        uint8 ``(H, W, 3)``, or ``(H, W)`` for a grey file that is kept grey.

    Raises:
        UserError: the file is missing, empty, truncated, no image, or has more pixels than Pillow
            considers safe (``Image.MAX_IMAGE_PIXELS``).
    """
    path = Path(path)
    with image_errors(path), Image.open(path) as image:
        pixels, limit = image.width * image.height, Image.MAX_IMAGE_PIXELS
        if limit is not None and pixels > limit:
            raise Image.DecompressionBombError(f"{pixels:,} pixels, at most {limit:,} are read")
        image.load()
        rgb = _to_rgb(image)
        grey = keep_grey and image.getbands() in (("L",), ("I",), ("F",), ("1",))
        return np.array(rgb.getchannel(0) if grey else rgb)


@contextmanager
def image_errors(path: Path) -> Iterator[None]:
    """Turn what Pillow raises while it reads a file into a :class:`UserError` that names the file.

    Raises:
        UserError: see :func:`read_image`.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError("image-missing", "{path}: no such file", path=path) from None
    except IsADirectoryError:
        raise UserError(
            "image-is-a-folder", "{path}: a folder, where one image was expected", path=path
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(
            "image-unsafe", "{path}: too many pixels to be read ({reason})", path=path, reason=error
        ) from None
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


def _to_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        # Pillow reads 16-bit grey PNG as "I;16", other programs' files sometimes as "I".
        if image.mode.startswith("I;16") or values.max(initial=0) > 255:
            values = values.astype(np.uint32) >> 8
        image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write a uint8 ``(H, W)`` or ``(H, W, 3)`` image as PNG, whole or not at all.

    Raises:
        UserError: the file cannot be written (no permission, no space).
    """
    with atomic_write(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
