"""How many frames a second this machine enlarges.

``python -m sr_experiments.speed`` measures networks, factors, sizes, engines and batches, and
prints a table. What is measured is the way from RGB to RGB, as ``upscale`` goes it.
"""

import itertools
import sys
from argparse import Namespace
from fractions import Fraction
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from sr_experiments.core.cli import Parser, number, whole
from sr_experiments.core.errors import UserError
from sr_experiments.upscale.load_network import find
from sr_experiments.upscale.options import device_of, scale_of
from sr_experiments.upscale.shipped import DEFAULT, shipped
from sr_experiments.upscale.throughput import machine, measured
from sr_experiments.upscale.upscaler import Upscaler

SIZES = ((640, 360), (1280, 720), (1920, 1080))
MOST_SIDE = 8192


class Case(NamedTuple):
    """What is measured: a line of the table."""

    model: str
    scale: Fraction
    size: tuple[int, int]
    engine: str
    batch: int


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when all was measured, 1 when a network could not do what was asked, 2 for a user's
        mistake, 130 when interrupted.
    """
    try:
        options = _parser().parse_args(argv)
        cases = _cases(options)
        for model in options.model:  # before anything is measured
            find(model, max(options.scale))
        device = device_of(options.device)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    console = Console(highlight=False, markup=False, soft_wrap=True)
    errors = Console(stderr=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("network", "scale", "from", "to", "engine", "batch"):
        table.add_column(column, no_wrap=True)
    for column in ("frames/s", "ms a frame"):
        table.add_column(column, justify="right", no_wrap=True)
    refused: dict[str, None] = {}
    bars = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    interrupted = False
    try:
        with Progress(*bars, console=errors, disable=not errors.is_terminal) as progress:
            task = progress.add_task("measuring", total=len(cases))
            for case in cases:
                width, height = case.size
                said = f"{case.model} x{float(case.scale):g} {width}x{height}"
                progress.update(task, description=said)
                try:
                    table.add_row(*_row(case, options))
                except UserError as error:
                    refused[f"{case.model} x{float(case.scale):g}: {error}"] = None
                progress.advance(task)
    except KeyboardInterrupt:
        interrupted = True
    if table.row_count:
        console.print(f"from RGB to RGB, {machine(device)}; the median of {options.seconds:g} s")
        # As wide as it is: a table in a file is not folded at 80 columns.
        console.width = 10_000
        console.width = console.measure(table).maximum
        console.print(table)
    for line in refused:
        sys.stderr.write(f"error: {line}\n")
    if interrupted:
        sys.stderr.write("error: interrupted; measured so far is above\n")
        return 130
    return 1 if refused else 0


def _row(case: Case, options: Namespace) -> list[str]:
    width, height = case.size
    found = find(case.model, case.scale)
    upscaler = Upscaler(
        found.network,
        case.scale,
        device_of(options.device, case.engine),
        engine=case.engine,
        batch=case.batch or None,
    )
    figure = measured(upscaler, height, width, options.seconds)
    rows, columns = upscaler.size(height, width)
    return [
        *(found.words, f"x{float(case.scale):g}", f"{width}x{height}", f"{columns}x{rows}"),
        *(upscaler.engine, str(upscaler.together(height, width))),
        *(f"{figure.per_second:.3g}", f"{1000 / figure.per_second:.0f}"),
    ]


def _cases(options: Namespace) -> list[Case]:
    found = itertools.product(
        options.model, options.scale, options.size, options.engine, options.batch
    )
    # Bicubic is no network: it has one engine.
    return [Case(*c) for c in found if not (c[0] == "bicubic" and c[3] == "onnx")]


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sr_experiments.speed",
        description="Measure how many frames a second this machine enlarges.",
    )
    add = parser.add_argument
    default = DEFAULT if DEFAULT in shipped() else "bicubic"
    add(
        "--model",
        nargs="+",
        default=[*dict.fromkeys([default, "bicubic"])],
        help="names, runs, checkpoints or files, as `upscale` takes them; by default the network "
        "that ships, and bicubic",
    )
    add("--scale", type=scale_of, nargs="+", default=[Fraction(2)], help="factors, 2 by default")
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
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where it works")
    return parser


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not all(t.isascii() and t.isdigit() and 0 < int(t) <= MOST_SIDE for t in (width, height)):
        raise UserError(f"--size {text}: width and height such as 1280x720, up to {MOST_SIDE}")
    return int(width), int(height)


if __name__ == "__main__":
    raise SystemExit(main())
