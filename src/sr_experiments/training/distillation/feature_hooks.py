"""Features read off a network while it computes, without a change to it."""

import difflib
import operator
from collections.abc import Callable, Sequence
from functools import reduce

from torch import Tensor, nn

from sr_experiments.core.errors import UserError
from sr_experiments.models.network import Network


class FeatureHooks:
    """Keeps what named layers put out.

    Each output is cloned, so that an activation or an addition in place behind the layer does not
    reach it; the clone hands its gradient on to the layer. A deep copy of the network, as an
    averaged one is, leaves no features here.

    Args:
        network: whose layers are listened to.
        names: of the layers, as ``network.named_modules()`` tells them; ``a+b`` is the sum of what
            two layers put out.
        only_training: pay no heed to a network in eval mode. For a student, whose whole validation
            images would otherwise leave their features in memory until the next batch.

    Raises:
        UserError: the network has no layer of that name.
    """

    def __init__(
        self, network: nn.Module, names: Sequence[str], only_training: bool = False
    ) -> None:
        layers = {name: layer for name, layer in network.named_modules() if name}
        single = list(dict.fromkeys(part for name in names for part in name.split("+")))
        for name in single:
            if name not in layers:
                near = difflib.get_close_matches(name, list(layers), n=3)
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise UserError(
                    "tap-unknown",
                    "taps: {network} has no layer {name!r}{hint}",
                    network=type(network).__name__,
                    name=name,
                    hint=hint,
                )
        self.names = tuple(names)
        self._network, self._only_training = network, only_training
        self._features: dict[str, Tensor] = {}
        self._handles = [
            layers[name].register_forward_hook(self._hook(name, layers[name])) for name in single
        ]

    def take(self) -> tuple[Tensor, ...]:
        """The features of the last forward, in the order of the names; they are forgotten here.

        Raises:
            RuntimeError: a layer has put out nothing since the last call.
        """
        parts = [name.split("+") for name in self.names]
        idle = [part for name in parts for part in name if part not in self._features]
        if idle:
            raise RuntimeError(f"taps: no forward has come through {', '.join(idle)}")
        features = tuple(
            reduce(operator.add, (self._features[part] for part in name)) for name in parts
        )
        self._features.clear()
        return features

    def remove(self) -> None:
        """Listen no more, and forget what was heard."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._features.clear()

    def _hook(self, name: str, layer: nn.Module) -> Callable[..., None]:
        # A closure and not a method: copy.deepcopy hands functions on as they are, whereas it
        # would copy this object, and the features of a graph cannot be copied.
        def keep(module: nn.Module, inputs: object, output: object) -> None:
            if module is not layer or (self._only_training and not self._network.training):
                return
            if not isinstance(output, Tensor):
                raise UserError(
                    "tap-no-tensor",
                    "taps: layer {name!r} does not return a tensor; name another layer",
                    name=name,
                )
            self._features[name] = output.clone()

        return keep


def thirds(network: Network, count: int = 3) -> tuple[str, ...]:
    """Names of the layers behind equal parts of a network: 1 / count, 2 / count, ... and all.

    The part behind which a tap sits is rounded down to whole stages, as FAKD's public code does:
    of EDSR's 16 blocks, 5, 10 and 16.

    Args:
        network: to be tapped.
        count: of the taps.

    Raises:
        UserError: the network has fewer stages.
    """
    stages = network.stages
    if not 1 <= count <= len(stages):
        described = f"{type(network).__name__} {network.size}".rstrip()
        raise UserError(
            "taps-too-many",
            "taps={count}: {described} has {stages} stages; choose at least 1 "
            "tap, at most one for each stage, or a method without features",
            count=count,
            described=described,
            stages=len(stages),
        )
    return tuple(stages[len(stages) * k // count - 1] for k in range(1, count + 1))
