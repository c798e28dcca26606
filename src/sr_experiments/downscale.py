"""Make the field's low-resolution pictures.

``python -m sr_experiments.downscale IN OUT --scale 2`` takes a picture or a folder. The result is
MATLAB's ``imresize`` to the last value, so a data set of one's own is made as DIV2K, Set5 and the
others were.
"""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from sr_experiments.core.cli import Parser
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import list_images, read_image, write_png
from sr_experiments.imaging.resize import BORDERS, downscale

MAX_SCALE = 16


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when every picture was written, 2 for a user's mistake."""
    parser = Parser(
        prog="python -m sr_experiments.downscale",
        description="Shrink a picture, or each picture of a folder, with MATLAB's bicubic "
        "imresize. Sides are first cut to a multiple of the scale. Writes RGB PNG files.",
    )
    parser.add_argument("source", metavar="IN", type=Path, help="a picture or a folder")
    parser.add_argument(
        "target",
        metavar="OUT",
        type=Path,
        help="a folder, where NAMEx2.png is written for NAME; or, for one picture, a .png file",
    )
    parser.add_argument("--scale", type=parse_scale, required=True, help="how many times smaller")
    parser.add_argument(
        "--border",
        choices=BORDERS,
        default="mirror",
        help="the border of newer MATLAB (mirror, the default) or of older MATLAB (clamp)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    try:
        options = parser.parse_args(argv)
        jobs = _plan(options.source, options.target, options.scale)
        if not options.overwrite:
            _refuse_existing([target for _, target in jobs])
        console = Console(stderr=True)
        quiet = len(jobs) == 1 or not console.is_terminal
        for source, target in track(jobs, "shrinking", console=console, disable=quiet):
            image = read_image(source)
            try:
                small = downscale(image, options.scale, border=options.border)
            except UserError as error:
                raise UserError(f"{source}: {error}") from None
            write_png(target, small)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def parse_scale(text: str) -> int:
    """The value of ``--scale``: an integer from 2 to 16.

    Raises:
        UserError: it is anything else.
    """
    if not (text.isascii() and text.isdigit() and 2 <= int(text) <= MAX_SCALE):
        raise UserError(f"--scale {text}: the scale is an integer from 2 to {MAX_SCALE}")
    return int(text)


def _plan(source: Path, target: Path, scale: int) -> list[tuple[Path, Path]]:
    """Which picture is written where.

    Raises:
        UserError: there is nothing to read, or two files would be one.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if source.resolve() == target.resolve():
        raise UserError(f"{source}: IN and OUT are the same; name another place to write to")
    if source.is_file() and not target.is_dir():
        if target.suffix.lower() != ".png":
            raise UserError(f"{target}: PNG is written; name a .png file or an existing folder")
        return [(source, target)]
    if target.is_file():
        raise UserError(f"{target}: a file, where a folder is needed for the pictures of {source}")
    sources = [source] if source.is_file() else list_images(source)
    jobs = [(path, target / f"{path.stem}x{scale}.png") for path in sources]
    writers: dict[Path, Path] = {}
    for path, written in jobs:
        if written in writers:
            raise UserError(
                f"{writers[written]} and {path} would both be written to {written}; rename one"
            )
        writers[written] = path
    return jobs


def _refuse_existing(targets: list[Path]) -> None:
    existing = [target for target in targets if target.exists()]
    if existing:
        others = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UserError(f"{existing[0]}{others}: already there; --overwrite replaces")


if __name__ == "__main__":
    raise SystemExit(main())
