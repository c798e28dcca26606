"""What can be requested for videos; imports neither torch nor PyAV."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.formats import VIDEO_SUFFIXES, WRITABLE_VIDEO_SUFFIXES

#: Containers that are kept, and those whose audio MP4 cannot hold; all others become MP4.
_WRITTEN_AS = {".webm": ".webm", ".mkv": ".mkv", ".wmv": ".mkv", ".avi": ".mkv"}


@dataclass(frozen=True)
class VideoOptions:
    """What can be requested for videos only.

    Attributes:
        start: seconds to skip.
        duration: seconds to convert; all if None.
        crf: constant quality of the encoder, 0 (best) to 51 (H.264) or 63 (VP9), or None.
        lossless: FFV1 with the network's own RGB values, in .mkv.
        keep_readable: of a video that is cut short, write what can be read.
    """

    start: Fraction = Fraction(0)
    duration: Fraction | None = None
    crf: int | None = None
    lossless: bool = False
    keep_readable: bool = False


def is_video(path: Path) -> bool:
    """Whether a path has the suffix of a video. A GIF is an image: it keeps its palette."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def written_suffix(suffix: str, lossless: bool = False) -> str:
    """The suffix that a video's result gets where the user names only a folder."""
    return ".mkv" if lossless else _WRITTEN_AS.get(suffix.lower(), ".mp4")


def check_target(target: Path, options: VideoOptions) -> None:
    """Refuse what the container or its encoder does not support.

    Raises:
        UserError: naming the suffix or the option.
    """
    suffix = target.suffix.lower()
    if suffix not in WRITABLE_VIDEO_SUFFIXES:
        raise UserError(
            "video-suffix",
            "{target}: a video can be written as {suffixes}",
            target=target,
            suffixes=", ".join(WRITABLE_VIDEO_SUFFIXES),
        )
    if options.lossless and suffix != ".mkv":
        raise UserError(
            "lossless-needs-mkv",
            "{target}: --lossless is written as .mkv only; name a .mkv file",
            target=target,
        )
    if options.lossless and options.crf is not None:
        raise UserError(
            "crf-and-lossless", "--crf and --lossless exclude each other; leave one out"
        )
    most = 63 if suffix == ".webm" else 51
    if options.crf is not None and options.crf > most:
        raise UserError(
            "crf-out-of-range",
            "--crf {crf}: at most {most} for {suffix}",
            crf=options.crf,
            most=most,
            suffix=suffix,
        )


def require_av() -> None:
    """Raise a :class:`UserError` if PyAV is not installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        raise UserError(
            "pyav-missing",
            "videos need PyAV, which is not installed: pip install 'sr_experiments[video]'",
        ) from None
