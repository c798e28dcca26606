"""The training curves of all runs as one page with a choice of experiment, metric and axis.

Where the report draws the curves that a paper asks for, this page shows whatever ``history.csv``
holds, of unfinished runs as well. It works offline: data and script are in the file.
"""

import csv
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_experiments.report.evidence.deviations import config_of
from sr_experiments.report.render.jinja import environment
from sr_experiments.runs.identity import INDIRECT, VOLATILE, flat
from sr_experiments.runs.records import HISTORY, STATUS

#: What tells no two curves apart: the seed, and keys whose values follow from others.
_SAME = (*VOLATILE, *(key for key in INDIRECT if key != "start"), "seed", "benchmarks", "trainer")
#: The columns of ``history.csv`` that are axes.
_AXES = ("epoch", "update")


@dataclass(frozen=True)
class TrainingCurve:
    """What one run wrote while it trained.

    Attributes:
        experiment: the folder of the run.
        scale: of the run.
        name: of its directory, without seed and hash.
        seed: of the run.
        state: ``finished``, ``running``, ``failed`` or ``interrupted``.
        settings: dotted keys of its config that may tell it from its neighbours.
        columns: of ``history.csv``, as numbers; None where a field is empty or is none.
    """

    experiment: str
    scale: float
    name: str
    seed: int
    state: str
    settings: Mapping[str, Any]
    columns: Mapping[str, list[float | None]]


def read_training_curves(root: Path) -> list[TrainingCurve]:
    """Every run below a folder that has trained at least one epoch; others are passed over."""
    return [curve for file in sorted(root.glob(f"*/*/{HISTORY}")) if (curve := _read(file.parent))]


def curves_html(curves: Iterable[TrainingCurve]) -> str:
    """The page; the same runs give the same bytes."""
    experiments: dict[str, list[TrainingCurve]] = defaultdict(list)
    for curve in curves:
        experiments[curve.experiment].append(curve)
    data = {name: _experiment(members) for name, members in experiments.items()}
    return environment().get_template("curves.html.j2").render(experiments=data)


def _read(folder: Path) -> TrainingCurve | None:
    try:
        rows = list(csv.DictReader((folder / HISTORY).read_text(encoding="utf-8").splitlines()))
        written = config_of(folder)
        if written is None:
            return None
        state = str(json.loads((folder / STATUS).read_text(encoding="utf-8"))["state"])
        settings, seed, scale = flat(written), int(written["seed"]), float(written["scale"])
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None  # copied in part; the report names such folders
    if not rows or not set(_AXES) <= rows[0].keys():
        return None
    return TrainingCurve(
        experiment=folder.parent.name,
        scale=scale,
        name=re.sub(rf"-s{seed}-[0-9a-f]+$", "", folder.name),
        seed=seed,
        state=state,
        settings={k: v for k, v in settings.items() if not k.startswith(_SAME)},
        columns={key: [_number(row.get(key)) for row in rows] for key in rows[0] if key},
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return float(f"{value:.7g}") if math.isfinite(value) else None


def _experiment(curves: list[TrainingCurve]) -> list[dict[str, Any]]:
    """Runs that differ in nothing but the seed are one variant."""
    variants: dict[str, list[TrainingCurve]] = defaultdict(list)
    for curve in curves:
        key = json.dumps([curve.name, curve.settings], sort_keys=True, default=str)
        variants[key].append(curve)
    labels = _labels([members[0] for members in variants.values()])
    return sorted(
        (
            {
                "label": label,
                "scale": members[0].scale,
                "runs": [
                    {"seed": run.seed, "state": run.state, "columns": run.columns}
                    for run in sorted(members, key=lambda run: run.seed)
                ],
            }
            for label, members in zip(labels, variants.values(), strict=True)
        ),
        key=lambda variant: str(variant["label"]),
    )


def _labels(variants: list[TrainingCurve]) -> list[str]:
    """What of a directory's name is not common to all; between equal names, the settings too."""
    words = [variant.name.split("-") for variant in variants]
    common = set.intersection(*map(set, words))
    labels = []
    for variant, own in zip(variants, words, strict=True):
        others = [other for other in variants if other.name == variant.name]
        told = [f"{key.rpartition('.')[2]}={variant.settings.get(key)}" for key in _telling(others)]
        short = [word for word in own if word not in common]
        labels.append(" ".join([*(short or ([] if told else own)), *told]))
    return labels


def _telling(variants: list[TrainingCurve]) -> list[str]:
    """The settings in which variants differ; of several that always go together, the first."""
    told: dict[tuple[str, ...], str] = {}
    for key in sorted({key for variant in variants for key in variant.settings}):
        values = tuple(repr(variant.settings.get(key)) for variant in variants)
        if len(set(values)) > 1:
            told.setdefault(values, key)
    return list(told.values())
