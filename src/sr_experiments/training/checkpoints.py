"""Checkpoints that are whole or not there, and networks rebuilt from them."""

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.imaging.io import replacing


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
            with replacing(path) as temporary:
                temporary.write_bytes(data)
        except UserError as error:
            parent = Path(path).parent
            free = shutil.disk_usage(parent).free if parent.is_dir() else 0
            raise UserError(
                f"{error}: a checkpoint needs {len(data) / 2**20:.1f} MiB and {free / 2**20:.1f} "
                "MiB are free; make room, then the same command goes on"
            ) from None


def save_weights(path: Path, state: Mapping[str, Tensor], network: Mapping[str, Any]) -> None:
    """Save a network's weights and the config that rebuilds it, as safetensors.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    # A single entry: safetensors writes several in no fixed order, and equal runs have equal files.
    metadata = {"network": json.dumps(network)}
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What :func:`save_weights` saved: tensors, and the network's config. No code is run.

    Raises:
        UserError: the file is missing, damaged, or not one of the suite's.
    """
    try:
        with safe_open(path, "pt") as file:
            network = (file.metadata() or {}).get("network")
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError:
        raise UserError(f"{path}: no such weights") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged weights ({error}); remove the file") from None
    try:
        config = json.loads(network or "null")
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise UserError(f"{path}: these weights do not say which network they belong to")
    return tensors, config
