"""A run's directory: what it holds, who may write it, and in which state it is.

``runs/<experiment>/<slug>-<hash8>/`` follows from the config, so the same command finds the same
directory: it skips what is finished and goes on with what was interrupted.
"""

import csv
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write, remove_left_over
from sr_experiments.runs.records import (
    CONFIG,
    HISTORY,
    PROGRESS,
    RESULT,
    SCORE_COLUMNS,
    SCORES,
    STATUS,
    ImageScore,
    Progress,
    Result,
    State,
    Status,
)


class RunDirectory:
    """The files of one run.

    Args:
        path: the directory; it need not exist.
        identity: of the run, 64 hexadecimal digits.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity

    @property
    def checkpoint(self) -> Path:
        """What an interrupted run goes on from."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def checkpoints(self) -> tuple[Path, Path]:
        """The last checkpoint, and the one before, for the case that the last is damaged."""
        return self.checkpoint, self.checkpoint.with_name("before.ckpt")

    @property
    def weights(self) -> Path:
        """The trained network."""
        return self.weights_of("raw")

    def weights_of(self, kind: str) -> Path:
        """One kind of the trained network's weights: ``raw``, or ``averaged``."""
        name = "weights" if kind == "raw" else f"weights-{kind}"
        return self.path / "checkpoints" / f"{name}.safetensors"

    @property
    def history(self) -> Path:
        """One line an epoch."""
        return self.path / HISTORY

    def status(self) -> Status | None:
        """What ``status.json`` says; None if there is none or it is damaged."""
        try:
            return Status.model_validate_json((self.path / STATUS).read_bytes())
        except (OSError, ValueError):
            return None

    def progress(self) -> Progress | None:
        """What ``progress.json`` says; None if there is none or it is damaged."""
        try:
            return Progress.model_validate_json((self.path / PROGRESS).read_bytes())
        except (OSError, ValueError):
            return None

    def is_finished(self) -> bool:
        """Whether the run of this very identity has all its results."""
        status = self.status()
        return status is not None and (status.state, status.identity) == (
            "finished",
            self.identity,
        )

    def begin(self, config: Mapping[str, Any]) -> None:
        """Mark the run as running, write its config down, and remove what a killed process left.

        Raises:
            UserError: the directory cannot be written.
        """
        import yaml  # here: `status` starts without it

        remove_left_over(self.path)
        with atomic_write(self.path / CONFIG) as temporary:
            temporary.write_text(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
        (self.path / "error.txt").unlink(missing_ok=True)
        status = self.status()
        started = status.started if status else None
        self._write_status("running", started or _now(), None, str(config.get("name")))

    def end(self, state: State, error: str | None = None, details: str | None = None) -> None:
        """Mark how the run ended.

        Args:
            state: ``finished``, ``failed`` or ``interrupted``.
            error: one line, if it failed.
            details: a traceback, kept in ``error.txt``.
        """
        status = self.status()
        if details:
            with atomic_write(self.path / "error.txt") as temporary:
                temporary.write_text(details)
        started, experiment = (status.started, status.experiment) if status else (None, "")
        self._write_status(state, started, error, experiment)

    def write_scores(self, rows: Iterable[tuple[str, str, str, str, ImageScore]]) -> None:
        """Write ``scores.csv``: one line for each (image, data set, weights, protocol)."""
        with (
            atomic_write(self.path / SCORES) as temporary,
            temporary.open("w", newline="") as f,
        ):
            writer = csv.writer(f)
            writer.writerow(SCORE_COLUMNS)
            for *names, scores in rows:
                # repr: the shortest text that reads back as the same double.
                writer.writerow([*names, *("" if x is None else repr(x) for x in scores)])

    def write_result(self, result: Result) -> None:
        """Write ``result.json``, the summary that reports read."""
        with atomic_write(self.path / RESULT) as temporary:
            temporary.write_text(result.to_json())

    def result(self) -> Result:
        """What ``result.json`` says.

        Raises:
            UserError: it is missing or damaged.
        """
        try:
            return Result.model_validate_json((self.path / RESULT).read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(
                "result-unreadable",
                "{path}: its result cannot be read ({reason})",
                path=self.path,
                reason=error,
            ) from None

    def _write_status(self, state: State, started: Any, error: str | None, experiment: str) -> None:
        status = Status(
            state=state,
            identity=self.identity,
            experiment=experiment,
            error=error,
            started=started,
            ended=None if state == "running" else _now(),
            process=os.getpid(),
        )
        with atomic_write(self.path / STATUS) as temporary:
            temporary.write_text(status.to_json())


def find(runs: Path, experiment: str, slug: str, identity: str) -> RunDirectory:
    """The directory of a run: where it already is, in whatever experiment, or where it will be."""
    own = runs / experiment / f"{slug}-{identity[:8]}"
    candidates = [own, *sorted(runs.glob(f"*/*-{identity[:8]}*"))]
    for path in candidates:
        directory = RunDirectory(path, identity)
        status = directory.status()
        if status is not None and status.identity == identity:
            return directory
    status = RunDirectory(own, identity).status()
    if status is not None and status.identity != identity:
        # Another run whose hash begins with the same eight digits lives there.
        own = own.with_name(f"{slug}-{identity}")
    return RunDirectory(own, identity)


def slug(parts: Iterable[str]) -> str:
    """A readable, safe name for a directory."""
    text = "-".join(part for part in parts if part)
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text)[:80]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
