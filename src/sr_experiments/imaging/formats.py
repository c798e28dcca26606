"""Which files are images and videos, by their suffix. Imports neither torch, NumPy nor Pillow."""

import logging
from pathlib import Path
from typing import Literal

from sr_experiments.core.errors import UserError

log = logging.getLogger(__name__)

#: Images that are read; of an animation, the first frame where one image is expected.
IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".avif"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".tga"}
)
WRITABLE_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif")
#: Videos that are read.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mkv", ".wmv", ".webm", ".mov", ".avi", ".mpg", ".mpeg", ".vob", ".flv"}
    | {".mts", ".m2ts", ".3gp"}
)
WRITABLE_VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm")

#: How MATLAB's ``imresize`` continues an image: newer versions mirror it, older ones clamp.
Border = Literal["mirror", "clamp"]
BORDERS: tuple[Border, ...] = ("mirror", "clamp")


def is_image(path: Path) -> bool:
    """Whether a path has the suffix of an image and is not hidden; the file is not opened."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder (not of its subfolders), sorted by name, without hidden files.

    What has an image's name but is no file is logged as a warning and left out.

    Raises:
        UserError: there is no such folder, it cannot be read, or it holds no image.
    """
    if not folder.is_dir():
        raise UserError("folder-missing", "{folder}: no such folder", folder=folder)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(
            "folder-unreadable",
            "{folder}: cannot be read ({reason})",
            folder=folder,
            reason=error.strerror or error,
        ) from None
    images = []
    for path in filter(is_image, entries):
        if path.is_file():
            images.append(path)
        else:
            kind = "a folder" if path.is_dir() else "not a file, or a link to a missing one"
            log.warning("%s: left out, it is %s", path, kind)
    if not images:
        names = ", ".join(path.name for path in entries[:5])
        raise UserError(
            "folder-without-images",
            "{folder}: no image in this folder; {content}",
            folder=folder,
            content=f"it holds {names} ..." if names else "it is empty",
        )
    return images
