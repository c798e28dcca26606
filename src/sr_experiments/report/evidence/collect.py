"""Reading finished runs from their directories; what cannot be read is named, never raised.

A run directory, ``runs/<experiment>/<slug>-<hash8>/``, holds ``status.json``, ``result.json`` and
``scores.csv``. The means of a table are taken from the scores of the images, and have to agree
with the means in ``result.json``: a folder that was copied in part is found out here.
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

#: How far a mean may lie from the one in result.json: scores.csv may be written with few digits.
TOLERANCE = 1e-3

Model = TypeVar("Model", bound=Record)


@dataclass(frozen=True)
class Collection:
    """The finished runs below a folder, and the folders that were left out with the reason."""

    runs: list[Run]
    skipped: list[tuple[Path, str]]


class _UnusableError(Exception):
    """Why a folder is left out."""


def collect(runs_root: Path) -> Collection:
    """Read every finished run below a folder.

    Of two runs with one identity the one that ended later counts.

    Raises:
        UserError: there is no such folder.
    """
    if not runs_root.is_dir():
        raise UserError(
            "runs-folder-missing",
            "{folder}: no such folder of runs; run an experiment, or name another folder",
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
            older, newer = sorted((other, run), key=lambda found: found.ended)
            skipped.append(
                (
                    older.directory,
                    f"same run as {newer.directory.relative_to(runs_root)}, which ended later",
                )
            )
            run = newer
        runs[run.identity] = run
    found = sorted(runs.values(), key=lambda run: str(run.directory))
    return Collection(found, sorted(skipped))


def _candidates(root: Path, skipped: list[tuple[Path, str]]) -> list[Path]:
    """Folders that should be runs: two levels down, or one where a run was copied there."""
    found = []
    for folder in _folders(root, skipped):
        if (folder / "status.json").exists() or (folder / "result.json").exists():
            found.append(folder)
            continue
        inner = _folders(folder, skipped)
        if not inner:
            skipped.append((folder, "holds no run"))
        found += inner
    return found


def _folders(root: Path, skipped: list[tuple[Path, str]]) -> list[Path]:
    """Subfolders by name; hidden ones are of tools (``.hydra``, ``.submitit``) and passed over."""
    try:
        return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        skipped.append((root, f"cannot be listed ({error.strerror or error})"))
        return []


def _read_run(directory: Path) -> Run:
    status = _json(directory / STATUS, Status)
    if status.state != "finished":
        why = f": {' '.join(status.error.split())}" if status.error else ""
        raise _UnusableError(f"not finished, its state is {status.state}{why}")
    result = _json(directory / RESULT, Result)
    if status.identity != result.identity:
        raise _UnusableError("status.json and result.json are of two different runs")
    scores = _scores(directory / SCORES)
    _agree(result, scores)
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
        ended=_moment(status.ended),
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
        where = ".".join(map(str, first["loc"])) or "the file"
        raise _UnusableError(f"{path.name}: {where}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise _UnusableError(f"{path.name} is not valid JSON ({error})") from None


def _scores(path: Path) -> dict[ScoreKey, dict[str, ImageScore]]:
    scores: dict[ScoreKey, dict[str, ImageScore]] = {}
    try:
        rows = list(csv.reader(_text(path).splitlines()))
    except csv.Error as error:
        raise _UnusableError(f"{path.name} is not valid CSV ({error})") from None
    if not rows or tuple(rows[0]) != SCORE_COLUMNS:
        raise _UnusableError(f"{path.name} does not begin with {','.join(SCORE_COLUMNS)}")
    for number, row in enumerate(rows[1:], start=2):
        try:
            dataset, image, weights, protocol, psnr, ssim = row
            score = ImageScore(float(psnr), float(ssim) if ssim else None)
        except ValueError:
            raise _UnusableError(f"{path.name}: line {number} is broken") from None
        # Only a number that is none differs from itself.
        if score.psnr != score.psnr or score.ssim != score.ssim:
            raise _UnusableError(f"{path.name}: line {number} is not a number")
        # A plain tuple finds a named one; making one a line would take a third of the time.
        images = scores.get((dataset, weights, protocol))  # type: ignore[call-overload]
        if images is None:
            images = scores[ScoreKey(dataset, weights, protocol)] = {}
        if image in images:
            raise _UnusableError(f"{path.name}: line {number}: {image} is scored twice")
        images[image] = score
    return scores


def _agree(result: Result, scores: Mapping[ScoreKey, Mapping[str, ImageScore]]) -> None:
    """Refuse a run whose means and scores of images are not about the same images."""
    written = {
        ScoreKey(dataset, weights, protocol): mean
        for dataset, by_weights in result.means.items()
        for weights, by_protocol in by_weights.items()
        for protocol, mean in by_protocol.items()
    }
    for key in sorted(written.keys() | scores.keys()):
        place = " ".join(key)
        if key not in scores or key not in written:
            lacking = "scores.csv" if key not in scores else "result.json"
            raise _UnusableError(f"{lacking} has nothing on {place}")
        images, mean = scores[key].values(), written[key]
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


def _moment(text: str | None) -> datetime:
    """An ISO time as UTC; a run without one counts as the oldest."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
