"""Validation curves from ``history.csv``, and the choice of a tuned setting by them."""

import csv
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sr_experiments.metrics.log_names import history_column
from sr_experiments.report.paper.definition import BestOf, Column
from sr_experiments.runs.records import HISTORY, Run


@dataclass(frozen=True)
class Curve:
    """PSNR of one run on the validation images, in dB; all arrays ``(n,)``, by rising update."""

    seed: int
    epochs: np.ndarray
    updates: np.ndarray
    psnr: np.ndarray


@dataclass(frozen=True)
class Band:
    """Mean, lowest and highest PSNR over the seeds of a variant, at the updates common to all."""

    updates: np.ndarray
    epochs: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: tuple[int, ...]


def read_curve(run: Run, protocol: str, weights: str) -> Curve | None:
    """Read the curve of a run; None if it has none by this protocol and of these weights.

    Epochs without validation and lines that are not numbers are skipped.
    """
    column = history_column(protocol, weights)
    points: dict[int, tuple[int, float]] = {}
    for row in _rows(run.directory / HISTORY):
        try:
            epoch, update, psnr = int(row["epoch"]), int(row["update"]), float(row[column])
        except (KeyError, TypeError, ValueError):
            continue
        if math.isfinite(psnr):
            points[update] = epoch, psnr
    if not points:
        return None
    updates = sorted(points)
    return Curve(
        run.seed,
        np.array([points[update][0] for update in updates]),
        np.array(updates),
        np.array([points[update][1] for update in updates]),
    )


def band(curves: Sequence[Curve]) -> Band | None:
    """Combine the curves of several seeds; None if no update is common to all."""
    if not curves:
        return None
    common = set.intersection(*(set(curve.updates.tolist()) for curve in curves))
    if not common:
        return None
    updates = np.array(sorted(common))
    masks = [np.isin(curve.updates, updates) for curve in curves]
    values = np.stack([c.psnr[mask] for c, mask in zip(curves, masks, strict=True)])
    return Band(
        updates=updates,
        epochs=curves[0].epochs[masks[0]],
        mean=values.mean(axis=0),
        low=values.min(axis=0),
        high=values.max(axis=0),
        seeds=tuple(sorted(curve.seed for curve in curves)),
    )


def best_runs(best_of: BestOf, column: Column, runs: Sequence[Run], notes: list[str]) -> list[Run]:
    """The runs of a column with the best of the values that were tried, scale by scale.

    The last validation PSNR decides, as a mean over seeds: the scores of a table have no part in
    what it shows. Of several values, one with a run that has no such curve, or that diverged, is
    not chosen.

    Args:
        best_of: which settings were tried.
        column: of the runs.
        runs: those that differ in these settings, the scale and the seed only.
        notes: a line is appended for each scale, on what was chosen and from what.
    """
    kept: list[Run] = []
    for scale in sorted({run.scale for run in runs}):
        tried: dict[tuple[object, ...], list[Run]] = {}
        for run in runs:
            if run.scale == scale:
                values = tuple(run.value(path) for path in best_of.settings)
                tried.setdefault(values, []).append(run)
        last = {
            values: psnr
            for values, members in tried.items()
            if (psnr := _last_psnr(members, best_of.protocol, column.weights)) is not None
        }
        place = f"x{scale}, {column.label}"
        name = best_of.settings[0].partition(".")[2]
        if len(tried) == 1:
            ((only, members),) = tried.items()
            kept += members
            notes.append(f"{place}: {name}={only[0]}, and no other was tried")
            continue
        others = ", ".join(
            f"{values[0]} ({last[values]:.2f} dB)" if values in last else f"{values[0]} (unknown)"
            for values in tried
        )
        if not last:
            notes.append(f"{place} is left out: no validation curve tells the best {name}")
            continue
        best = max(last, key=lambda values: last[values])
        kept += tried[best]
        notes.append(
            f"{place}: {name}={best[0]}, the best on our validation images at the end of training "
            f"(PSNR by {best_of.protocol}, mean over seeds) of {others}; scored images had no say"
        )
    return kept


def _last_psnr(runs: Sequence[Run], protocol: str, weights: str) -> float | None:
    curves = [None if run.diverged else read_curve(run, protocol, weights) for run in runs]
    values = [float(curve.psnr[-1]) for curve in curves if curve is not None]
    return statistics.fmean(values) if len(values) == len(runs) else None


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
