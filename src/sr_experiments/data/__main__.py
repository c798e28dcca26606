"""``python -m sr_experiments.data``: list, download and verify data sets."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sr_experiments.core.cli import RESUMES, Parser, command
from sr_experiments.core.console import output, print_table
from sr_experiments.core.errors import UserError
from sr_experiments.data import catalogue

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = """\
examples:
  python -m sr_experiments.data list
  python -m sr_experiments.data fetch DIV2K --lr 2 4 --root /data
  python -m sr_experiments.data fetch benchmark --url https://mirror.example/EDSR/
  python -m sr_experiments.data verify Set5

The data root is --root, else the environment variable SR_DATA, else ./data.
"""


def _parser() -> Parser:
    groups = ", ".join(catalogue.GROUPS)
    sets = ", ".join(catalogue.IMAGE_SETS)
    parser = Parser(
        prog="python -m sr_experiments.data",
        description="List, download and check the data sets of super-resolution.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = Parser(add_help=False)
    common.add_argument(
        "--root", type=Path, metavar="DIR", help="the data root (default: $SR_DATA, else ./data)"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser(
        "list", parents=[common], help="the known data sets, and where they were found on disk"
    )

    fetch = commands.add_parser(
        "fetch",
        parents=[common],
        help="download, check and unpack; resumes, and skips complete sets",
    )
    fetch.add_argument("name", metavar="NAME", help=f"one of {groups}, {sets}")
    fetch.add_argument(
        "--lr",
        type=int,
        nargs="+",
        default=[],
        choices=catalogue.SCALES,
        metavar="SCALE",
        help="also DIV2K's LR images at these scales (2 3 4); otherwise the suite makes them",
    )
    fetch.add_argument(
        "--url", metavar="BASE", help="a mirror: the https address up to the file names"
    )
    fetch.add_argument(
        "--keep", action="store_true", help="keep the archives in downloads/ under the root"
    )

    verify = commands.add_parser(
        "verify",
        parents=[common],
        help="decode every image, compare LR images on disk with the suite's bicubic",
        description="Exit code 1 if an image is damaged or missing.",
    )
    verify.add_argument("name", metavar="NAME", help=f"one of {groups}, {sets}")
    verify.add_argument(
        "--lr",
        type=int,
        nargs="*",
        default=list(catalogue.SCALES),
        choices=catalogue.SCALES,
        metavar="SCALE",
        help="the LR scales to look for (default: 2 3 4)",
    )
    return parser


@command(RESUMES)
def main(argv: list[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        0; 1 if ``verify`` found a damaged or missing image; 2 for a user's mistake; 130 if
        interrupted.
    """
    args = _parser().parse_args(argv)
    root = args.root or Path(os.environ.get("SR_DATA") or "data")
    run = {"list": _list, "fetch": _fetch, "verify": _verify}[args.command]
    return run(args, root, output())


def _list(args: argparse.Namespace, root: Path, console: "Console") -> int:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from sr_experiments.data import layouts

    table = Table("name", "content", title=Text(f"Data sets under {root}"), box=SIMPLE)
    table.add_column("expected", justify="right")
    table.add_column("found", justify="right")
    table.add_column("where", overflow="fold")

    def add(name: str, content: str, expected: int, paths: list[Path], remedy: str) -> None:
        found = len(paths)
        style = "green" if found == expected else "yellow" if found else "dim"
        where = str(paths[0].parent) if paths else remedy
        table.add_row(name, content, str(expected), Text(str(found), style), Text(where))

    for dataset in catalogue.IMAGE_SETS.values():
        remedy = f"fetch {dataset.source}" if dataset.source else dataset.remedy
        paths = layouts.locate(root, dataset)
        add(dataset.name, dataset.content, dataset.images, paths, remedy)
    for split, names in catalogue.EMBEDDED.items():
        try:
            paths, remedy = catalogue.embedded(split), ""
        except UserError as error:
            paths, remedy = [], str(error)
        add(f"embedded/{split}", "included in scikit-image", len(names), paths, remedy)
    print_table(console, table)
    return 0


def _fetch(args: argparse.Namespace, root: Path, console: "Console") -> int:
    from sr_experiments.data.fetch.fetch import fetch

    unpacked = fetch(args.name, root, args.url, console, lr_scales=args.lr, keep_archives=args.keep)
    if unpacked:
        console.print(f"unpacked under {root}: {', '.join(unpacked)}")
    return 0


def _verify(args: argparse.Namespace, root: Path, console: "Console") -> int:
    from sr_experiments.data.fetch.verify import describe, verify

    broken = False
    absent: list[UserError] = []
    datasets = catalogue.image_sets(args.name)
    for dataset in datasets:
        try:
            report = verify(dataset.name, root, args.lr, console)
        except UserError as error:
            absent.append(error)
            continue
        broken |= report.broken
        for line in describe(report):
            console.print(line)
    if len(absent) == len(datasets):
        raise absent[0]
    for reason in absent:  # a part of a group is missing: one line, without the two trees
        console.print(str(reason).splitlines()[0])
    return 1 if broken or absent else 0


if __name__ == "__main__":
    raise SystemExit(main())
