"""Dashboards. Every run writes its files as well, whatever the logger."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from sr_experiments.core.errors import UserError
from sr_experiments.metrics.log_names import AXIS

#: Where W&B keeps tables until they are sent, in the environment.
_DATA = "WANDB_DATA_DIR"

#: Seconds until an online run whose server does not answer begins or ends without it.
_INIT_TIMEOUT, _FINISH_TIMEOUT = 30.0, 300.0


class RunLogger(WandbLogger):
    """A W&B run of its own, closed with its true state."""

    #: The folder that the last run chose for :data:`_DATA`.
    data_folder: str | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Lightning passes it on even when unset, and wandb then warns in every run.
        self._wandb_init.pop("anonymous", None)
        self._defined: set[str] = set()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, begun when it is first asked for; Lightning adds an axis of its own.

        Raises:
            UserError: W&B wants to know who logs.
        """
        if self._experiment is None:
            self._experiment = self._begin()
            self._experiment.define_metric(AXIS, hidden=True)
        return self._experiment

    def _begin(self) -> Any:
        import wandb
        from wandb.errors import AuthenticationError, CommError, UsageError

        try:
            return wandb.init(**self._wandb_init)
        except (AuthenticationError, UsageError) as error:
            raise UserError(
                "wandb-login",
                "logger.mode=online: W&B refused the login ({reason}); run `wandb login`, or set "
                "logger.mode=offline",
                reason=str(error).splitlines()[0],
            ) from error
        except CommError as error:
            if self._wandb_init["mode"] != "online":
                raise
            folder = Path(self._wandb_init["dir"]) / "wandb"
            sys.stderr.write(
                f"W&B cannot be reached ({str(error).splitlines()[0]}): this run is logged into "
                f"{folder}, and `wandb sync` uploads it from there\n"
            )
            wandb.teardown()
            self._wandb_init["mode"] = "offline"
            return wandb.init(**self._wandb_init)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log one row at an update; a run's summary keeps the best and the last validation."""
        for name in metrics.keys() - self._defined:
            summary = "max,last" if name.startswith("val/") else None
            self.experiment.define_metric(name, step_metric=AXIS, summary=summary)
            self._defined.add(name)
        self.experiment.log(dict(metrics) | {AXIS: step})

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None, **words: Any) -> None:
        """Log images at an update."""
        import wandb

        captions = words.get("caption") or [None] * len(images)
        shown = [wandb.Image(i, caption=c) for i, c in zip(images, captions, strict=True)]
        self.experiment.log({key: shown, AXIS: step})

    @rank_zero_only
    def log_summary(self, values: Mapping[str, Any]) -> None:
        """Set what is known once, such as the number of parameters."""
        self.experiment.summary.update(dict(values))

    @rank_zero_only
    def log_rows(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Log a table; an empty string is an empty cell."""
        import wandb

        kept = [[None if cell == "" else cell for cell in row] for row in rows]
        table = wandb.Table(columns=list(columns), data=kept, allow_mixed_types=True)
        self.experiment.log({key: table})

    @rank_zero_only
    def log_weights(self, files: Sequence[Path], uses: Sequence[str], **facts: Any) -> None:
        """Log a trained network as an artifact ``model-ID``, and which others it was made from.

        Args:
            files: of weights; they are not copied.
            uses: identities of the runs whose weights it began with or learned from. Without a
                connection W&B cannot look them up: then only the artifact's facts name them.
            facts: metadata.
        """
        import wandb

        parents = [_artifact_name(identity) for identity in uses]
        artifact = wandb.Artifact(
            _artifact_name(str(self._id)), "model", metadata=facts | {"made_from": parents}
        )
        for file in files:
            artifact.add_file(str(file), policy="immutable")
        if self._wandb_init["mode"] == "online":
            for parent in parents:
                self.experiment.use_artifact(f"{parent}:latest")
        self.experiment.log_artifact(artifact)

    def close(self, failed: bool) -> None:
        """Finish the W&B run, if it has begun; the next one in this process starts afresh."""
        if self._experiment is not None:  # asking for ``experiment`` would begin it, and write
            self._experiment.finish(exit_code=1 if failed else 0)


def wandb_logger(
    project: str,
    mode: str = "offline",
    *,
    directory: Path,
    identity: str,
    name: str,
    group: str,
    tags: Sequence[str] = (),
    job_type: str = "train",
    config: Mapping[str, Any],
) -> RunLogger:
    """A W&B logger whose run is found again by the run's identity.

    Args:
        project: W&B project.
        mode: ``offline`` or ``online``.
        directory: the run's directory; W&B writes into its folder ``wandb``.
        identity: of the run; a resumed run continues the same W&B run.
        name, group, tags, job_type: as dashboards show them.
        config: of the run, flat.

    Raises:
        UserError: wandb is not installed, or the mode is unknown.
    """
    if mode not in ("offline", "online"):
        raise UserError(
            "logger-mode-unknown", "logger.mode={mode}: choose offline or online", mode=mode
        )
    os.environ.setdefault("WANDB_SILENT", "true")  # else it advertises on standard error
    if "HOME" not in os.environ:  # its service logs to a folder there, else on standard error
        os.environ.setdefault("XDG_CACHE_HOME", str((directory / "wandb" / "cache").absolute()))
    try:
        import wandb
    except ImportError:
        raise UserError(
            "wandb-missing",
            "logger=wandb: wandb is not installed; pip install wandb, or set logger=csv",
        ) from None

    if os.environ.get(_DATA) == RunLogger.data_folder:  # a user's own choice stays
        RunLogger.data_folder = os.environ[_DATA] = str((directory / "wandb").absolute())
    return RunLogger(
        project=project,
        name=name,
        group=group,
        tags=list(tags),
        job_type=job_type,
        id=identity[:16],
        save_dir=directory,
        config=dict(config),
        mode=mode,
        resume="allow",
        # No machine statistics, no console capture, no environment: what is logged is the run.
        settings=wandb.Settings(
            x_disable_stats=True,
            x_disable_meta=True,
            console="off",
            silent=True,
            # A server that is gone must not hold up the next run; what is left is in the folder.
            init_timeout=_INIT_TIMEOUT,
            finish_timeout=_FINISH_TIMEOUT,
        ),
    )


class FileLogger(TensorBoardLogger):
    """TensorBoard's, closed as :class:`RunLogger` is."""

    def close(self, failed: bool) -> None:
        """Write what is left."""
        self.finalize("failed" if failed else "success")


def tensorboard_logger(*, directory: Path, config: Mapping[str, Any], **words: Any) -> FileLogger:
    """TensorBoard's files in the run's folder ``tensorboard``.

    Args:
        directory: the run's directory.
        config: of the run, flat.
        words: what only other dashboards show.

    Raises:
        UserError: tensorboard is not installed.
    """
    try:
        logger = FileLogger(directory, name=None, version="tensorboard")
    except ModuleNotFoundError:
        raise UserError(
            "tensorboard-missing",
            "logger=tensorboard: it is not installed; pip install tensorboard, or set logger=csv",
        ) from None
    logger.log_hyperparams(dict(config))
    return logger


def _artifact_name(identity: str) -> str:
    return f"model-{identity[:16]}"
