"""What is in an upload, from its header, before anything large is decoded."""

import re
from pathlib import Path

from PIL import Image

from sr_experiments.core.errors import UserError
from sr_experiments.serve.jobs import Content, Kind
from sr_experiments.serve.limits import MEGA, Limits
from sr_experiments.serve.refusals import Refusal, meaning
from sr_experiments.serve.storage import VIDEOS
from sr_experiments.upscale.image_file import ANIMATED

#: Pillow's readers that an upload may reach.
_READERS = ("GIF", "PNG", "JPEG", "BMP", "WEBP")
Image.init()  # Pillow knows WebP only then


def probe(path: Path, name: str, limits: Limits) -> Content:
    """Look at an upload.

    Args:
        path: the upload, its suffix checked.
        name: by which the visitor knows it.
        limits: what is allowed.

    Raises:
        Refusal: it is empty, not what its suffix says, or beyond a limit.
    """
    if path.stat().st_size == 0:
        raise Refusal("r_empty", name=name)
    content = _video(path, name) if path.suffix in VIDEOS else _picture(path, name, limits)
    frames = content.frames if content.kind is Kind.ANIMATION else 1
    pixels = content.width * content.height * frames
    if pixels > limits.pixels:
        raise Refusal("r_pixels", name=name, found=_mega(pixels), most=limits.megapixels)
    if content.seconds > limits.seconds:
        raise Refusal("r_seconds", name=name, most=limits.seconds)
    return content


def check_result(content: Content, scale: float, name: str, limits: Limits) -> None:
    """Refuse a result beyond the limit on its pixels."""
    frames = content.frames if content.kind is Kind.ANIMATION else 1
    pixels = int(content.width * content.height * frames * scale**2)
    if pixels > limits.result_pixels:
        most = limits.result_megapixels
        raise Refusal("r_result", name=name, found=_mega(pixels), most=most)


def _picture(path: Path, name: str, limits: Limits) -> Content:
    # Pillow's own limit and its warning are global to the process and belong to the worker, who
    # decodes; here nothing is decoded, and the header alone is asked.
    try:
        with Image.open(path, formats=_READERS) as picture:
            width, height = picture.size
            frames = getattr(picture, "n_frames", 1) if picture.format in ANIMATED else 1
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        found = [int(number) for number in re.findall(r"\d+", str(error))]
        most = limits.megapixels
        raise Refusal("r_pixels", name=name, found=_mega(max(found)), most=most) from None
    except Exception:  # whatever Pillow's readers make of it
        raise Refusal("r_picture", name=name) from None
    return Content(Kind.ANIMATION if frames > 1 else Kind.PICTURE, width, height, frames)


def _video(path: Path, name: str) -> Content:
    from sr_experiments.upscale.video.source import VideoSource  # PyAV takes a moment

    try:
        with VideoSource(path) as source:
            stream = source.stream
            seconds = float(source.total or 0)
            return Content(Kind.VIDEO, stream.width, stream.height, source.expected, seconds)
    except UserError as error:
        raise meaning(error, name) from None
    except Exception:  # a header that confuses FFmpeg
        raise Refusal("r_video", name=name) from None


def _mega(pixels: int) -> str:
    return f"{pixels / MEGA:.1f}".removesuffix(".0")
