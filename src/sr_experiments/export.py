"""Write a trained network in a format that other programs read, with a card beside it.

``python -m sr_experiments.export runs/NAME/RUN network.onnx``; the suffix names the format.
"""

import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping
from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from sr_experiments.core.cli import Parser, command, whole
from sr_experiments.core.console import output
from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.runs.directory import RunDirectory
from sr_experiments.runs.records import RESULT, Result

if TYPE_CHECKING:
    from torch import Tensor

    from sr_experiments.models.network import Network

#: Number, height and width of the inputs that an export is compared on.
PROBES = ((1, 24, 31), (3, 17, 20), (1, 48, 64))
#: The largest difference from PyTorch's values, which are in [0, 1].
TOLERANCE = 1e-4
FORMATS = {
    ".safetensors": "the suite's own: tensors, and the config that rebuilds the network",
    ".pt": "a PyTorch state dict, in the names of the official EDSR and RCAN",
    ".onnx": "ONNX, for any number and size of images",
    ".pt2": "torch.export's program, for any number and size of images",
}


@command()
def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when the network was written, 2 for a user's mistake."""
    options = _parser().parse_args(argv)
    suffix = options.out.suffix
    if suffix not in FORMATS:
        raise UserError(
            "unknown-export-format",
            "{out}: the suffix names the format; choose from {formats}",
            out=options.out,
            formats=", ".join(FORMATS),
        )

    from sr_experiments.upscale.load_network import load_network

    scale = options.scale or _scale_of(options.model)
    loaded = load_network(options.model, Fraction(scale), weights=options.weights)
    network = loaded.network.for_scale(scale) if loaded.network.any_scale else loaded.network
    difference = _write(network, options.out, options)
    if not difference <= TOLERANCE:
        raise UserError(
            "export-differs",
            "{out}: values differ by {difference:.1e} from PyTorch's, where {limit:.0e} is the "
            "limit; choose another format",
            out=options.out,
            difference=difference,
            limit=TOLERANCE,
        )
    card = options.out.with_name(options.out.name + ".md")
    with atomic_write(card) as temporary:
        temporary.write_text(_card(network, options, difference), encoding="utf-8")
    output().print(f"{options.out} and {card.name} written")
    if options.push_to_hub:
        address = _push(options.push_to_hub, options.out, card)
        output().print(address, highlight=False, soft_wrap=True)
    return 0


def _parser() -> Parser:
    listed = "; ".join(f"{suffix}: {meaning}" for suffix, meaning in FORMATS.items())
    parser = Parser(
        prog="python -m sr_experiments.export",
        description="Write a trained network for other programs, with a card beside it. "
        f"The suffix of OUT names the format. {listed}.",
    )
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        help="a run's directory, a file of weights, or a network that ships",
    )
    add("out", metavar="OUT", type=Path, help="the file to write")
    add("--scale", type=whole(2, 8), help="by default the run's, or 2")
    add("--weights", default="raw", choices=("raw", "averaged"), help="of a run (default: raw)")
    add(
        "--push-to-hub",
        metavar="USER/NAME",
        help="upload file and card to the Hugging Face Hub, with the token of `hf auth login`",
    )
    return parser


def _push(repository: str, out: Path, card: Path) -> str:
    """Upload an export and its card in one commit; returns the repository's address."""
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
    except ImportError:
        raise UserError(
            "hub-missing",
            "--push-to-hub: needs huggingface_hub; pip install huggingface_hub",
        ) from None
    files = {out.name: out, "README.md": card}
    try:
        hub = HfApi()
        address = hub.create_repo(repository, exist_ok=True)
        hub.create_commit(
            repository,
            [CommitOperationAdd(name, str(file)) for name, file in files.items()],
            commit_message=f"{out.name}, exported by sr_experiments",
        )
    except Exception as error:  # of the token, the name, the connection: no common class
        raise UserError(
            "hub-refused",
            "--push-to-hub {repository}: not uploaded ({reason}); {out} is written",
            repository=repository,
            reason=" ".join(str(error).split())[:300],
            out=out,
        ) from None
    return str(address)


def _scale_of(model: str) -> int:
    result = _result(model)
    return result.scale if result else 2


def _result(model: str) -> Result | None:
    """What a run's directory says; None for anything else."""
    if not (Path(model) / RESULT).is_file():
        return None
    return RunDirectory(Path(model), "").result()


def _write(network: "Network", out: Path, options: Namespace) -> float:
    """Write the file, read it back as a stranger would, and compare; the largest difference."""
    import torch

    if out.suffix == ".safetensors":
        from sr_experiments.models.weights import load_weights, save_weights

        state, config = load_weights(_file_of(options.model, options.scale or 2, options.weights))
        save_weights(out, state, config)
        return _difference(network, _loaded(network, load_weights(out)[0]))
    if out.suffix == ".pt":
        state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        with atomic_write(out) as temporary:
            torch.save(state, temporary)
        return _difference(network, _loaded(network, torch.load(out, weights_only=True)))
    # A network for any scale enlarges its input by MATLAB's bicubic first, which stays outside.
    inner = network.for_scale(1) if network.any_scale else network
    if out.suffix == ".pt2":
        from torch.export import Dim, export, load, save

        channels = 3 if network.colour == "rgb" else 1
        sides = ({0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO},)  # if it fixes one, the probes tell
        program = export(inner, (torch.rand(2, channels, 22, 29),), dynamic_shapes=sides)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own archive's parts
            with atomic_write(out) as temporary:
                named = temporary.with_suffix(".pt2")  # it insists on the suffix
                save(program, named)
                named.replace(temporary)
            return _difference(inner, load(out).module())
    from sr_experiments.upscale.onnx_network import export_onnx

    export_onnx(inner, out)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return _difference(inner, lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0]))


def _file_of(model: str, scale: int, weights: str) -> Path:
    """The suite's own file of a network."""
    from sr_experiments.upscale.shipped import shipped, shipped_file

    if model in shipped():
        return shipped_file(model, Fraction(scale))
    path = Path(model)
    return RunDirectory(path, "").weights_of(weights) if path.is_dir() else path


def _loaded(network: "Network", state: Mapping[str, "Tensor"]) -> "Network":
    copy = deepcopy(network)
    for parameter in copy.parameters():
        parameter.detach().zero_()
    copy.load_state_dict(dict(state))
    return copy


def _difference(network: "Network", other: Callable[["Tensor"], "Tensor"]) -> float:
    """The largest difference of values on images of several sizes, as the network encodes them."""
    import torch

    generator = torch.Generator().manual_seed(0)
    channels = 3 if network.colour == "rgb" else 1
    found = []
    with torch.no_grad():
        for count, height, width in PROBES:
            probe = torch.rand(count, channels, height, width, generator=generator)
            found.append(float((network(probe) - other(probe)).abs().max()))
    return max(found)


def _card(network: "Network", options: Namespace, difference: float) -> str:
    """Markdown: what the network is, what goes in and out, how it was trained, what it scores."""
    channels = {"rgb": "R, G, B", "y": "Y", "each": "any number of channels"}[network.colour]
    values = f"{channels} in [0, 1], float32 `(N, C, h, w)`"
    scale = network.scale
    if network.colour == "y":
        values += "; Y is BT.601's studio-range luma / 255, and chroma is enlarged by bicubic"
    inside = ".onnx", ".pt2"
    if network.any_scale and options.out.suffix in inside:
        values += f"; enlarged by MATLAB's bicubic to {scale} times its size before"
        scale = 1
    lines = [
        f"# {options.out.name}",
        "",
        f"{type(network).__name__} {network.size}, x{network.scale}, "
        f"{network.parameter_count:,} parameters. {FORMATS[options.out.suffix]}.",
        "",
        f"- Input: {values}.",
        f"- Output: the same, `(N, C, {scale} h, {scale} w)`, not clipped.",
        f"- Read back and compared on {len(PROBES)} sizes: at most {difference:.1e} from PyTorch.",
    ]
    result = _result(options.model)
    if result and result.training:
        done = result.training
        lines.append(
            f"- Trained for {done.updates:,} updates of {done.batch_size} patches of "
            f"{done.patch_size}x{done.patch_size} on {done.data} ({done.images} images), "
            f"{done.precision}, seed {result.seed}; budget={result.choices.get('budget')}."
        )
    if result:
        lines += ["", "| data set | protocol | PSNR | SSIM | images |", "|---|---|---|---|---|"]
        for dataset, entry in result.means.items():
            for protocol, mean in entry.get(options.weights, {}).items():
                ssim = "" if mean.ssim is None else f"{mean.ssim:.4f}"
                cells = (dataset, protocol, f"{mean.psnr:.3f}", ssim, str(mean.images))
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    raise SystemExit(main())
