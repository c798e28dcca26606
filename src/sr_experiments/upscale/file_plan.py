"""Which image or video is written where; NumPy and PyAV are imported only to measure files."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.formats import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    WRITABLE_IMAGE_SUFFIXES,
    is_image,
)
from sr_experiments.upscale.video.options import (
    VideoOptions,
    check_target,
    is_video,
    require_av,
    written_suffix,
)

#: Animations keep their format where a folder is written.
_ANIMATED_SUFFIXES = {".gif", ".webp"}


@dataclass(frozen=True)
class PlannedFile:
    """A file to be read, the one to be written, and its size for the progress bar.

    Attributes:
        source: an image or a video.
        target: where the result is written.
        pixels: of all frames; 0 if it is not known.
    """

    source: Path
    target: Path
    pixels: int


def plan_files(
    sources: Sequence[Path],
    target: Path,
    suffix: str,
    videos: VideoOptions,
    passed_over: Counter[str] | None = None,
) -> list[PlannedFile]:
    """Find the images and videos to enlarge, and the file that each is written to.

    Folders are searched recursively, and their tree is mirrored. Files of other types are left out
    there, but not where they are named.

    Args:
        sources: files and folders.
        target: a folder; or, for a single file, a file.
        suffix: of images in a folder, without the dot.
        videos: what was requested for videos.
        passed_over: counts the files of folders that are left out, by suffix.

    Raises:
        UserError: there is nothing to read, two files would be written to one, or a source would
            be replaced.
    """
    found = list(_found(sources, target, Counter() if passed_over is None else passed_over))
    if any(is_video(source) for source, _ in found):
        require_av()
    single = len(sources) == 1 and sources[0].is_file() and not target.is_dir()
    if single and _names_a_file(found[0][0], target):
        planned = [_planned(found[0][0], target, videos)]
    elif target.is_file() or target.suffix.lower() in WRITABLE_IMAGE_SUFFIXES or is_video(target):
        raise UserError(
            "upscale-needs-folder",
            "{target}: several files are written into a folder; name a folder",
            target=target,
        )
    else:
        planned = [_planned(source, target / name, videos, suffix=suffix) for source, name in found]
    _check_targets(planned)
    return planned


def _found(
    sources: Iterable[Path], target: Path, passed_over: Counter[str]
) -> Iterator[tuple[Path, Path]]:
    """Each file to be read, and its path below the target."""
    for source in sources:
        if source.is_file():
            yield source, Path(source.name)
        elif source.is_dir():
            names = []
            for path in sorted(source.rglob("*")):
                name = path.relative_to(source)
                hidden = any(part.startswith(".") for part in name.parts)
                # A target inside of a source is not read again.
                if hidden or path.is_dir() or target.resolve() in path.resolve().parents:
                    continue
                if not path.is_file():
                    passed_over["links to nowhere"] += 1
                elif is_image(name) or is_video(name):
                    names.append(name)
                else:
                    passed_over[name.suffix.lower() or "without suffix"] += 1
            if not names:
                raise UserError(
                    "folder-without-images-and-videos",
                    "{folder}: no image in this folder, and no video",
                    folder=source,
                )
            yield from ((source / name, name) for name in names)
        else:
            raise UserError("path-missing", "{path}: no such file or folder", path=source)


def _names_a_file(source: Path, target: Path) -> bool:
    suffix = target.suffix.lower()
    return suffix in IMAGE_SUFFIXES | VIDEO_SUFFIXES or (is_video(source) and bool(suffix))


def _planned(
    source: Path, target: Path, videos: VideoOptions, suffix: str | None = None
) -> PlannedFile:
    """Plan one file; with ``suffix`` the target has the name of the source still."""
    if is_video(source):
        if suffix is not None:
            target = target.with_suffix(written_suffix(source.suffix, videos.lossless))
        check_target(target, videos)

        from sr_experiments.upscale.video.convert import measure_video

        return PlannedFile(source, target, measure_video(source, videos))

    from sr_experiments.upscale.image_file import measure_image

    pixels, animated = measure_image(source)
    if suffix is not None:
        own = source.suffix.lower()
        keep = animated and own in _ANIMATED_SUFFIXES
        target = target.with_suffix(own if keep else f".{suffix}")
    elif target.suffix.lower() not in WRITABLE_IMAGE_SUFFIXES:
        raise UserError(
            "image-suffix",
            "{target}: an image can be written as {suffixes}",
            target=target,
            suffixes=", ".join(WRITABLE_IMAGE_SUFFIXES),
        )
    return PlannedFile(source, target, pixels)


def _check_targets(planned: Sequence[PlannedFile]) -> None:
    originals = {file.source.resolve() for file in planned}
    writers: dict[Path, Path] = {}
    for file in planned:
        if file.target in writers:
            raise UserError(
                "upscale-targets-collide",
                "{first} and {second} would both be written to {target}; rename one",
                first=writers[file.target],
                second=file.source,
                target=file.target,
            )
        writers[file.target] = file.source
        if file.target.resolve() in originals:
            raise UserError(
                "upscale-replaces-source",
                "{target}: would replace a file of IN; name another OUT",
                target=file.target,
            )
