"""What a training costs beside its updates: the time of validation, and memory."""

import time
from pathlib import Path

import torch
from lightning import Callback, LightningModule, Trainer


class TrainingCost(Callback):
    """Measures what the record of a run holds of its cost, in this process.

    Attributes:
        validation_seconds: spent on validation, by the clock.
        peak_memory: bytes; on a GPU the most that PyTorch had allocated, else by how much the
            process's resident memory grew, which only Linux tells. Libraries that load while
            training, and memory that earlier runs of the process left free, are not told apart.
    """

    def __init__(self) -> None:
        self.validation_seconds = 0.0
        self.peak_memory: int | None = None
        self._began = 0.0
        self._resident: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget earlier peaks."""
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)
        else:
            self._resident = _restart_peak()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; what the GPU still computes belongs to training."""
        self._began = _now(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self.validation_seconds += _now(pl_module) - self._began

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the peak."""
        if pl_module.device.type == "cuda":
            self.peak_memory = torch.cuda.max_memory_allocated(pl_module.device)
        elif self._resident is not None and (peak := _resident("VmHWM")) is not None:
            self.peak_memory = peak - self._resident


def _now(module: LightningModule) -> float:
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
    return time.monotonic()


def _restart_peak() -> int | None:
    """Let the peak of resident memory start from its present value, in bytes; None if it cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return None
    return _resident("VmRSS")


def _resident(name: str) -> int | None:
    """A line of Linux's account of this process, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return 1024 * int(kilobytes[0]) if kilobytes else None
