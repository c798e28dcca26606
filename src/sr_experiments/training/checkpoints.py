"""Checkpoints that are whole or not there, and networks rebuilt from them."""

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import DAMAGED_ZIP, atomic_write
from sr_experiments.models.weights import load_weights, save_weights

__all__ = ["AtomicCheckpointIO", "is_whole", "load_weights", "save_weights"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside the target, flush to disk, rename.

    Lightning's own writer moves a file from the system's temporary folder, which is neither atomic
    across file systems nor flushed; a process killed in between would leave half a checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None
    ) -> None:
        """Save a checkpoint.

        Raises:
            UserError: it cannot be written, for want of space or permission.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        data = buffer.getbuffer()
        try:
            with atomic_write(path) as temporary:
                temporary.write_bytes(data)
        except UserError as error:
            parent = Path(path).parent
            free = shutil.disk_usage(parent).free if parent.is_dir() else 0
            raise UserError(
                "checkpoint-not-written",
                "{reason}: a checkpoint needs {needed:.1f} MiB and {free:.1f} MiB are free;"
                " free some space and rerun the same command to resume",
                reason=error,
                needed=len(data) / 2**20,
                free=free / 2**20,
            ) from None


def is_whole(path: Path) -> bool:
    """Whether all parts of a checkpoint have the sums that were written with them.

    ``torch.load`` does not look at these sums.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            return parts.testzip() is None
    except (OSError, ValueError, *DAMAGED_ZIP):
        return False
