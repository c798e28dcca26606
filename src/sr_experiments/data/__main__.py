"""``python -m sr_experiments.data``: what data there is, getting it, and looking it over."""

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import get_args

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sr_experiments.core.errors import UserError
from sr_experiments.data import catalogue, layouts

EXAMPLES = """\
examples:
  python -m sr_experiments.data list
  python -m sr_experiments.data fetch DIV2K --lr 2 4 --root /data
  python -m sr_experiments.data fetch benchmark --url https://mirror.example/EDSR/
  python -m sr_experiments.data verify Set5

The data root is --root, else the environment variable SR_DATA, else ./data.
"""


def _parser() -> argparse.ArgumentParser:
    groups = ", ".join(catalogue.GROUPS)
    sets = ", ".join(catalogue.IMAGE_SETS)
    parser = argparse.ArgumentParser(
        prog="python -m sr_experiments.data",
        description="List, download and check the data sets of super-resolution.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--root", type=Path, metavar="DIR", help="the data root (default: $SR_DATA, else ./data)"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser(
        "list", parents=[common], help="what can be had, and where it was found on disk"
    )

    fetch = commands.add_parser(
        "fetch",
        parents=[common],
        help="download, check and unpack; resumes, and skips what is complete",
    )
    fetch.add_argument("name", metavar="NAME", help=f"one of {groups}, {sets}")
    fetch.add_argument(
        "--lr",
        type=int,
        nargs="+",
        default=[],
        choices=catalogue.SCALES,
        metavar="SCALE",
        help="DIV2K's LR images at these scales too (2 3 4); without them the suite makes its own",
    )
    fetch.add_argument(
        "--url", metavar="BASE", help="a mirror: the address up to the file names (https)"
    )
    fetch.add_argument(
        "--keep", action="store_true", help="keep the archives in downloads/ under the root"
    )

    verify = commands.add_parser(
        "verify",
        parents=[common],
        help="decode every picture, compare LR on disk with the suite's bicubic",
        description="Exit code 1 if a picture is damaged or missing.",
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


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 if ``verify`` found something broken; 2 for a user's mistake; 130 if interrupted.
    """
    args = _parser().parse_args(argv)
    root = args.root or Path(os.environ.get("SR_DATA") or "data")
    console = Console()
    errors = Console(stderr=True)
    # Only this room's warnings: a count that is not the set's own.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    layouts.log.addHandler(handler)
    layouts.log.setLevel(logging.WARNING)
    try:
        if args.command == "list":
            return _list(root, console)
        if args.command == "fetch":
            return _fetch(args, root, console)
        return _verify(args, root, console)
    except UserError as error:
        _plain(errors, f"error: {error}")
        return 2
    except KeyboardInterrupt:
        _plain(errors, "interrupted; run the same command to go on")
        return 130
    finally:
        layouts.log.removeHandler(handler)


def _list(root: Path, console: Console) -> int:
    table = Table("name", "what", title=Text(f"Data sets under {root}"), box=SIMPLE)
    table.add_column("expected", justify="right")
    table.add_column("found", justify="right")
    table.add_column("where", overflow="fold")
    for wanted in catalogue.IMAGE_SETS.values():
        paths = layouts.locate(root, wanted)
        where = str(paths[0].parent) if paths else _how(wanted)
        _row(table, wanted.name, wanted.what, wanted.images, len(paths), where)
    for split in get_args(catalogue.Split):
        what = "come with scikit-image"
        names = catalogue.EMBEDDED[split]
        try:
            paths = catalogue.embedded(split)
            where = str(paths[0].parent)
        except UserError as error:
            paths, where = [], str(error)
        _row(table, f"embedded/{split}", what, len(names), len(paths), where)
    console.print(table)
    return 0


def _how(wanted: catalogue.ImageSet) -> str:
    return f"fetch {wanted.source}" if wanted.source else wanted.remedy


def _row(table: Table, name: str, what: str, expected: int, found: int, where: str) -> None:
    style = "green" if found == expected else "yellow" if found else "dim"
    table.add_row(name, what, str(expected), Text(str(found), style), Text(where))


def _fetch(args: argparse.Namespace, root: Path, console: Console) -> int:
    from sr_experiments.data.fetch.fetch import fetch

    done = fetch(args.name, root, args.url, console, lr_scales=args.lr, keep_archives=args.keep)
    if done:
        _plain(console, f"unpacked under {root}: {', '.join(done)}")
    return 0


def _verify(args: argparse.Namespace, root: Path, console: Console) -> int:
    from sr_experiments.data.fetch.verify import describe, verify

    broken = False
    absent: list[UserError] = []
    wanted = catalogue.image_sets(args.name)
    for one in wanted:
        try:
            report = verify(one.name, root, args.lr, console)
        except UserError as error:
            absent.append(error)
            continue
        broken |= report.broken
        for line in describe(report):
            _plain(console, line)
    if len(absent) == len(wanted):
        raise absent[0]
    for missing in absent:  # some of a group are here: say in a line what is not
        _plain(console, str(missing).splitlines()[0])
    return 1 if broken or absent else 0


def _plain(console: Console, text: str) -> None:
    """Paths may hold brackets, and a log wants unbroken lines."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    raise SystemExit(main())
