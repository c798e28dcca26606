"""What is done with a job: the command line's own code, and bicubic beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from sr_experiments.core.device import free_memory
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image, write_png
from sr_experiments.metrics.protocols import score_image
from sr_experiments.serve.jobs import Content, Job, Kind, Measured, Settings
from sr_experiments.serve.limits import Limits
from sr_experiments.serve.model_list import Catalogue
from sr_experiments.serve.preview import first_seconds
from sr_experiments.serve.probe import check_result
from sr_experiments.serve.refusals import Refusal, meaning
from sr_experiments.upscale.convert_image import enlarge_file
from sr_experiments.upscale.upscaler import Progress, Upscaler
from sr_experiments.upscale.video.convert import VideoOptions, enlarge_video

#: RGB pictures of given sizes, as RCAN's, SwinIR's and BasicSR's tables score them.
PROTOCOL = "y"
#: Seconds of a video that are shown beside bicubic.
SHOWN_SECONDS = 10
#: Larger results are shown in part: both sides of the slider are decoded by a browser.
SHOWN_PIXELS = 16_000_000
SHOWN_SIDE = 2400
#: Of a pixel of the result, while bicubic makes it in floats, and of a finished frame; measured.
_BYTES_AT_WORK, _BYTES_KEPT = 100, 8
#: Of a pixel, beside one that goes through the network; for the progress bar.
_BICUBIC_COST = 0.15


@dataclass(frozen=True)
class Enlarging:
    """Does jobs.

    Args:
        catalogue: the networks.
        limits: what is allowed.
        kept: the folder for pictures whose owners agree, or None.
    """

    catalogue: Catalogue
    limits: Limits
    kept: Path | None = None

    def __call__(self, job: Job) -> None:
        """Do a job, or only its measuring.

        Raises:
            Cancelled: the visitor wants it no more.
            UserError: it cannot be done.
        """
        if job.measuring:
            job.measured = measure(job)
            return
        settings = job.settings
        assert settings is not None
        check_result(job.content, float(settings.scale), job.name, self.limits)
        _check_memory(job.content, settings, job.name)
        network, plain = (
            self.catalogue.upscaler(settings, job.content),
            self.catalogue.bicubic(settings),
        )
        if settings.keep and self.kept is not None and not job.kept:
            job.kept = keep(job, self.kept)
        if job.content.kind is Kind.VIDEO:
            self._video(job, network, plain)
        else:
            self._picture(job, network, plain)
        if job.truth is not None:
            try:
                job.measured = measure(job)
            except UserError as error:
                # The result stands; what is wrong is the original.
                job.truth_failure = meaning(error, job.truth_name)

    def _picture(self, job: Job, network: Upscaler, plain: Upscaler) -> None:
        content = job.content
        pixels = content.width * content.height * content.frames
        advance = self._advance(job, pixels * (1 + _BICUBIC_COST))
        target = job.folder / f"result{result_suffix(job.source, content.kind)}"
        beside = job.folder / f"bicubic{target.suffix}"
        limit = self.limits.pixels
        enlarge_file(
            job.source, beside, plain, max_pixels=limit, progress=_scaled(advance, _BICUBIC_COST)
        )
        job.notes = enlarge_file(job.source, target, network, max_pixels=limit, progress=advance)
        size = network.size(content.height, content.width)
        if content.kind is Kind.PICTURE and size[0] * size[1] > SHOWN_PIXELS:
            for path, name in ((beside, "before.png"), (target, "after.png")):
                job.check(self.limits.job_minutes)
                write_png(job.folder / name, _middle(read_image_of_ours(path)))
            job.part = True
        job.result = target

    def _video(self, job: Job, network: Upscaler, plain: Upscaler) -> None:
        content = job.content
        frame = content.width * content.height
        shown = min(SHOWN_SECONDS, content.seconds or SHOWN_SECONDS)
        frames = max(1, content.frames)
        beside = frames * (shown / content.seconds if content.seconds else 1) * _BICUBIC_COST
        # A header may say less than there is.
        most = frame * self.limits.seconds * 120
        advance = self._advance(job, frame * (frames + beside), most)
        target = job.folder / f"result{result_suffix(job.source, content.kind)}"
        limit = self.limits.pixels
        enlarge_video(
            job.source,
            job.folder / "before.mp4",
            plain,
            VideoOptions(duration=Fraction(SHOWN_SECONDS)),
            max_pixels=limit,
            progress=_scaled(advance, _BICUBIC_COST),
        )
        job.notes = enlarge_video(job.source, target, network, max_pixels=limit, progress=advance)
        first_seconds(target, job.folder / "after.mp4", SHOWN_SECONDS)
        job.result = target

    def _advance(
        self, job: Job, total: float, most: float | None = None
    ) -> Callable[[float], None]:
        done = 0.0

        def advance(pixels: float) -> None:
            nonlocal done
            done += pixels
            if most is not None and done > most:
                raise Refusal("r_seconds", name=job.name, most=self.limits.seconds)
            # What is left at the end is writing.
            job.share = min(0.99, done / total)
            job.check(self.limits.job_minutes)

        return advance


def _check_memory(content: Content, settings: Settings, name: str) -> None:
    frame = content.width * content.height * settings.scale**2
    whole = frame * content.frames if content.kind is Kind.ANIMATION else frame
    needed = _BYTES_AT_WORK * frame + _BYTES_KEPT * whole
    if needed > free_memory(torch.device("cpu")):
        raise Refusal("r_memory", name=name)


def result_suffix(source: Path, kind: Kind) -> str:
    """Of the result: PNG, an animation's own format, Matroska for Matroska, else MP4."""
    suffix = source.suffix
    if kind is Kind.VIDEO:
        return ".mkv" if suffix == ".mkv" else ".mp4"
    return suffix if kind is Kind.ANIMATION and suffix in (".gif", ".webp") else ".png"


def measure(job: Job) -> Measured:
    """PSNR and SSIM of bicubic and of the result.

    Raises:
        Refusal: the sizes differ, or the pictures are too small or too large.
        UserError: the ground truth cannot be read.
    """
    assert job.truth is not None and job.settings is not None
    truth = _tensor(read_image(job.truth))
    border = -(-job.settings.scale.numerator // job.settings.scale.denominator)
    scores = []
    for path in (job.folder / "bicubic.png", job.folder / "result.png"):
        job.check(60)
        large = _tensor(read_image_of_ours(path))
        if large.shape != truth.shape:
            raise Refusal("r_truth", name=job.truth_name, found=_sides(truth), wanted=_sides(large))
        score = score_image(large, truth, border)[PROTOCOL]
        assert score.ssim is not None
        scores.append((score.psnr, score.ssim))
    return Measured(PROTOCOL, scores[0], scores[1])


def keep(job: Job, folder: Path) -> bool:
    """Keep a still picture as PNG for ``data=folder``: its pixels, and nothing else of it.

    Returns:
        False for what is no still picture.

    Raises:
        UserError: it cannot be read or written.
    """
    if job.content.kind is not Kind.PICTURE:
        return False
    write_png(folder / f"{job.id}.png", read_image(job.source))
    return True


def read_image_of_ours(path: Path) -> np.ndarray:
    """A picture that the server wrote itself, which may be larger than one that it takes."""
    from PIL import Image

    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        return read_image(path)
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _middle(image: np.ndarray) -> np.ndarray:
    top, left = (max(0, (side - SHOWN_SIDE) // 2) for side in image.shape[:2])
    return np.ascontiguousarray(image[top : top + SHOWN_SIDE, left : left + SHOWN_SIDE])


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def _sides(picture: torch.Tensor) -> str:
    return f"{picture.shape[-1]}x{picture.shape[-2]}"


def _scaled(advance: Callable[[float], None], cost: float) -> Progress:
    return lambda pixels: advance(pixels * cost)
