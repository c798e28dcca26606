"""Finding the network that a name, a run, a checkpoint or a file of weights means."""

import importlib
import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sr_experiments.config.instantiate import TARGET, build_network
from sr_experiments.core.errors import UserError
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.foreign_weights import load_foreign
from sr_experiments.models.network import Network, prepare
from sr_experiments.models.weights import load_weights
from sr_experiments.upscale.shipped import DEFAULT, shipped, shipped_file

ARCHITECTURES = ("edsr", "espcn", "fsrcnn", "rcan", "srcnn", "srresnet", "vdsr")


@dataclass(frozen=True)
class Found:
    """A network, ready to be used.

    Attributes:
        network: with its weights, on the CPU.
        words: how to speak of it: ``VDSR 10x24 (vdsr)``.
    """

    network: Network
    words: str


def find(
    model: str | None, scale: Fraction, *, weights: str = "raw", architecture: str | None = None
) -> Found:
    """Load the network that ``--model`` means.

    Args:
        model: a name of :func:`shipped`, ``bicubic``, a run's directory, a ``.ckpt`` of the suite,
            a ``.safetensors`` of the suite, or with ``architecture`` any file of weights. None is
            the network that ships.
        scale: the asked factor; a network that serves any is built for it.
        weights: ``raw`` or ``averaged``, of a run's directory.
        architecture: name and keys of a foreign file's network: ``vdsr``,
            ``edsr:n_resblocks=32,n_feats=256,res_scale=0.1``.

    Raises:
        UserError: there is no such network, or the file does not hold it.
    """
    if model is None:
        names = shipped()
        if not names:
            raise UserError("no network ships with this installation; name one with --model")
        model = DEFAULT if DEFAULT in names else names[0]
    path = Path(model)
    if architecture is not None:
        return _described(_foreign(path, scale, architecture), model)
    if weights != "raw" and not path.is_dir():
        raise UserError(f"--weights {weights}: only a run's directory has them, not {model}")
    if model == "bicubic":
        return Found(Bicubic(max(2, math.ceil(scale))), "bicubic")
    if model in shipped():
        return _described(_rebuilt(*load_weights(shipped_file(model, scale)), model), model)
    if path.is_dir():
        return _described(_of_run(path, weights), model)
    if not path.is_file():
        known = ", ".join([*shipped(), "bicubic"])
        raise UserError(f"--model {model}: no such file or folder, and no such name ({known})")
    if path.suffix == ".safetensors":
        return _described(_rebuilt(*load_weights(path), model), model)
    if path.suffix == ".ckpt":
        return _described(_rebuilt(*_checkpoint(path), model), model)
    raise UserError(
        f"--model {model}: a file of another program? Then name its network, such as "
        "--architecture vdsr"
    )


def _described(network: Network, model: str) -> Found:
    name = f"{type(network).__name__} {network.size}".rstrip()
    return Found(prepare(network), f"{name} ({model})")


def _of_run(path: Path, weights: str) -> Network:
    folder = path / "checkpoints"
    name = "weights" if weights == "raw" else f"weights-{weights}"
    file = folder / f"{name}.safetensors"
    if not file.is_file():
        held = sorted(p.name for p in folder.glob("*")) if folder.is_dir() else []
        hint = f"it holds {', '.join(held)}" if held else "not a run's directory, or not finished"
        raise UserError(f"--model {path}: no checkpoints/{file.name} there; {hint}")
    return _rebuilt(*load_weights(file), str(path))


def _checkpoint(path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle may raise nearly anything
        raise UserError(
            f"--model {path}: cannot be read as tensors alone ({type(error).__name__})"
        ) from None
    config = content.get("network") if isinstance(content, Mapping) else None
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(config, Mapping) or not config or not isinstance(state, Mapping):
        raise UserError(
            f"--model {path}: no checkpoint of this suite, it does not say which network it holds; "
            "name it with --architecture if the file is a state dict"
        )
    prefix = "network."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, config


def _rebuilt(state: Mapping[str, Tensor], config: Mapping[str, Any], model: str) -> Network:
    network = build_network(config)
    if not isinstance(network, Network):
        raise UserError(f"--model {model}: {config.get(TARGET)} is no network of this suite")
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise UserError(f"--model {model}: weights of another network ({first})") from None
    return network


def _foreign(path: Path, scale: Fraction, architecture: str) -> Network:
    name, _, given = architecture.partition(":")
    if name not in ARCHITECTURES:
        raise UserError(f"--architecture {name}: no such network ({', '.join(ARCHITECTURES)})")
    module = importlib.import_module(f"sr_experiments.models.{name}")
    (target,) = (
        found
        for found in vars(module).values()
        if inspect.isclass(found) and found.__name__.lower() == name
    )
    node: dict[str, Any] = {TARGET: f"{target.__module__}.{target.__qualname__}"}
    node["scale"] = math.ceil(scale)
    for pair in filter(None, given.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--architecture {architecture}: {pair} is not KEY=VALUE")
        try:
            node[key] = json.loads(value)
        except ValueError:
            raise UserError(
                f"--architecture {architecture}: {key}={value} is neither a number nor true, false"
            ) from None
    network: Network = build_network(node, f"--architecture {name}")
    load_foreign(path, network)
    return network
