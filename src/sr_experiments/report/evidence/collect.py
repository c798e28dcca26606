"""Reading finished runs from their directories; an unreadable one is reported, never raised.

A run directory, ``runs/<experiment>/<slug>-<hash8>/``, holds ``status.json``, ``result.json`` and
``scores.csv``. Tables average the scores of the images. These have to agree with the means in
``result.json``, which detects a directory that was copied in part.
"""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from sr_experiments.core.errors import UserError
from sr_experiments.runs.records import (
    RESULT,
    SCORE_COLUMNS,
    SCORES,
    STATUS,
    ImageScore,
    Record,
    Result,
    Run,
    ScoreKey,
    Status,
)

#: Allowed difference from a mean in result.json: scores.csv may be written with few digits.
TOLERANCE = 1e-3

Model = TypeVar("Model", bound=Record)


@dataclass(frozen=True)
class Collection:
    """The finished runs below a folder, and the folders left out, each with the reason."""

    runs: list[Run]
    skipped: list[tuple[Path, str]]


class _UnusableError(Exception):
    """The folder holds no usable run; the message is the reason that the report prints."""


def collect(runs_root: Path) -> Collection:
    """Read every finished run below a folder; of runs with one identity, the one that ended last.

    Raises:
        UserError: there is no such folder.
    """
    if not runs_root.is_dir():
        raise UserError(
            "runs-folder-missing",
            "{folder}: no such folder of runs; run an experiment first, or name another folder",
            folder=runs_root,
        )
    runs: dict[str, Run] = {}
    skipped: list[tuple[Path, str]] = []
    for directory in _candidates(runs_root, skipped):
        try:
            run = _read_run(directory)
        except _UnusableError as reason:
            skipped.append((directory, str(reason)))
            continue
        other = runs.get(run.identity)
        if other is not None:
            older, run = sorted((other, run), key=lambda run: run.ended)
            newer = run.directory.relative_to(runs_root)
            skipped.append((older.directory, f"same run as {newer}, which ended later"))
        runs[run.identity] = run
    return Collection(sorted(runs.values(), key=lambda run: str(run.directory)), sorted(skipped))


def _candidates(root: Path, skipped: list[tuple[Path, str]]) -> list[Path]:
    """Folders that should be runs: two levels down, or one below an experiment's own folder."""
    candidates = []
    for folder in _folders(root, skipped):
        if (folder / "status.json").exists() or (folder / "result.json").exists():
            candidates.append(folder)
            continue
        inner = _folders(folder, skipped)
        if not inner:
            skipped.append((folder, "holds no run"))
        candidates += inner
    return candidates


def _folders(root: Path, skipped: list[tuple[Path, str]]) -> list[Path]:
    """Subfolders by name; hidden ones are skipped, as they belong to tools (``.hydra``)."""
    try:
        return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        skipped.append((root, f"cannot be listed ({error.strerror or error})"))
        return []


def _read_run(directory: Path) -> Run:
    status = _json(directory / STATUS, Status)
    if status.state != "finished":
        reason = f": {' '.join(status.error.split())}" if status.error else ""
        raise _UnusableError(f"not finished, its state is {status.state}{reason}")
    result = _json(directory / RESULT, Result)
    if status.identity != result.identity:
        raise _UnusableError("status.json and result.json are of two different runs")
    scores = _scores(directory / SCORES)
    _check_means(result, scores)
    return Run(
        directory=directory,
        identity=result.identity,
        experiment=result.experiment,
        choices=result.choices,
        settings=result.settings,
        scale=result.scale,
        seed=result.seed,
        network=result.network,
        training=result.training,
        scores=scores,
        ended=_utc(status.ended),
        device=result.device,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _UnusableError(f"{path.name} is missing") from None
    except UnicodeDecodeError:
        raise _UnusableError(f"{path.name} is not a text in UTF-8") from None
    except OSError as error:
        raise _UnusableError(f"{path.name} cannot be read ({error.strerror or error})") from None


def _json(path: Path, model: type[Model]) -> Model:
    text = _text(path)
    try:
        return model.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise _UnusableError(f"{path.name}: {field}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise _UnusableError(f"{path.name} is not valid JSON ({error})") from None


def _scores(path: Path) -> dict[ScoreKey, dict[str, ImageScore]]:
    scores: dict[ScoreKey, dict[str, ImageScore]] = {}
    try:
        rows = list(csv.reader(_text(path).splitlines()))
    except csv.Error as error:
        raise _UnusableError(f"{path.name} is not valid CSV ({error})") from None
    # The header of runs written before lacks the last column.
    if not rows or tuple(rows[0]) not in (SCORE_COLUMNS, SCORE_COLUMNS[:-1]):
        raise _UnusableError(f"{path.name} does not begin with {','.join(SCORE_COLUMNS)}")
    for number, row in enumerate(rows[1:], start=2):
        try:
            if len(row) != len(rows[0]):
                raise ValueError
            dataset, image, weights, protocol, *texts = row
            score = ImageScore(float(texts[0]), *(float(t) if t else None for t in texts[1:]))
        except ValueError:
            raise _UnusableError(f"{path.name}: line {number} is broken") from None
        if any(value != value for value in score):  # NaN; all but PSNR may be None
            raise _UnusableError(f"{path.name}: line {number} is not a number")
        # A plain tuple equals a named one; building one for each line takes a third of the time.
        images = scores.get((dataset, weights, protocol))  # type: ignore[call-overload]
        if images is None:
            images = scores[ScoreKey(dataset, weights, protocol)] = {}
        if image in images:
            raise _UnusableError(f"{path.name}: line {number}: {image} is scored twice")
        images[image] = score
    return scores


def _check_means(result: Result, scores: Mapping[ScoreKey, Mapping[str, ImageScore]]) -> None:
    """Refuse a run whose scores of images do not average to the means in its result."""
    means = {
        ScoreKey(dataset, weights, protocol): mean
        for dataset, by_weights in result.means.items()
        for weights, by_protocol in by_weights.items()
        for protocol, mean in by_protocol.items()
    }
    for key in sorted(means.keys() | scores.keys()):
        place = " ".join(key)
        if key not in scores or key not in means:
            lacking = "scores.csv" if key not in scores else "result.json"
            raise _UnusableError(f"{lacking} has nothing on {place}")
        images, mean = scores[key].values(), means[key]
        same = len(images) == mean.images and _close(
            sum(score.psnr for score in images) / len(images), mean.psnr
        )
        ssims = [score.ssim for score in images if score.ssim is not None]
        if mean.ssim is None:
            same = same and not ssims
        else:
            same = same and len(ssims) == len(images)
            same = same and _close(sum(ssims) / len(images), mean.ssim)
        if not same:
            raise _UnusableError(f"result.json and scores.csv disagree on {place}")


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=0, abs_tol=TOLERANCE)


def _utc(text: str | None) -> datetime:
    """Parse an ISO time; a run without one counts as the oldest."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
