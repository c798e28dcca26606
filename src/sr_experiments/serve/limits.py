"""What a visitor may ask of the server."""

from dataclasses import dataclass

MEGA = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Bounds that keep the server alive.

    Attributes:
        megabytes: of an uploaded file.
        megapixels: of an image, of all frames of an animation, or of one frame of a video.
        result_megapixels: the same, of the result.
        seconds: of a video.
        per_visitor: files that one visitor may have on the server.
        in_all: files that all visitors together may have.
        job_minutes: that one file may be processed.
        keep_minutes: after which a file and its result are deleted.
        idle_seconds: that an upload may stall.
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
        """Of an uploaded file."""
        return self.megabytes * MEGA

    @property
    def pixels(self) -> int:
        """``megapixels`` in pixels."""
        return self.megapixels * MEGA

    @property
    def result_pixels(self) -> int:
        """``result_megapixels`` in pixels."""
        return self.result_megapixels * MEGA
