"""Weights from elsewhere: read without running code, renamed by rule, taken whole or not at all."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from sr_experiments.core.errors import UserError
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.layers.upsampling import MeanShift
from sr_experiments.models.network import Network
from sr_experiments.models.rcan import RCAN
from sr_experiments.models.srcnn import SRCNN
from sr_experiments.models.vdsr import VDSR
from sr_experiments.models.weights import load_tensors, refuse_not_finite


@dataclass(frozen=True)
class Layout:
    """How a public repository names the tensors of a network.

    Attributes:
        name: the repository.
        network: the suite's class for the same network.
        rules: pattern of a whole foreign name -> the suite's name.
    """

    name: str
    network: type[Network]
    rules: tuple[tuple[str, str], ...]

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """The same tensors by the suite's names; None where a name follows none of the rules."""
        found = {}
        for name, tensor in state.items():
            for pattern, ours in self.rules:
                if match := re.fullmatch(pattern, name):
                    found[match.expand(ours)] = tensor
                    break
            else:
                return None
        return found


#: Layouts other than the suite's own, which is also that of the official EDSR and RCAN.
LAYOUTS = (
    Layout(
        "twtygqyy/pytorch-vdsr",
        VDSR,
        (
            (r"input\.weight", "head.0.weight"),
            (r"residual_layer\.(\d+)\.conv\.weight", r"body.\1.0.weight"),
            (r"output\.weight", "tail.weight"),
        ),
    ),
)


#: Where training code keeps the network in a file, most wanted first: averaged weights before raw.
CONTAINERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")
#: What wrappers put before the names of all tensors.
PREFIXES = (*(f"{name}." for name in CONTAINERS), "module.", "_orig_mod.", "network.")


def recognise(path: str | PathLike[str]) -> tuple[type[Network], dict[str, Any]] | None:
    """The class of a file's network and the arguments that its tensors tell.

    Args:
        path: see :func:`load_foreign`.

    Returns:
        None if no network of the suite has exactly these tensors.

    Raises:
        UserError: the file cannot be read.
    """
    return _recognised(_read(path))


def _recognised(state: Mapping[str, Tensor]) -> tuple[type[Network], dict[str, Any]] | None:
    for kind in (EDSR, RCAN, SRCNN, VDSR):
        named = state
        for layout in LAYOUTS:
            if issubclass(kind, layout.network):
                named = layout.renamed(state) or state
        arguments = kind.sizes_of(named)
        if arguments is None:
            continue
        try:
            with torch.device("meta"):
                own = kind(**{"scale": 2} | arguments).state_dict()
        except (UserError, ValueError):  # sizes that no network has
            continue
        if not _faults(own, named):
            return kind, arguments
    return None


@torch.no_grad()
def load_foreign(
    path: str | PathLike[str], network: Network, config: Mapping[str, Any] | None = None
) -> None:
    """Load a file of weights into a network: every tensor, or none.

    Args:
        path: a PyTorch state dict or a ``.safetensors`` file, in the suite's names or in those of
            one of :data:`LAYOUTS`, perhaps within one of :data:`CONTAINERS` or behind
            :data:`PREFIXES`. No code of the file is run.
        network: of the file's architecture and size.
        config: of the network, to be compared with the one in a file of the suite: an activation
            has no tensors that would tell.

    Raises:
        UserError: the file is missing or cannot be read, it does not hold exactly the
            network's tensors, all finite, or its config is another; the network is left as it was.
    """
    state = _read(path)
    for layout in LAYOUTS:
        if isinstance(network, layout.network):
            state = layout.renamed(state) or state
    own = network.state_dict()
    if faults := _faults(own, state):
        described = f"{type(network).__name__} {network.size}".rstrip()
        if known := _recognised(state):
            kind, arguments = known
            told = ", ".join(f"{key}={value}" for key, value in arguments.items())
            faults.append(f"the file holds {kind.__name__} with {told}")
        raise UserError(
            "weights-do-not-fit",
            "weights={path}: these are not the weights of {described} at "
            "scale={scale}: {faults}; change the model's keys or the file",
            path=fspath(path),
            described=described,
            scale=network.scale,
            faults="; ".join(faults),
        )
    _check_range(path, network, state)
    if config is not None:
        _check_config(path, config)
    refuse_not_finite(f"weights={fspath(path)}", state)
    for name, tensor in own.items():
        tensor.copy_(state[name])


def _check_config(path: str | PathLike[str], config: Mapping[str, Any]) -> None:
    """Refuse a file of the suite whose config says another network of the same tensors."""
    if not fspath(path).endswith(".safetensors"):
        return
    with safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get("network")
    try:
        held = json.loads(text or "{}")
    except ValueError:
        return
    theirs, ours = _settings(held), _settings(config)
    other = [
        f"{key}={theirs[key]} in the file, {ours[key]} here"
        for key in ours
        if key in theirs and theirs[key] != ours[key]
    ]
    if other:
        raise UserError(
            "weights-of-another-config",
            "weights={path}: these are the weights of another network: {differences}; change the "
            "model's keys or the file",
            path=fspath(path),
            differences="; ".join(other),
        )


def _settings(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys that change what a network computes; a class by its name alone."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            found |= _settings(value, f"{prefix}{key}.")
        elif key == "_target_":
            found[prefix.rstrip(".") or "model"] = str(value).rpartition(".")[2]
        elif key not in ("_partial_", "inplace", "dropout", "scale"):  # tensors tell the scale
            found[f"{prefix}{key}"] = value
    return found


def _read(path: str | PathLike[str]) -> dict[str, Tensor]:
    where = f"weights={fspath(path)}"
    try:
        if fspath(path).endswith(".safetensors"):
            return _without_prefix(load_file(path))
        content = load_tensors(path)
    except FileNotFoundError:
        raise UserError("weights-missing", "{where}: no such file", where=where) from None
    except Exception as error:  # a damaged or hostile pickle may raise nearly anything
        raise UserError(
            "weights-not-tensors",
            "{where}: cannot be read without executing code ({reason}); pass a state dict "
            "saved by torch.save, or safetensors",
            where=where,
            reason=type(error).__name__,
        ) from None
    if not isinstance(content, Mapping) or not content:
        raise UserError(
            "weights-no-state-dict",
            "{where}: expected a state dict, found {content}",
            where=where,
            content=type(content).__name__,
        )
    held = next((key for key in CONTAINERS if isinstance(content.get(key), Mapping)), None)
    if held is not None:
        content = content[held]
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(
                "weights-nested",
                "{where}: not a plain state dict ({name} is {value}); save the state dict alone",
                where=where,
                name=name,
                value=type(value).__name__,
            )
    return _without_prefix(content)


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without what stands before the name of each of them."""
    found = dict(state)
    while prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in found)), None):
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
        if not found:
            break
    return found


def _faults(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    missing = [k for k in own if k not in state]
    unknown = [k for k in state if k not in own]
    other = [
        f"{k} {_kind(state[k])} instead of {_kind(v)}"
        for k, v in own.items()
        if k in state and _kind(state[k]) != _kind(v)
    ]
    groups = {"missing": missing, "unknown": unknown, "of another kind": other}
    return [f"{len(g)} {word} ({_few(g)})" for word, g in groups.items() if g]


def _kind(tensor: Tensor) -> str:
    shape = "x".join(map(str, tensor.shape)) or "a single value"
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        return f"{shape}, {tensor.dtype} and {tensor.layout}"
    return shape if tensor.is_floating_point() else f"{shape} whole numbers"


def _few(names: Sequence[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (" ..." if len(names) > limit else "")


def _check_range(path: str | PathLike[str], network: Network, state: Mapping[str, Tensor]) -> None:
    """The means in a file tell the range of its layers, which no shape would."""
    for name, module in network.named_modules():
        if not isinstance(module, MeanShift):
            continue
        theirs = {key: state[f"{name}.{key}"].to(module.bias) for key in ("weight", "bias")}
        # Sets differ in the third digit of the mean; 1 and 255, or a sign, are another matter.
        near = torch.allclose(theirs["bias"], module.bias, rtol=0.05, atol=0)
        if not near or not torch.allclose(theirs["weight"], module.weight, atol=1e-3):
            raise UserError(
                "weights-other-range",
                "weights={path}: {name} is {found}, the model's is {expected}; the layers were "
                "trained for another range (model.rgb_range)",
                path=fspath(path),
                name=name,
                found=theirs["bias"].tolist(),
                expected=module.bias.tolist(),
            )
