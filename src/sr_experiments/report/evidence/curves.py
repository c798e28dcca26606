"""Validation curves out of ``history.csv``."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sr_experiments.metrics.protocols import history_column
from sr_experiments.runs.records import HISTORY, Run


@dataclass(frozen=True)
class Curve:
    """PSNR on the validation images, in dB, of one run; all three of one length ``n``."""

    seed: int
    epochs: np.ndarray
    updates: np.ndarray
    psnr: np.ndarray


@dataclass(frozen=True)
class Band:
    """Several seeds of one variant: mean, lowest and highest PSNR at the updates all have."""

    updates: np.ndarray
    epochs: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: tuple[int, ...]


def read_curve(run: Run, protocol: str, weights: str) -> Curve | None:
    """The curve of a run; None where it has none under this protocol, or not of these weights.

    Epochs without validation, and lines that are not numbers, are passed over.
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
    """Join the curves of several seeds; None if no update is common to all."""
    if not curves:
        return None
    common = set.intersection(*(set(curve.updates.tolist()) for curve in curves))
    if not common:
        return None
    updates = np.array(sorted(common))
    places = [np.isin(curve.updates, updates) for curve in curves]
    values = np.stack([c.psnr[place] for c, place in zip(curves, places, strict=True)])
    return Band(
        updates=updates,
        epochs=curves[0].epochs[places[0]],
        mean=values.mean(axis=0),
        low=values.min(axis=0),
        high=values.max(axis=0),
        seeds=tuple(sorted(curve.seed for curve in curves)),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
