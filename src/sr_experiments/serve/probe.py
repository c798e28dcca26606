"""What an upload holds, read from its header before anything large is decoded."""

from pathlib import Path

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.formats import VIDEO_SUFFIXES
from sr_experiments.imaging.pillow_gaps import open_image
from sr_experiments.serve.jobs import Media, MediaKind
from sr_experiments.serve.limits import MEGA, Limits
from sr_experiments.serve.refusals import (
    VisitorError,
    for_visitor,
    too_many_pixels,
    upload_empty,
    upload_type,
    video_too_long,
)

#: Images that a browser shows, so that they can be previewed and compared.
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".gif"})
#: Pillow's readers that an upload may reach.
_READERS = ("GIF", "PNG", "JPEG", "BMP", "WEBP")
#: Formats whose further frames are an animation.
_ANIMATED = ("GIF", "PNG", "WEBP")


def listed(suffixes: frozenset[str]) -> str:
    """Suffixes for a sentence: ``BMP, GIF, PNG``."""
    return ", ".join(sorted(suffix[1:].upper() for suffix in suffixes))


def checked_suffix(name: str, *, images_only: bool = False) -> str:
    """The suffix of a client's file name, in lower case.

    Raises:
        VisitorError: files of this type are not taken.
    """
    suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
    if suffix in IMAGES or (suffix in VIDEO_SUFFIXES and not images_only):
        return suffix
    raise upload_type(name, listed(IMAGES), listed(VIDEO_SUFFIXES))


def probe(path: Path, name: str, limits: Limits) -> Media:
    """Read the header of an upload.

    Args:
        path: the upload, its suffix checked.
        name: the visitor's name of it.
        limits: what is allowed.

    Raises:
        VisitorError: it is empty, not of the type that its suffix claims, or beyond a limit.
    """
    if path.stat().st_size == 0:
        raise upload_empty(name)
    media = _video(path, name) if path.suffix in VIDEO_SUFFIXES else _image(path, name, limits)
    if _pixels(media) > limits.pixels:
        raise too_many_pixels(name, limits.megapixels)
    if media.seconds > limits.seconds:
        raise video_too_long(name, limits.seconds)
    return media


def check_result(media: Media, scale: float, name: str, limits: Limits) -> None:
    """Refuse a result beyond the limit of pixels.

    Raises:
        VisitorError: it would be too large.
    """
    pixels = int(_pixels(media) * scale**2)
    if pixels > limits.result_pixels:
        raise VisitorError(
            "result-too-many-pixels",
            "{name}: the result would have {found} megapixels; the limit is {limit}. Choose a "
            "smaller scale.",
            name=name,
            found=f"{pixels / MEGA:.1f}".removesuffix(".0"),
            limit=limits.result_megapixels,
        )


def _pixels(media: Media) -> int:
    frames = media.frames if media.kind is MediaKind.ANIMATION else 1
    return media.width * media.height * frames


def _image(path: Path, name: str, limits: Limits) -> Media:
    try:
        with open_image(path, _READERS) as image:
            width, height = image.size
            frames = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
    except Exception:  # Pillow's readers raise many types
        raise VisitorError(
            "upload-not-an-image",
            "{name}: the image is damaged, or its content does not match its file type.",
            name=name,
        ) from None
    return Media(MediaKind.ANIMATION if frames > 1 else MediaKind.IMAGE, width, height, frames)


def _video(path: Path, name: str) -> Media:
    from sr_experiments.upscale.video.source import VideoSource  # loads FFmpeg's libraries

    try:
        with VideoSource(path) as source:
            stream = source.stream
            seconds = float(source.total or 0)
            return Media(MediaKind.VIDEO, stream.width, stream.height, source.expected, seconds)
    except UserError as error:
        raise for_visitor(error, name) from None
    except Exception:  # a header that FFmpeg does not understand
        raise VisitorError(
            "upload-not-a-video",
            "{name}: the video is damaged, or its content does not match its file type.",
            name=name,
        ) from None
