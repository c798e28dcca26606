"""Dashboards. Every run writes history.csv as well, whatever the logger."""

import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from sr_experiments.core.errors import UserError


class RunLogger(WandbLogger):
    """A W&B run of its own, closed with its true state."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Lightning passes it on even when unset, and wandb then warns in every run.
        self._wandb_init.pop("anonymous", None)

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
    config: dict[str, Any],
) -> RunLogger:
    """A W&B logger whose run is found again by the run's identity.

    Args:
        project: W&B project.
        mode: ``offline`` or ``online``.
        directory: the run's directory; W&B writes into its folder ``wandb``.
        identity: of the run; a resumed run continues the same W&B run.
        name, group: as dashboards show them.
        config: of the run.

    Raises:
        UserError: wandb is not installed, or the mode is unknown.
    """
    if mode not in ("offline", "online"):
        raise UserError(
            "logger-mode-unknown", "logger.mode={mode}: choose offline or online", mode=mode
        )
    os.environ.setdefault("WANDB_SILENT", "true")  # else it advertises on standard error
    try:
        import wandb
    except ImportError:
        raise UserError(
            "wandb-missing",
            "logger=wandb: wandb is not installed; pip install wandb, or set logger=csv",
        ) from None

    return RunLogger(
        project=project,
        name=name,
        group=group,
        id=identity[:16],
        save_dir=directory,
        config=config,
        offline=mode == "offline",
        resume="allow",
        # No machine statistics, no console capture, no environment: what is logged is the run.
        settings=wandb.Settings(
            x_disable_stats=True, x_disable_meta=True, console="off", silent=True
        ),
    )
