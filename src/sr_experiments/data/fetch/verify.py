"""Verify every image of a data set.

Each image is decoded. Where LR images lie beside the HR images, they are compared with the
suite's own bicubic, value by value: newer MATLABs mirror at the border, older ones clamp, and a
set made by one of the two agrees in every value with that one.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sr_experiments.core.console import output
from sr_experiments.core.errors import UserError
from sr_experiments.data import catalogue, layouts
from sr_experiments.imaging.io import read_image

if TYPE_CHECKING:
    from sr_experiments.imaging.formats import Border

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass
class LrReport:
    """LR images on disk against the suite's bicubic.

    Args:
        scale: their scale.
        differing: for each border tried (``mirror``, then ``clamp`` if mirror differs), how many
            values differ.
        values: how many values were compared.
    """

    scale: int
    differing: dict[str, int] = field(default_factory=dict)
    values: int = 0


@dataclass
class Report:
    """What was found in one set.

    Args:
        name: the set.
        folder: where its HR images lie.
        expected: how many it should hold.
        sizes: ``(width, height)`` of each HR image that could be read.
        damaged: one line for each file that is broken, LR images of a wrong size included.
        lr: one entry for each scale whose LR images are on disk.
    """

    name: str
    folder: Path
    expected: int
    sizes: list[tuple[int, int]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    lr: list[LrReport] = field(default_factory=list)
    found: int = 0

    @property
    def broken(self) -> bool:
        """Whether a file is damaged or missing. Differing LR values alone break nothing."""
        return bool(self.damaged) or self.found < self.expected


def verify(
    name: str,
    root: Path,
    lr_scales: Iterable[int] = catalogue.SCALES,
    console: Console | None = None,
) -> Report:
    """Decode every image of a set and compare its LR images, if there are any.

    Args:
        name: one set (see :func:`sr_experiments.data.layouts.find_split`).
        root: the data root.
        lr_scales: the scales to look for on disk.
        console: where progress is shown.

    Raises:
        UserError: the set is not there. What is wrong with it is in the report instead.
    """
    console = console or output()
    wanted = catalogue.image_set(name)
    paths = layouts.find_split(root, name)
    report = Report(wanted.name, paths[0].parent, wanted.images, found=len(paths))
    low: dict[int, list[Path]] = {}
    for scale in lr_scales:
        try:
            if found := layouts.find_lr(root, name, scale):
                low[scale] = found
        except UserError as error:
            report.damaged.append(str(error))
    reports = {scale: LrReport(scale) for scale in low}

    def look(border: "Border", scales: list[int]) -> None:
        """One pass over the set: decode, and compare LR made with ``border``."""
        jobs = [(path, {s: low[s][i] for s in scales}) for i, path in enumerate(paths)]
        first = border == "mirror"
        title = f"{wanted.name} ({border})" if scales else wanted.name
        for outcome in _parallel(lambda job: _examine(*job, border), jobs, title, console):
            if first:
                report.damaged += outcome.damaged
                report.sizes += outcome.sizes
            for scale, (differing, values) in outcome.compared.items():
                entry = reports[scale]
                entry.differing[border] = entry.differing.get(border, 0) + differing
                entry.values += values if first else 0

    look("mirror", list(low))
    if differing := [s for s, entry in reports.items() if entry.differing.get("mirror")]:
        look("clamp", differing)
    report.lr = [entry for entry in reports.values() if entry.values]
    report.damaged.sort()
    return report


def describe(report: Report) -> list[str]:
    """The report as lines for a person."""
    lines = [
        f"{report.name}: {report.found} of {report.expected} images in {report.folder}, "
        f"{len(report.damaged)} damaged"
    ]
    if report.sizes:
        areas = sorted(report.sizes, key=lambda size: size[0] * size[1])
        (w0, h0), (w1, h1) = areas[0], areas[-1]
        pixels = sum(width * height for width, height in areas) / 1e6
        span = f"{w0}x{h0}" + (f" to {w1}x{h1}" if areas[0] != areas[-1] else "")
        lines.append(f"  sizes {span}, {pixels:.1f} megapixels")
    for entry in report.lr:
        made = "; ".join(
            f"{count} of {entry.values} values differ from the suite's bicubic ({border} border)"
            for border, count in entry.differing.items()
        )
        lines.append(f"  LR x{entry.scale}: {made}")
    if not report.lr:
        lines.append("  no LR images on disk: the suite makes them")
    return [*lines, *(f"  damaged: {line}" for line in report.damaged)]


@dataclass
class _Outcome:
    sizes: list[tuple[int, int]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    compared: dict[int, tuple[int, int]] = field(default_factory=dict)


def _examine(path: Path, low: dict[int, Path], border: "Border") -> _Outcome:
    """One HR image and its LR images: decoded and compared."""
    from sr_experiments.imaging.resize import downscale  # torch: two seconds that `list` saves

    outcome = _Outcome()
    high: np.ndarray | None = None
    try:
        high = np.array(read_image(path))  # a copy: torch wants memory it may write to
        outcome.sizes.append((high.shape[1], high.shape[0]))
    except UserError as error:
        outcome.damaged.append(str(error))
    for scale, low_path in low.items():
        try:
            image = read_image(low_path)
            if high is None:
                continue
            made = downscale(high, scale, border=border)
        except UserError as error:
            outcome.damaged.append(str(error))
            continue
        if image.shape != made.shape:
            outcome.damaged.append(
                f"{low_path}: {image.shape[1]}x{image.shape[0]} pixels, where "
                f"{made.shape[1]}x{made.shape[0]} are expected of x{scale}"
            )
            continue
        outcome.compared[scale] = (int(np.count_nonzero(image != made)), image.size)
    return outcome


def _parallel(
    function: Callable[[Job], Result], jobs: list[Job], title: str, console: Console
) -> Iterable[Result]:
    """``function`` of each job, in threads, as they end, under a progress bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(title, total=len(jobs))
            for future in as_completed([pool.submit(function, job) for job in jobs]):
                progress.advance(task)
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt need not wait for the whole set
