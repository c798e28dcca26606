"""What is done with a job: the ``upscale`` command's own functions, and bicubic beside them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.error import FFmpegError
from PIL.PngImagePlugin import PngImageFile

from sr_experiments.core.device import free_memory
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image, write_png
from sr_experiments.metrics.protocols import PROTOCOLS
from sr_experiments.metrics.scoring import score_image
from sr_experiments.serve.jobs import Job, JobSettings, Media, MediaKind, ReferenceScores
from sr_experiments.serve.limits import Limits
from sr_experiments.serve.model_list import ModelList
from sr_experiments.serve.probe import check_result
from sr_experiments.serve.refusals import (
    VisitorError,
    for_visitor,
    out_of_memory,
    video_too_long,
)
from sr_experiments.upscale.convert_image import enlarge_file
from sr_experiments.upscale.upscaler import OUT_OF_MEMORY, Progress, Upscaler
from sr_experiments.upscale.video.convert import enlarge_video
from sr_experiments.upscale.video.options import VideoOptions

#: The scoring rule of RCAN's, SwinIR's and BasicSR's tables, for RGB images of any size.
PROTOCOL = "y"
#: Seconds of a video that are shown beside bicubic.
PREVIEW_SECONDS = 10
#: Larger results are shown cropped: a browser decodes both sides of the comparison.
PREVIEW_PIXELS = 16_000_000
PREVIEW_SIDE = 2400
#: Bytes for each pixel of the result, while bicubic computes it and once it is finished; measured.
_BYTES_AT_WORK, _BYTES_KEPT = 100, 8
#: Time that a pixel takes in bicubic, as a part of that in a network; for the progress bar.
_BICUBIC_COST = 0.15
#: Frames per second that no video exceeds, as its header may be wrong.
_MAX_RATE = 120


@dataclass(frozen=True)
class Conversion:
    """Converts the files of jobs.

    Args:
        models: the networks.
        limits: what visitors may ask.
        kept: the folder for images whose owners consent, or None.
    """

    models: ModelList
    limits: Limits
    kept: Path | None = None

    def __call__(self, job: Job) -> None:
        """Do a job, or measure one that is done.

        Raises:
            JobCancelledError: the visitor cancelled it.
            UserError: it cannot be done.
        """
        try:
            if job.measuring:
                job.scores = measure(job)
            else:
                self._convert(job)
        except OUT_OF_MEMORY:
            raise out_of_memory(job.name) from None

    def _convert(self, job: Job) -> None:
        settings = job.settings
        assert settings is not None
        check_result(job.media, float(settings.scale), job.name, self.limits)
        _check_memory(job.media, settings, job.name)
        network = self.models.upscaler(settings, job.media)
        bicubic = self.models.bicubic(settings)
        if settings.keep and self.kept is not None and not job.kept:
            job.kept = keep_image(job, self.kept)
        if job.media.kind is MediaKind.VIDEO:
            self._convert_video(job, network, bicubic)
        else:
            self._convert_image(job, network, bicubic)
        if job.reference is not None:
            try:
                job.scores = measure(job)
            except UserError as error:
                # The result is fine; it is the original that is not.
                job.reference_failure = for_visitor(error, job.reference_name)

    def _convert_image(self, job: Job, network: Upscaler, bicubic: Upscaler) -> None:
        media = job.media
        pixels = media.width * media.height * media.frames
        advance = self._progress(job, pixels * (1 + _BICUBIC_COST))
        target = job.folder / f"result{result_suffix(job.source, media.kind)}"
        beside = job.folder / f"bicubic{target.suffix}"
        limit = self.limits.pixels
        enlarge_file(
            job.source, beside, bicubic, max_pixels=limit, progress=_scaled(advance, _BICUBIC_COST)
        )
        job.notes = enlarge_file(job.source, target, network, max_pixels=limit, progress=advance)
        height, width = network.size(media.height, media.width)
        if media.kind is MediaKind.IMAGE and height * width > PREVIEW_PIXELS:
            for path, name in ((beside, "before.png"), (target, "after.png")):
                job.check(self.limits.job_minutes)
                _write_centre(path, job.folder / name)
            job.cropped = True
        job.result = target

    def _convert_video(self, job: Job, network: Upscaler, bicubic: Upscaler) -> None:
        media = job.media
        pixels = media.width * media.height
        shown = min(PREVIEW_SECONDS, media.seconds or PREVIEW_SECONDS)
        frames = max(1, media.frames)
        beside = frames * (shown / media.seconds if media.seconds else 1) * _BICUBIC_COST
        # A header may promise less than there is.
        most = pixels * self.limits.seconds * _MAX_RATE
        advance = self._progress(job, pixels * (frames + beside), most)
        target = job.folder / f"result{result_suffix(job.source, media.kind)}"
        limit = self.limits.pixels
        enlarge_video(
            job.source,
            job.folder / "before.mp4",
            bicubic,
            VideoOptions(duration=Fraction(PREVIEW_SECONDS)),
            max_pixels=limit,
            progress=_scaled(advance, _BICUBIC_COST),
        )
        job.notes = enlarge_video(job.source, target, network, max_pixels=limit, progress=advance)
        copy_beginning(target, job.folder / "after.mp4", PREVIEW_SECONDS)
        job.result = target

    def _progress(
        self, job: Job, total: float, most: float | None = None
    ) -> Callable[[float], None]:
        done = 0.0

        def advance(pixels: float) -> None:
            nonlocal done
            done += pixels
            if most is not None and done > most:
                raise video_too_long(job.name, self.limits.seconds)
            # The rest is writing.
            job.share = min(0.99, done / total)
            job.check(self.limits.job_minutes)

        return advance


def _check_memory(media: Media, settings: JobSettings, name: str) -> None:
    frame = media.width * media.height * settings.scale**2
    kept = frame * media.frames if media.kind is MediaKind.ANIMATION else frame
    if _BYTES_AT_WORK * frame + _BYTES_KEPT * kept > free_memory(torch.device("cpu")):
        raise out_of_memory(name)


def result_suffix(source: Path, kind: MediaKind) -> str:
    """Of the result: PNG, an animation's own format, Matroska for Matroska, else MP4."""
    suffix = source.suffix
    if kind is MediaKind.VIDEO:
        return ".mkv" if suffix == ".mkv" else ".mp4"
    return suffix if kind is MediaKind.ANIMATION and suffix in (".gif", ".webp") else ".png"


def measure(job: Job) -> ReferenceScores:
    """PSNR and SSIM of bicubic and of the result against the original.

    Raises:
        VisitorError: the sizes differ.
        UserError: the original cannot be read, or is too small.
    """
    assert job.reference is not None and job.settings is not None
    reference, scores = read_image(job.reference), []
    border = -(-job.settings.scale.numerator // job.settings.scale.denominator)
    for path in (job.folder / "bicubic.png", job.folder / "result.png"):
        job.check(60)
        with PngImageFile(path) as image:
            width, height = image.size
        if (height, width) != reference.shape[:2]:
            raise VisitorError(
                "reference-size-differs",
                "{name}: the original has {reference} pixels and the result {result}; only images "
                "of the same size can be compared.",
                name=job.reference_name,
                reference=f"{reference.shape[1]}x{reference.shape[0]}",
                result=f"{width}x{height}",
            )
        smallest = PROTOCOLS[PROTOCOL].min_side(border)
        if min(width, height) < smallest:
            raise VisitorError(
                "reference-too-small",
                "{name}: too small to be measured; both sides need at least {smallest} pixels.",
                name=job.reference_name,
                smallest=smallest,
            )
        score = score_image(_tensor(read_image(path)), _tensor(reference), border)[PROTOCOL]
        assert score.ssim is not None
        scores.append((score.psnr, score.ssim))
    return ReferenceScores(PROTOCOL, scores[0], scores[1])


def keep_image(job: Job, folder: Path) -> bool:
    """Keep a still image as PNG for ``data=folder``: its pixels and no metadata.

    Returns:
        False for a video or an animation, which is not kept.

    Raises:
        UserError: it cannot be read or written.
    """
    if job.media.kind is not MediaKind.IMAGE:
        return False
    write_png(folder / f"{job.id}.png", read_image(job.source))
    return True


def _write_centre(result: Path, target: Path) -> None:
    """Write the centre of a PNG of the server's own.

    Pillow's limit on the pixels of strangers' files, in ``Image.open``, does not apply to it.
    """
    with PngImageFile(result) as image:
        left, top = (max(0, (side - PREVIEW_SIDE) // 2) for side in image.size)
        right, bottom = (min(side, side // 2 + PREVIEW_SIDE // 2) for side in image.size)
        image.crop((left, top, right, bottom)).save(target)


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def _scaled(advance: Callable[[float], None], cost: float) -> Progress:
    return lambda pixels: advance(pixels * cost)


def copy_beginning(source: Path, target: Path, seconds: float) -> bool:
    """Copy the first packets of a video, without sound, into an MP4; nothing is encoded.

    Not every browser plays Matroska, and H.264 is the same in both.

    Returns:
        False if that is not possible; no file is left then.
    """
    try:
        with av.open(str(source)) as old, av.open(str(target), "w", format="mp4") as new:
            stream = old.streams.video[0]
            copy = new.add_stream_from_template(stream)
            for packet in _with_decoding_times(old.demux(stream)):
                if packet.dts * packet.time_base >= seconds:
                    break
                packet.stream = copy
                new.mux(packet)
    except (FFmpegError, OSError, ValueError):
        target.unlink(missing_ok=True)
        return False
    return True


def _with_decoding_times(packets: Iterator[Any]) -> Iterator[Any]:
    """Packets with their decoding times.

    Matroska does not store them, and FFmpeg cannot derive those of the first packets: they precede
    the first known one at even steps.
    """
    early: list[Any] = []
    for packet in packets:
        if not packet.size:
            continue
        if packet.dts is None:
            early.append(packet)
            continue
        step = packet.duration or 1
        for place, first in enumerate(early):
            first.dts = packet.dts - step * (len(early) - place)
            yield first
        early = []
        yield packet
    for packet in early:
        packet.dts = packet.pts
        if packet.pts is not None:
            yield packet
