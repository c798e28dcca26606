"""Reading any image file as RGB, and writing PNG files atomically."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.imaging.pillow_gaps import open_image
from sr_experiments.imaging.samples import planes_of, upright, white_of

# Set once, because filters that are swapped are not thread-safe: read_image refuses such images.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
# On damaged metadata; what is dropped is noted, and damaged pixels raise.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\..*")


def read_image(path: str | Path, *, keep_grey: bool = False) -> np.ndarray:
    """Read an image as RGB.

    8 and 16 bit, floating point, grey, palette, alpha and CMYK are converted as
    :mod:`sr_experiments.imaging.samples` says; an EXIF rotation is applied. Sixteen-bit values keep
    their high byte, transparency is laid on white.

    Args:
        path: a file of any format that Pillow reads; of an animation, the first frame.
        keep_grey: leave a file of a single plane as it is, with alpha or a palette of greys too.

    Returns:
        uint8 ``(H, W, 3)``, or ``(H, W)`` for a grey file that is kept grey.

    Raises:
        UserError: the file is missing, empty, truncated, no image, or has more pixels than Pillow
            considers safe (``Image.MAX_IMAGE_PIXELS``).
    """
    path = Path(path)
    with image_errors(path), open_image(path) as image:
        pixels, limit = image.width * image.height, Image.MAX_IMAGE_PIXELS
        if limit is not None and pixels > limit:
            raise Image.DecompressionBombError(f"{pixels:,} pixels, at most {limit:,} are read")
        white = white_of(image)
        image.load()
        colour, alpha = planes_of(upright(image), path, white)
    if colour.dtype == np.uint16:
        colour = (colour >> 8).astype(np.uint8)
    if alpha is not None:
        rgb = colour if colour.shape[2] == 3 else colour.repeat(3, axis=2)
        rgba = Image.fromarray(np.dstack([rgb, alpha]))
        ground = Image.new("RGBA", rgba.size, "white")
        rgb = np.array(Image.alpha_composite(ground, rgba).convert("RGB"))
        colour = rgb if colour.shape[2] == 3 else rgb[..., :1]
    if colour.shape[2] == 1:
        return colour[..., 0] if keep_grey else colour.repeat(3, axis=2)
    return colour


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
    except (UserError, MemoryError):
        raise
    except Exception as error:  # Pillow's readers raise many types
        raise UserError(
            "image-damaged",
            "{path}: damaged image ({reason}); replace or remove it",
            path=path,
            reason=error,
        ) from None


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write a uint8 ``(H, W)`` or ``(H, W, 3)`` image as PNG, whole or not at all.

    Raises:
        UserError: the file cannot be written (no permission, no space).
    """
    with atomic_write(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
