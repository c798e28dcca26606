"""Files of weights: tensors and the config that rebuilds their network, as safetensors."""

import json
import warnings
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write


def save_weights(
    path: str | PathLike[str], state: Mapping[str, Tensor], network: Mapping[str, Any]
) -> None:
    """Save a network's weights and the config that rebuilds it, as safetensors.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    # A single entry: safetensors writes several in no fixed order, and equal runs have equal files.
    metadata = {"network": json.dumps(network)}
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load_weights(path: str | PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What :func:`save_weights` saved: tensors, and the network's config. No code is run.

    Raises:
        UserError: the file is missing, damaged, or not one of the suite's.
    """
    where = fspath(path)
    try:
        with safe_open(path, "pt") as file:
            network = (file.metadata() or {}).get("network")
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError:
        raise UserError("weights-file-missing", "{where}: no such weights", where=where) from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            "weights-damaged",
            "{where}: damaged weights ({reason}); remove the file",
            where=where,
            reason=error,
        ) from None
    try:
        config = json.loads(network or "null")
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise UserError(
            "weights-without-config",
            "{where}: these weights do not say which network they belong to",
            where=where,
        )
    refuse_not_finite(where, tensors)
    return tensors, config


def load_tensors(path: str | PathLike[str]) -> Any:
    """What ``torch.save`` wrote, on the CPU, with the types that need no code.

    Raises:
        Exception: nearly any, of a damaged or hostile file.
    """
    with warnings.catch_warnings():  # of odd protocols, for example
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def refuse_not_finite(where: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that are no numbers, which would turn images black without a word.

    Args:
        where: the file, for the message.
        tensors: by name.

    Raises:
        UserError: naming the first tensor with such a value.
    """
    for name, tensor in tensors.items():
        values = tensor if tensor.is_floating_point() or tensor.is_complex() else None
        if values is not None and not bool(values.isfinite().all()):
            count = int((~values.isfinite()).sum())
            raise UserError(
                "weights-not-finite",
                "{where}: {count} of {all} values of {name} are not finite numbers; the training "
                "that made the file had failed, take an earlier one",
                where=where,
                count=count,
                all=tensor.numel(),
                name=name,
            )
