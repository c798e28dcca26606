"""Loading the network that a name, a run, a checkpoint or a file of weights stands for."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor

from sr_experiments.config.choices import architectures
from sr_experiments.config.instantiate import TARGET, build_network
from sr_experiments.core.errors import UserError
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.foreign_weights import load_foreign, recognise
from sr_experiments.models.network import Network, prepare
from sr_experiments.models.weights import load_tensors, load_weights, refuse_not_finite
from sr_experiments.upscale.shipped import default_network, shipped, shipped_file


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its weights.

    Attributes:
        network: on the CPU, as :func:`~sr_experiments.models.network.prepare` returns it.
        description: architecture, size and source, such as ``VDSR 10x24 (vdsr)``.
    """

    network: Network
    description: str


def load_network(
    model: str | None, scale: Fraction, *, weights: str = "raw", architecture: str | None = None
) -> LoadedNetwork:
    """Load the network that ``--model`` names.

    Args:
        model: a name of :func:`shipped`, ``bicubic``, a run's directory, a ``.ckpt`` or
            ``.safetensors`` of the suite, or with ``architecture`` any file of weights. None is the
            default network that ships.
        scale: the requested scale, for which networks that support several are built.
        weights: ``raw`` or ``averaged``, of a run's directory.
        architecture: class and arguments for foreign weights: ``vdsr``,
            ``edsr:n_resblocks=32,n_feats=256,res_scale=0.1``.

    Raises:
        UserError: there is no such network, or the file does not hold it.
    """
    if model is None:
        model = default_network()
        if model is None:
            raise UserError(
                "no-network-ships",
                "no network ships with this installation; name one with --model",
            )
    path = Path(model)
    if architecture is not None:
        return _described(_foreign(path, scale, architecture), model)
    if weights != "raw" and not path.is_dir():
        raise UserError(
            "weights-need-run",
            "--weights {weights}: only a run's directory holds them, not {model}",
            weights=weights,
            model=model,
        )
    if model == "bicubic":
        return LoadedNetwork(Bicubic(max(2, math.ceil(scale))), "bicubic")
    if model in shipped():
        return _described(_rebuilt(*load_weights(shipped_file(model, scale)), model), model)
    if path.is_dir():
        return _described(_of_run(path, weights), model)
    if not path.is_file():
        raise UserError(
            "model-missing",
            "--model {model}: no such file or folder, and not one of the names {names}",
            model=model,
            names=", ".join([*shipped(), "bicubic"]),
        )
    if path.suffix == ".safetensors":
        try:
            return _described(_rebuilt(*load_weights(path), model), model)
        except UserError as error:
            if error.code != "weights-without-config":
                raise
    if path.suffix == ".ckpt":
        return _described(_rebuilt(*_checkpoint(path), model), model)
    if (known := recognise(path)) is not None:
        kind, arguments = known
        network = kind(**{"scale": math.ceil(scale)} | arguments)
        load_foreign(path, network)
        return _described(network, model)
    raise UserError(
        "model-needs-architecture",
        "--model {model}: not a file of this suite, and not an EDSR, RCAN, SRCNN or VDSR; name the "
        "network and its sizes, such as --architecture espcn:n1=64,n2=32",
        model=model,
    )


def _described(network: Network, model: str) -> LoadedNetwork:
    name = f"{type(network).__name__} {network.size}".rstrip()
    return LoadedNetwork(prepare(network), f"{name} ({model})")


def _of_run(path: Path, weights: str) -> Network:
    folder = path / "checkpoints"
    name = "weights" if weights == "raw" else f"weights-{weights}"
    file = folder / f"{name}.safetensors"
    if not file.is_file():
        names = sorted(p.name for p in folder.glob("*")) if folder.is_dir() else []
        raise UserError(
            "run-without-weights",
            "--model {path}: no checkpoints/{file} there; {content}",
            path=path,
            file=file.name,
            content=f"it holds {', '.join(names)}" if names else "not the directory of a done run",
        )
    return _rebuilt(*load_weights(file), str(path))


def _checkpoint(path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    try:
        content = load_tensors(path)
    except Exception as error:  # a damaged or hostile pickle may raise nearly anything
        raise UserError(
            "checkpoint-unreadable",
            "--model {path}: cannot be read as a file of tensors only ({reason})",
            path=path,
            reason=type(error).__name__,
        ) from None
    config = content.get("network") if isinstance(content, Mapping) else None
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(config, Mapping) or not config or not isinstance(state, Mapping):
        raise UserError(
            "checkpoint-without-network",
            "--model {path}: not a checkpoint of this suite, as it does not name its network; if "
            "it is a state dict, name the network with --architecture",
            path=path,
        )
    prefix = "network."
    refuse_not_finite(f"--model {path}", state)
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, config


def _rebuilt(state: Mapping[str, Tensor], config: Mapping[str, Any], model: str) -> Network:
    network = build_network(config)
    if not isinstance(network, Network):
        raise UserError(
            "model-not-a-network",
            "--model {model}: {target} is not a network of this suite",
            model=model,
            target=config.get(TARGET),
        )
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        raise UserError(
            "weights-of-another-network",
            "--model {model}: weights of another network ({reason})",
            model=model,
            reason=str(error).splitlines()[-1].strip(),
        ) from None
    return network


def _foreign(path: Path, scale: Fraction, architecture: str) -> Network:
    name, _, arguments = architecture.partition(":")
    if name not in architectures():
        raise UserError(
            "unknown-architecture",
            "--architecture {name}: no such network; choose from {names}",
            name=name,
            names=", ".join(architectures()),
        )
    node: dict[str, Any] = {TARGET: architectures()[name], "scale": math.ceil(scale)}
    known = recognise(path)
    if known is not None and f"{known[0].__module__}.{known[0].__qualname__}" == node[TARGET]:
        node |= known[1]
    for pair in filter(None, arguments.split(",")):
        key, equals, value = pair.partition("=")
        try:
            node[key] = json.loads(value if equals else "")
        except ValueError:
            raise UserError(
                "architecture-argument",
                "--architecture {architecture}: {pair} is not KEY=VALUE with a number, true or "
                "false",
                architecture=architecture,
                pair=pair,
            ) from None
    network: Network = build_network(node, f"--architecture {name}")
    load_foreign(path, network)
    return network
