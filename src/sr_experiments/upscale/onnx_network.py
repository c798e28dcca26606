"""The engine that computes a network: PyTorch, or ONNX Runtime where that is faster.

Only the network itself runs in ONNX Runtime, in float32. Colour conversion, bicubic and rounding
stay the same code, so values differ from those of scoring only where the last bits of a convolution
decide a rounding: by at most 1/255, in few values. ONNX Runtime is therefore used on request only.
"""

import hashlib
import logging
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sr_experiments.core.errors import Message, UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.imaging.resize import imresize
from sr_experiments.models.network import Network
from sr_experiments.upscale.arguments import ENGINES

#: ``(N, C, h, w)`` as :meth:`Network.encode` returns it -> ``(N, C, scale * h, scale * w)``.
Compute = Callable[[Tensor], Tensor]
#: The largest difference of the two engines' values, which are in [0, 1].
TOLERANCE = 1e-5
#: How many times as fast ONNX Runtime must be for ``auto`` to choose it.
MIN_SPEEDUP = 1.2
#: Part of the name of an exported file; a new number exports all networks again.
_FORMAT = 1
_PROBES = ((1, 24, 31), (2, 17, 20))
_DIFFERENCE = Message(
    "engine-difference", "within 1/255 of the values of scoring, not bit by bit the same"
)


class ChosenEngine(NamedTuple):
    """What computes a network.

    Attributes:
        name: ``torch`` or ``onnx``.
        note: a clause that explains the choice; None where PyTorch was requested.
        compute: the network as a function.
    """

    name: str
    note: Message | None
    compute: Compute


def choose_engine(engine: str, network: Network, scale: int, device: torch.device) -> ChosenEngine:
    """Choose what computes a network.

    Args:
        engine: one of :data:`ENGINES`.
        network: in eval mode, on its device.
        scale: by which the network will enlarge.
        device: the network's.

    Raises:
        UserError: ONNX Runtime was requested and cannot compute the network.
    """
    if engine == "torch":
        return ChosenEngine("torch", None, network)
    if engine not in ENGINES:
        raise UserError(
            "unknown-engine",
            "--engine {engine}: no such engine; choose from {engines}",
            engine=engine,
            engines=", ".join(ENGINES),
        )
    try:
        exported = OnnxNetwork(network, scale, device)
    except UserError as error:
        if engine == "onnx":
            raise UserError("onnx-refused", "--engine onnx: {reason}", reason=error) from None
        note = Message("engine-torch-fallback", "by PyTorch: {reason}", {"reason": error})
        return ChosenEngine("torch", note, network)
    if engine == "onnx":
        note = Message("engine-onnx", "by ONNX Runtime: {difference}", {"difference": _DIFFERENCE})
        return ChosenEngine("onnx", note, exported)
    speedup = _speedup(network, exported, scale)
    if speedup < MIN_SPEEDUP:
        note = Message(
            "engine-torch-fast-enough",
            "by PyTorch: ONNX Runtime is {speedup:.1f} times as fast here",
            {"speedup": speedup},
        )
        return ChosenEngine("torch", note, network)
    note = Message(
        "engine-onnx-faster",
        "by ONNX Runtime, {speedup:.1f} times as fast here: {difference}",
        {"speedup": speedup, "difference": _DIFFERENCE},
    )
    return ChosenEngine("onnx", note, exported)


class OnnxNetwork:
    """A network as ONNX Runtime computes it on the CPU, with PyTorch's number of threads.

    It is exported once, with dynamic sizes, into ``SR_CACHE/onnx`` under the hash of all that
    decides its values, and compared with PyTorch's values whenever it is loaded.

    Args:
        network: in eval mode. If it supports any scale, it enlarges its input by MATLAB's bicubic
            first; that is left to :func:`imresize`, and only the rest is exported.
        scale: by which it enlarges.
        device: the network's.

    Raises:
        UserError: it cannot be exported, or its values differ.
    """

    def __init__(self, network: Network, scale: int, device: torch.device) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError(
                "onnxruntime-missing",
                "ONNX Runtime is not installed: pip install 'sr_experiments[onnx]'",
            ) from None
        name = type(network).__name__
        if device.type != "cpu":
            raise UserError("onnx-needs-cpu", "it runs on the CPU only; add --device cpu")
        parameters = list(network.parameters())
        if not parameters:
            raise UserError(
                "onnx-without-parameters",
                "{network} has no parameters, there is nothing to export",
                network=name,
            )
        if any(p.dtype != torch.float32 for p in parameters):
            raise UserError(
                "onnx-needs-float32", "{network} does not compute in float32", network=name
            )
        self.scale, self._enlarges_first = scale, network.any_scale
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        file = cache() / f"{name.lower()}-{fingerprint(network)[:24]}.onnx"
        for fresh in (False, True):
            if fresh or not file.is_file():
                export_onnx(network, file)
            try:
                self._session: Any = onnxruntime.InferenceSession(
                    str(file), options, providers=["CPUExecutionProvider"]
                )
                self._input = self._session.get_inputs()[0].name
                error = self._error(network)
            except Exception as reason:  # a damaged file may raise anything; export it again
                if fresh:
                    raise UserError(
                        "onnx-unsupported",
                        "ONNX Runtime cannot compute {network} ({reason})",
                        network=name,
                        reason=" ".join(str(reason).split())[:120],
                    ) from None
                continue
            if error <= TOLERANCE:
                return
        raise UserError(
            "onnx-values-differ",
            "values of the exported {network} differ by {error:.1e} from PyTorch's, where "
            "{limit:.0e} is the limit; leave --engine out",
            network=name,
            error=error,
            limit=TOLERANCE,
        )

    def __call__(self, encoded: Tensor) -> Tensor:
        """``(N, C, h, w)`` float32 -> ``(N, C, scale * h, scale * w)``."""
        x = imresize(encoded, self.scale) if self._enlarges_first else encoded
        return torch.from_numpy(self._session.run(None, {self._input: x.contiguous().numpy()})[0])

    @torch.no_grad()
    def _error(self, network: Network) -> float:
        channels = 3 if network.colour == "rgb" else 1
        generator = torch.Generator().manual_seed(0)
        errors = []
        network = network.for_scale(self.scale)
        for count, height, width in _PROBES:
            probe = torch.rand(count, channels, height, width, generator=generator)
            expected, actual = network(probe), self(probe)
            if expected.shape != actual.shape:
                return float("inf")
            errors.append(float((expected - actual).abs().max()))
        return max(errors)


def cache() -> Path:
    """The folder of exported networks."""
    root = os.environ.get("SR_CACHE") or Path.home() / ".cache" / "sr_experiments"
    return Path(root) / "onnx"


def fingerprint(network: Network) -> str:
    """A hash of what decides a network's values at any scale: classes, numbers and weights."""
    digest = hashlib.sha256(f"{_FORMAT} {torch.__version__}".encode())
    for name, module in network.named_modules():
        plain = {
            key: value
            for key, value in sorted(vars(module).items())
            if isinstance(value, str | int | float | tuple | None) and key != "training"
        }
        if module is network and network.any_scale:
            plain.pop("scale", None)
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        digest.update(f"{name} {kind} {plain}\n".encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def export_onnx(network: Network, file: Path) -> None:
    """Write a network as ONNX, for any number and size of images.

    Args:
        network: in eval mode, on the CPU. One that supports any scale is written without the
            bicubic that it begins with.
        file: to write.

    Raises:
        UserError: the exporter is not installed or cannot export it, or the disk is full.
    """
    # Sides that are not multiples of each other: none may be taken for a constant.
    example = torch.rand(2, 3 if network.colour == "rgb" else 1, 22, 29)
    sides = ({0: "n", 2: "h", 3: "w"},)
    try:
        # At scale 1 a network that supports any scale does not enlarge: all but its bicubic.
        unscaled = network.for_scale(1) if network.any_scale else network
        with torch.no_grad(), _quiet():
            program: Any = torch.onnx.export(
                unscaled,
                (example,),
                dynamo=True,
                dynamic_shapes=sides,
                external_data=False,
                verbose=False,
            )
        with atomic_write(file) as temporary:
            program.save(str(temporary))
    except ImportError:
        raise UserError(
            "onnx-exporter-missing",
            "onnx and onnxscript are not installed: pip install 'sr_experiments[onnx]'",
        ) from None
    except UserError:
        raise
    except Exception as error:  # the exporter raises nearly anything
        raise UserError(
            "onnx-not-exportable",
            "{network} cannot be exported ({reason}); leave --engine out",
            network=type(network).__name__,
            reason=(str(error).strip().splitlines() or [type(error).__name__])[0].strip()[:120],
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Mute the exporter, which prints remarks and whole graphs, and has no option against it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@torch.no_grad()
def _speedup(network: Network, other: Compute, scale: int) -> float:
    """How many times as fast another engine is on a window, alternating; the median of five."""
    window = torch.rand(1, 3 if network.colour == "rgb" else 1, 144, 144)
    ratios = []
    network = network.for_scale(scale)
    for _ in range(6):
        begin = time.perf_counter()
        network(window)
        middle = time.perf_counter()
        other(window)
        ratios.append((middle - begin) / (time.perf_counter() - middle))
    return statistics.median(ratios[1:])  # the first one warms up
