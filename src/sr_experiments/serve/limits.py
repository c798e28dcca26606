"""What a visitor may ask of the server."""

from dataclasses import dataclass

MEGA = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Bounds that keep the server alive.

    Attributes:
        megabytes: of one uploaded file.
        megapixels: of a picture, of all frames of an animation, or of one frame of a video.
        result_megapixels: likewise, of the result.
        seconds: of a video.
        per_visitor: files that one visitor may have here.
        in_all: files that all visitors may have here.
        job_minutes: that one file may be worked on.
        keep_minutes: after which a file and its result are deleted.
        idle_seconds: that an upload may stand still.
    """

    megabytes: int = 200
    megapixels: int = 24
    result_megapixels: int = 64
    seconds: int = 120
    per_visitor: int = 20
    in_all: int = 100
    job_minutes: float = 60.0
    keep_minutes: float = 60.0
    idle_seconds: float = 60.0

    @property
    def bytes(self) -> int:
        """Of one uploaded file."""
        return self.megabytes * MEGA

    @property
    def pixels(self) -> int:
        """See ``megapixels``."""
        return self.megapixels * MEGA

    @property
    def result_pixels(self) -> int:
        """See ``result_megapixels``."""
        return self.result_megapixels * MEGA
