"""The place of a picture where the variants of a table differ most, cut out of each one's output.

Runs keep their upscaled pictures where ``benchmarks.save_images=true``, as
``images/<data set>/<picture>.png`` and, of averaged weights, ``<picture>_averaged.png``. Where one
of them also keeps the ground truth, as ``<picture>_hr.png``, that is shown and scored against.
"""

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image
from sr_experiments.report.evidence.groups import BICUBIC_RUNS, holds
from sr_experiments.report.evidence.records import Run, ScoreKey
from sr_experiments.report.evidence.table import Table

IMAGES = "images"
#: Side of a crop in pixels of the upscaled picture.
SIDE = 80
#: Pixels along the border of a picture that do not decide on the place.
MARGIN = 8


@dataclass(frozen=True)
class Crop:
    """One variant's output at the place; ``picture`` in dB under the table's protocol.

    ``crop`` is the PSNR of what is shown, over R, G and B, where the ground truth is at hand.
    """

    label: str
    png: bytes
    picture: float | None = None
    crop: float | None = None

    @property
    def uri(self) -> str:
        """The crop as an address that holds it."""
        return "data:image/png;base64," + b64encode(self.png).decode("ascii")


@dataclass(frozen=True)
class Comparison:
    """Crops of one picture at one scale, side by side; ``box`` is left, top, width, height."""

    table: Table
    scale: int
    dataset: str
    picture: str
    protocol: str
    box: tuple[int, int, int, int]
    crops: Sequence[Crop]
    runs: Sequence[Run]


@dataclass(frozen=True)
class _Output:
    """Where a variant's upscaled pictures of a data set lie, and what they score."""

    label: str
    folder: Path
    suffix: str
    scores: Mapping[str, float]
    run: Run

    def path(self, picture: str) -> Path:
        return self.folder / f"{picture}{self.suffix}.png"


def comparisons(table: Table, runs: Sequence[Run]) -> list[Comparison]:
    """One comparison for each scale of a table at which two variants have kept their pictures.

    Args:
        table: its columns are the variants.
        runs: all finished runs, for bicubic.
    """
    found = []
    for scale in sorted({run.scale for run in table.group.members}):
        comparison = _comparison(table, scale, runs)
        if comparison is not None:
            found.append(comparison)
    return found


def _comparison(table: Table, scale: int, runs: Sequence[Run]) -> Comparison | None:
    datasets = [row.dataset for row in table.rows if row.scale == scale and row.ours]
    best: tuple[float, str, str, str, list[_Output]] | None = None
    for dataset in datasets:
        protocol: str = table.source.protocols(dataset).psnr
        outputs = _outputs(table, scale, dataset, protocol)
        if len(outputs) < 2:
            continue
        for picture in sorted(set.intersection(*(set(output.scores) for output in outputs))):
            values = [output.scores[picture] for output in outputs]
            apart = max(values) - min(values)
            known = math.isfinite(apart) and all(o.path(picture).is_file() for o in outputs)
            if known and (best is None or apart > best[0]):
                best = apart, dataset, picture, protocol, outputs
    if best is None:
        return None
    _, dataset, picture, protocol, outputs = best
    pictures = {output.label: _read(output.path(picture)) for output in outputs}
    read = {label: image for label, image in pictures.items() if image is not None}
    if len(read) < 2 or len({image.shape for image in read.values()}) > 1:
        return None  # broken files, or pictures of other runs: there is nothing to set side by side
    box = most_different(list(read.values()))
    others = _reference(table, scale, dataset, protocol, runs)
    shape = next(iter(read.values())).shape
    truth = _first([o.folder / f"{picture}_hr.png" for o in (*outputs, *others)], shape)
    crops = [] if truth is None else [Crop("Ground truth", _png(_cut(truth, box)))]
    for output in (*others[:1], *outputs):
        image = read.get(output.label)
        if image is None:
            image = _first([output.path(picture)], shape)
        if image is not None:
            psnr = None if truth is None else _psnr(_cut(image, box), _cut(truth, box))
            score = output.scores.get(picture)
            crops.append(Crop(output.label, _png(_cut(image, box)), score, psnr))
    used = [output.run for output in outputs if output.label in read]
    return Comparison(table, scale, dataset, picture, protocol, box, crops, used)


def _outputs(table: Table, scale: int, dataset: str, protocol: str) -> list[_Output]:
    """For each column its run of the lowest seed that has kept pictures of the data set."""
    found = []
    for column in table.source.columns:
        runs = [run for run in table.group.runs.get(column.id, ()) if run.scale == scale]
        for run in sorted(runs, key=lambda run: (run.seed, run.identity)):
            output = _output(run, column.label, dataset, column.weights, protocol)
            if output is not None:
                found.append(output)
                break
    return found


def _reference(
    table: Table, scale: int, dataset: str, protocol: str, runs: Sequence[Run]
) -> list[_Output]:
    """Bicubic's pictures, unless bicubic is one of the columns."""
    taken = {run.identity for run in table.group.members}
    found = []
    for run in runs:
        if run.scale == scale and run.identity not in taken and holds(run, BICUBIC_RUNS):
            output = _output(run, "Bicubic", dataset, "raw", protocol)
            if output is not None:
                found.append(output)
    return found


def _output(run: Run, label: str, dataset: str, weights: str, protocol: str) -> _Output | None:
    folder = run.directory / IMAGES / dataset
    scores = run.scores.get(ScoreKey(dataset, weights, protocol), {})
    if not scores or not folder.is_dir():
        return None
    suffix = "" if weights == "raw" else f"_{weights}"
    psnrs = {name: score.psnr for name, score in scores.items()}
    return _Output(label, folder, suffix, psnrs, run)


def most_different(images: Sequence[np.ndarray], side: int = SIDE) -> tuple[int, int, int, int]:
    """The square in which pictures differ most: the largest mean variance over the pictures.

    Args:
        images: uint8 ``(H, W, 3)``, all of one shape.
        side: of the square; a smaller picture is taken whole in that direction.

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
    total = np.zeros((rows + 1, columns + 1))
    total[1:, 1:] = variance.cumsum(axis=0).cumsum(axis=1)
    sums = (total[height:, width:] - total[:-height, width:] - total[height:, :-width]) + total[
        :-height, :-width
    ]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(left), int(top), width, height


def _first(paths: Sequence[Path], shape: tuple[int, ...]) -> np.ndarray | None:
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


def _cut(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, width, height = box
    return image[top : top + height, left : left + width]


def _png(image: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _psnr(image: np.ndarray, truth: np.ndarray) -> float:
    error = float(np.mean((image.astype(np.float64) - truth.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)
