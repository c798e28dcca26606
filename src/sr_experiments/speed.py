"""Measure how many frames per second this machine enlarges.

``python -m sr_experiments.speed`` measures networks, scales, sizes, engines and batches, and prints
a table. What is measured is the way from RGB to RGB that ``upscale`` takes.
"""

import argparse
import itertools
from argparse import Namespace
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from sr_experiments.core.cli import Parser, command, number, whole
from sr_experiments.core.console import errors, output, print_error, print_table
from sr_experiments.core.device import choose_device
from sr_experiments.core.errors import UserError
from sr_experiments.upscale.arguments import Engine, add_device, device_name, scale
from sr_experiments.upscale.shipped import default_network

if TYPE_CHECKING:
    from rich.table import Table

SIZES = ((640, 360), (1280, 720), (1920, 1080))
MAX_SIDE = 8192


class SpeedCase(NamedTuple):
    """One row of the table.

    Attributes:
        model: as ``--model`` of ``upscale``.
        scale: above 1.
        size: width and height of a frame.
        engine: what computes the network.
        batch: frames at a time; 0 for what ``upscale`` takes.
    """

    model: str
    scale: Fraction
    size: tuple[int, int]
    engine: Engine
    batch: int

    def __str__(self) -> str:
        return f"{self.model} x{float(self.scale):g}"


@command("what was measured until then is above")
def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when everything was measured, 1 when a network does not support a case, 2 for a user's
        mistake, 130 when interrupted.
    """
    options = _parser().parse_args(argv)

    from rich.table import Table

    from sr_experiments.upscale.load_network import load_network
    from sr_experiments.upscale.throughput import machine

    for model in options.model:  # before anything is measured
        load_network(model, max(options.scale))
    device = choose_device(options.device)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("network", "scale", "from", "to", "engine", "batch"):
        table.add_column(column, no_wrap=True)
    for column in ("frames/s", "ms a frame"):
        table.add_column(column, justify="right", no_wrap=True)
    refused: list[str] = []
    try:
        _measure(_cases(options), options, table, refused)
    finally:
        console = output()
        if table.row_count:
            console.print(
                f"from RGB to RGB, {machine(device)}; the median of {options.seconds:g} s"
            )
            print_table(console, table)
        for line in dict.fromkeys(refused):
            print_error(line)
    return 1 if refused else 0


def _measure(
    cases: Sequence[SpeedCase], options: Namespace, table: "Table", refused: list[str]
) -> None:
    """Add a row to the table for each case, or a line to ``refused``."""
    from rich.progress import track

    console = errors()
    for case in track(cases, "measuring", console=console, disable=not console.is_terminal):
        try:
            table.add_row(*_row(case, options))
        except UserError as error:
            refused.append(f"{case}: {error}")


def _row(case: SpeedCase, options: Namespace) -> list[str]:
    from sr_experiments.upscale.load_network import load_network
    from sr_experiments.upscale.throughput import measured
    from sr_experiments.upscale.upscaler import Upscaler

    width, height = case.size
    loaded = load_network(case.model, case.scale)
    upscaler = Upscaler(
        loaded.network,
        case.scale,
        choose_device(device_name(options.device, case.engine)),
        engine=case.engine,
        batch=case.batch or None,
    )
    speed = measured(upscaler, height, width, options.seconds)
    rows, columns = upscaler.size(height, width)
    return [
        loaded.description,
        f"x{float(case.scale):g}",
        f"{width}x{height}",
        f"{columns}x{rows}",
        upscaler.engine,
        str(upscaler.together(height, width)),
        f"{speed.per_second:.3g}",
        f"{1000 / speed.per_second:.0f}",
    ]


def _cases(options: Namespace) -> list[SpeedCase]:
    cases = itertools.starmap(
        SpeedCase,
        itertools.product(
            options.model, options.scale, options.size, options.engine, options.batch
        ),
    )
    # Bicubic is no network: there is nothing to export.
    return [case for case in cases if (case.model, case.engine) != ("bicubic", "onnx")]


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sr_experiments.speed",
        description="Measure how many frames per second this machine enlarges.",
    )
    add = parser.add_argument
    default = default_network() or "bicubic"
    add(
        "--model",
        nargs="+",
        default=[*dict.fromkeys([default, "bicubic"])],
        help="names, runs, checkpoints or files, as `upscale` takes them; by default the network "
        "that ships, and bicubic",
    )
    add("--scale", type=scale, nargs="+", default=[Fraction(2)], help="2 by default")
    add(
        "--size",
        type=_size,
        nargs="+",
        default=list(SIZES),
        metavar="WxH",
        help="of a frame; by default " + ", ".join(f"{w}x{h}" for w, h in SIZES),
    )
    add(
        "--engine",
        choices=("torch", "onnx"),
        nargs="+",
        default=["torch"],
        help="PyTorch (default), ONNX Runtime, or both",
    )
    add(
        "--batch",
        type=whole(1, 256),
        nargs="+",
        default=[0],
        help="frames at a time; by default what `upscale` takes",
    )
    add("--seconds", type=number(0, 3600), default=5.0, help="for each line, 5 by default")
    add_device(parser)
    return parser


def _size(text: str) -> tuple[int, int]:
    """Width and height, such as ``1280x720``."""
    width, _, height = text.lower().partition("x")
    if not all(t.isascii() and t.isdigit() and 0 < int(t) <= MAX_SIDE for t in (width, height)):
        raise argparse.ArgumentTypeError(
            f"{text}: expected width and height such as 1280x720, up to {MAX_SIDE}"
        )
    return int(width), int(height)


if __name__ == "__main__":
    raise SystemExit(main())
