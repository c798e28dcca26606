"""Reading any picture a person may have, and writing without leaving half a file."""

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write

#: File name suffixes that are taken for pictures when a folder is listed.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm"})


def read_image(path: str | os.PathLike[str], *, keep_grey: bool = False) -> np.ndarray:
    """Read a picture as RGB.

    8 and 16 bit, grey, palette, alpha and CMYK are converted; an EXIF rotation is applied.
    Sixteen-bit values keep their high byte, transparency is laid on white.

    Args:
        path: a file of any format that Pillow reads; of an animation, the first frame.
        keep_grey: leave a file of a single plane as it is.

    Returns:
        uint8 ``(H, W, 3)``, or ``(H, W)`` for a grey file that is kept grey.

    Raises:
        UserError: the file is missing, empty, cut short, no picture, or beyond Pillow's limit
            against decompression bombs.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                picture.load()
                rgb = _to_rgb(picture)
                grey = keep_grey and picture.getbands() in (("L",), ("I",), ("F",), ("1",))
                return np.array(rgb.getchannel(0) if grey else rgb)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, where one picture was expected") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{path}: too many pixels to be read safely ({error})") from None
    except UnidentifiedImageError:
        empty = path.stat().st_size == 0
        what = "the file is empty" if empty else "not a picture that Pillow can read"
        raise UserError(f"{path}: {what}; replace or remove it") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UserError(f"{path}: damaged picture ({error}); replace or remove it") from None


def _to_rgb(picture: Image.Image) -> Image.Image:
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture)
        # Pillow reads 16-bit grey PNG as "I;16", other programs' files sometimes as "I".
        if picture.mode.startswith("I;16") or values.max(initial=0) > 255:
            values = values.astype(np.uint32) >> 8
        picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def write_png(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write a uint8 ``(H, W)`` or ``(H, W, 3)`` image as PNG, whole or not at all.

    Raises:
        UserError: the file cannot be written (no permission, no space).
    """
    with atomic_write(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The pictures of a folder (not of its subfolders), sorted by name; hidden files left out.

    Raises:
        UserError: there is no such folder, or it holds no picture.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    found = sorted(
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
    )
    if not found:
        held = sorted(p.name for p in folder.iterdir())[:5]
        listing = f"it holds {', '.join(held)} ..." if held else "it is empty"
        raise UserError(f"{folder}: no picture here; {listing}")
    return found
