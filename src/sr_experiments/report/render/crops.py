"""The part of an image where the variants of a table differ most, cut out of each one's output.

Runs save their outputs where ``benchmarks.save_images=true``, as ``images/<data set>/<image>.png``
and, of averaged weights, ``<image>_averaged.png``. Where one of them also saves the ground truth,
as ``<image>_hr.png``, that is shown and scored against.
"""

import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image
from sr_experiments.report.evidence.groups import BICUBIC_RUNS, holds
from sr_experiments.report.evidence.table import Table
from sr_experiments.runs.records import Run, ScoreKey

IMAGES = "images"
#: Side of a crop in pixels of the output.
SIDE = 80
#: Pixels along the border of an image that are ignored when a crop is chosen.
MARGIN = 8

#: Left, top, width and height.
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Crop:
    """One variant's output in the box.

    ``image_psnr`` is of the whole image under the table's protocol, ``crop_psnr`` of the crop over
    R, G and B, where the ground truth is at hand; both in dB.
    """

    label: str
    png: bytes
    image_psnr: float | None = None
    crop_psnr: float | None = None

    @property
    def uri(self) -> str:
        """The crop as a ``data:`` URI."""
        return "data:image/png;base64," + b64encode(self.png).decode("ascii")


@dataclass(frozen=True)
class Comparison:
    """Crops of one image at one scale, side by side."""

    table: Table
    scale: int
    dataset: str
    image: str
    protocol: str
    box: Box
    has_truth: bool
    crops: Sequence[Crop]
    runs: Sequence[Run]


@dataclass(frozen=True)
class _Outputs:
    """A variant's outputs on a data set: where they are, and their PSNR by image."""

    label: str
    folder: Path
    suffix: str
    scores: Mapping[str, float]
    run: Run

    def path(self, image: str) -> Path:
        return self.folder / f"{image}{self.suffix}.png"


def comparisons(table: Table, runs: Sequence[Run]) -> list[Comparison]:
    """One comparison for each scale of a table at which two variants have saved their outputs.

    Args:
        table: its columns are the variants.
        runs: all finished runs, for bicubic.
    """
    scales = sorted({run.scale for run in table.group.members})
    compared = (_comparison(table, scale, runs) for scale in scales)
    return [comparison for comparison in compared if comparison is not None]


def _comparison(table: Table, scale: int, runs: Sequence[Run]) -> Comparison | None:
    """Of the image on which the variants' PSNR differs most."""
    largest, chosen = -math.inf, None
    for dataset in [row.dataset for row in table.rows if row.scale == scale and row.ours]:
        protocol: str = table.source.protocols(dataset).psnr
        variants = _variants(table, scale, dataset, protocol)
        if len(variants) < 2:
            continue
        for image in sorted(set.intersection(*(set(variant.scores) for variant in variants))):
            values = [variant.scores[image] for variant in variants]
            difference = max(values) - min(values)
            saved = all(variant.path(image).is_file() for variant in variants)
            if saved and math.isfinite(difference) and difference > largest:
                largest, chosen = difference, (dataset, image, protocol, variants)
    if chosen is None:
        return None
    dataset, image, protocol, variants = chosen
    outputs = [(v, pixels) for v in variants if (pixels := _read(v.path(image))) is not None]
    shapes = {pixels.shape for _, pixels in outputs}
    if len(outputs) < 2 or len(shapes) > 1:
        return None  # broken files, or outputs of other runs: there is nothing to compare
    (shape,) = shapes
    box = most_different([pixels for _, pixels in outputs])
    bicubic = _bicubic(table, scale, dataset, protocol, runs)
    folders = [variant.folder for variant in (*variants, *bicubic)]
    truth = _first((folder / f"{image}_hr.png" for folder in folders), shape)
    crops = [] if truth is None else [Crop("Ground truth", _png(_cut(truth, box)))]
    reference = [
        (b, pixels) for b in bicubic[:1] if (pixels := _first([b.path(image)], shape)) is not None
    ]
    for variant, pixels in (*reference, *outputs):
        cut = _cut(pixels, box)
        psnr = None if truth is None else _psnr(cut, _cut(truth, box))
        crops.append(Crop(variant.label, _png(cut), variant.scores.get(image), psnr))
    used = [variant.run for variant, _ in outputs]
    return Comparison(table, scale, dataset, image, protocol, box, truth is not None, crops, used)


def _variants(table: Table, scale: int, dataset: str, protocol: str) -> list[_Outputs]:
    """For each column its run of the lowest seed that has saved outputs on the data set."""
    variants = []
    for column in table.source.columns:
        runs = [run for run in table.group.runs.get(column.id, ()) if run.scale == scale]
        for run in sorted(runs, key=lambda run: (run.seed, run.identity)):
            outputs = _outputs(run, column.label, dataset, column.weights, protocol)
            if outputs is not None:
                variants.append(outputs)
                break
    return variants


def _bicubic(
    table: Table, scale: int, dataset: str, protocol: str, runs: Sequence[Run]
) -> list[_Outputs]:
    """Bicubic's outputs, unless bicubic is one of the columns."""
    members = {run.identity for run in table.group.members}
    references = [
        _outputs(run, "Bicubic", dataset, "raw", protocol)
        for run in runs
        if run.scale == scale and run.identity not in members and holds(run, BICUBIC_RUNS)
    ]
    return [outputs for outputs in references if outputs is not None]


def _outputs(run: Run, label: str, dataset: str, weights: str, protocol: str) -> _Outputs | None:
    folder = run.directory / IMAGES / dataset
    scores = run.scores.get(ScoreKey(dataset, weights, protocol), {})
    if not scores or not folder.is_dir():
        return None
    suffix = "" if weights == "raw" else f"_{weights}"
    return _Outputs(label, folder, suffix, {name: s.psnr for name, s in scores.items()}, run)


def most_different(images: Sequence[np.ndarray], side: int = SIDE) -> Box:
    """The square in which images differ most: the largest mean variance over the images.

    Args:
        images: uint8 ``(H, W, 3)``, all of one shape.
        side: of the square; a smaller image is taken whole in that direction.

    Returns:
        Left, top, width and height. Of equal squares the one nearest to the upper left.
    """
    stack = np.stack([image.astype(np.float32).mean(axis=2) for image in images])
    variance = stack.var(axis=0, dtype=np.float64)
    rows, columns = variance.shape
    if min(rows, columns) > side + 2 * MARGIN:
        # Networks differ most where they pad, which no score counts and nobody looks at.
        variance[:MARGIN] = variance[-MARGIN:] = 0
        variance[:, :MARGIN] = variance[:, -MARGIN:] = 0
    height, width = min(side, rows), min(side, columns)
    total = np.pad(variance.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = (total[height:, width:] - total[:-height, width:] - total[height:, :-width]) + total[
        :-height, :-width
    ]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(left), int(top), width, height


def _first(paths: Iterable[Path], shape: tuple[int, ...]) -> np.ndarray | None:
    for path in paths:
        image = _read(path) if path.is_file() else None
        if image is not None and image.shape == shape:
            return image
    return None


def _read(path: Path) -> np.ndarray | None:
    try:
        return read_image(path)
    except UserError:  # half copied: the comparison does without
        return None


def _cut(image: np.ndarray, box: Box) -> np.ndarray:
    left, top, width, height = box
    return image[top : top + height, left : left + width]


def _png(image: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _psnr(image: np.ndarray, truth: np.ndarray) -> float:
    error = float(np.mean((image.astype(np.float64) - truth.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)
