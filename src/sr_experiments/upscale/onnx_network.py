"""What computes a network: PyTorch, or ONNX Runtime where that is faster.

Only the network itself changes hands, in float32. Colour, bicubic and rounding stay the suite's, so
a value can differ from the scoring path's only where the convolutions' last bits decide a rounding:
by at most 1/255, in few values. ONNX Runtime is therefore never chosen unasked.
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
from typing import Any

import torch
from torch import Tensor

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.imaging.resize import imresize
from sr_experiments.models.network import Network

ENGINES = ("torch", "onnx", "auto")
#: ``(N, C, h, w)`` as a network sees it -> ``(N, C, scale * h, scale * w)``.
Compute = Callable[[Tensor], Tensor]
#: The largest difference of the two engines' values, which are in [0, 1].
TOLERANCE = 1e-5
#: How many times as fast ONNX Runtime must be to be taken by ``auto``.
WORTH = 1.2
#: Part of the name of an exported file; another number, and all are exported anew.
_FORMAT = 1
_PROBES = ((1, 24, 31), (2, 17, 20))


def chosen(
    engine: str, network: Network, factor: int, device: torch.device
) -> tuple[str, str, Compute]:
    """What computes a network.

    Args:
        engine: one of :data:`ENGINES`.
        network: in eval mode, on its device.
        factor: by which it will enlarge.
        device: where it works.

    Returns:
        ``torch`` or ``onnx``; what to say of the choice; and the function.

    Raises:
        UserError: ONNX Runtime was asked for, and cannot do it.
    """
    if engine == "torch":
        return "torch", "", network
    if engine not in ENGINES:
        raise UserError(f"--engine {engine}: no such engine ({', '.join(ENGINES)})")
    try:
        made = OnnxNetwork(network, factor, device)
    except UserError as error:
        if engine == "onnx":
            raise
        reason = str(error).removeprefix("--engine onnx: ")
        return "torch", f"by PyTorch: {reason}", network
    differs = "within 1/255 of what is scored, not bit by bit the same"
    if engine == "onnx":
        return "onnx", f"by ONNX Runtime: {differs}", made
    gain = _gain(network, made, factor)
    if gain < WORTH:
        return "torch", f"by PyTorch: ONNX Runtime is {gain:.1f} times as fast here", network
    return "onnx", f"by ONNX Runtime, {gain:.1f} times as fast here: {differs}", made


class OnnxNetwork:
    """A network as ONNX Runtime computes it on the CPU, with PyTorch's number of threads.

    It is exported once, with dynamic sizes, into ``SR_CACHE/onnx`` under the hash of all that it
    is, and compared with PyTorch's values whenever it is loaded.

    Args:
        network: in eval mode. One that serves any scale enlarges first, by MATLAB's bicubic; that
            stays the suite's, and what is exported is the rest.
        factor: by which it enlarges.
        device: the network's.

    Raises:
        UserError: it cannot be exported, or its values are others.
    """

    def __init__(self, network: Network, factor: int, device: torch.device) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError(
                "--engine onnx: ONNX Runtime is not installed: pip install 'sr_experiments[onnx]'"
            ) from None
        name = type(network).__name__
        if device.type != "cpu":
            raise UserError("--engine onnx: works on a CPU only; add --device cpu")
        parameters = list(network.parameters())
        if not parameters:
            raise UserError(f"--engine onnx: {name} has no parameters, there is nothing to export")
        if any(p.dtype != torch.float32 for p in parameters):
            raise UserError(f"--engine onnx: {name} does not compute in float32")
        self.factor, self._first = factor, network.any_scale
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 4
        file = cache() / f"{name.lower()}-{fingerprint(network)[:24]}.onnx"
        open_: Callable[[], Any] = lambda: onnxruntime.InferenceSession(  # noqa: E731
            str(file), settings, providers=["CPUExecutionProvider"]
        )
        for fresh in (False, True):
            if fresh or not file.is_file():
                _export(network, file)
            try:
                self._session = open_()
                self._input = self._session.get_inputs()[0].name
                error = self._error(network)
            except Exception as reason:  # whatever a file may hold; it is made anew
                if fresh:
                    first = " ".join(str(reason).split())[:120]
                    raise UserError(
                        f"--engine onnx: ONNX Runtime cannot compute {name} ({first})"
                    ) from None
                continue
            if error <= TOLERANCE:
                return
        raise UserError(
            f"--engine onnx: the exported {name} answers {error:.1e} beside PyTorch's values, "
            f"{TOLERANCE:.0e} is allowed; leave --engine out"
        )

    def __call__(self, encoded: Tensor) -> Tensor:
        """``(N, C, h, w)`` float32 -> ``(N, C, factor * h, factor * w)``."""
        given = imresize(encoded, self.factor) if self._first else encoded
        answer = self._session.run(None, {self._input: given.contiguous().numpy()})[0]
        return torch.from_numpy(answer)

    @torch.no_grad()
    def _error(self, network: Network) -> float:
        channels = 3 if network.colour == "rgb" else 1
        made = torch.Generator().manual_seed(0)
        errors = []
        network = network.for_scale(self.factor)
        for count, height, width in _PROBES:
            probe = torch.rand(count, channels, height, width, generator=made)
            expected, answer = network(probe), self(probe)
            if expected.shape != answer.shape:
                return float("inf")
            errors.append(float((expected - answer).abs().max()))
        return max(errors)


def cache() -> Path:
    """The folder of exported networks."""
    root = os.environ.get("SR_CACHE") or Path.home() / ".cache" / "sr_experiments"
    return Path(root) / "onnx"


def fingerprint(network: Network) -> str:
    """A hash of all that decides a network's values: classes, numbers, weights; not its scale."""
    found = hashlib.sha256(f"{_FORMAT} {torch.__version__}".encode())
    for name, module in network.named_modules():
        plain = {
            key: value
            for key, value in sorted(vars(module).items())
            if isinstance(value, str | int | float | tuple | None) and key != "training"
        }
        if module is network and network.any_scale:
            plain.pop("scale", None)
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        found.update(f"{name} {kind} {plain}\n".encode())
    for name, tensor in network.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def _export(network: Network, file: Path) -> None:
    name = type(network).__name__
    # Sides that are not multiples of each other: none may be taken for a constant.
    example = torch.rand(2, 3 if network.colour == "rgb" else 1, 22, 29)
    sides = ({0: "n", 2: "h", 3: "w"},)
    try:
        # At 1 a network that serves any scale does not enlarge, and gives all the rest.
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
            "--engine onnx: onnx and onnxscript are not installed: "
            "pip install 'sr_experiments[onnx]'"
        ) from None
    except UserError:
        raise
    except Exception as error:  # the exporter raises nearly anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
        raise UserError(
            f"--engine onnx: {name} cannot be exported ({reason[:120]}); leave --engine out"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its remarks and whole graphs, which are of no use to a user."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@torch.no_grad()
def _gain(network: Network, other: Compute, factor: int) -> float:
    """How many times as fast another engine is, on a window, in turns; the median of five."""
    window = torch.rand(1, 3 if network.colour == "rgb" else 1, 144, 144)
    ratios = []
    network = network.for_scale(factor)
    for _ in range(6):
        begin = time.perf_counter()
        network(window)
        middle = time.perf_counter()
        other(window)
        ratios.append((middle - begin) / (time.perf_counter() - middle))
    return statistics.median(ratios[1:])  # the first one warms up
