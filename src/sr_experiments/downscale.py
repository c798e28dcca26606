"""Make low-resolution images as the field does.

``python -m sr_experiments.downscale IN OUT --scale 2`` takes an image or a folder. The result
equals MATLAB's ``imresize`` in every value, so a data set of your own is made as DIV2K, Set5 and
the others were.
"""

from pathlib import Path

from sr_experiments.core.cli import Parser, command, whole
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.formats import BORDERS, list_images

MAX_SCALE = 16


@command()
def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when every image was written, 2 for a user's mistake."""
    options = _parser().parse_args(argv)
    targets = plan_targets(options.source, options.target, options.scale)
    existing = [target for target in targets.values() if target.exists()]
    if existing and not options.overwrite:
        raise UserError(
            "downscale-target-exists",
            "{target}{others}: already there; --overwrite replaces",
            target=existing[0],
            others=f" and {len(existing) - 1} more" if len(existing) > 1 else "",
        )
    from rich.progress import track

    from sr_experiments.core.console import errors
    from sr_experiments.imaging.io import read_image, write_png
    from sr_experiments.imaging.resize import downscale

    console = errors()
    hidden = len(targets) == 1 or not console.is_terminal
    jobs = list(targets.items())
    for source, target in track(jobs, "downscaling", console=console, disable=hidden):
        image = read_image(source)
        try:
            small = downscale(image, options.scale, border=options.border)
        except UserError as error:
            raise UserError(
                "image-not-downscaled", "{path}: {reason}", path=source, reason=error
            ) from None
        write_png(target, small)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sr_experiments.downscale",
        description="Downscale an image, or each image of a folder, with MATLAB's bicubic "
        "imresize. Sides are first cut to a multiple of the scale. Writes RGB PNG files.",
    )
    parser.add_argument("source", metavar="IN", type=Path, help="an image or a folder")
    parser.add_argument(
        "target",
        metavar="OUT",
        type=Path,
        help="a folder, where NAMEx2.png is written for NAME; or, for one image, a .png file",
    )
    parser.add_argument(
        "--scale", type=whole(2, MAX_SCALE), required=True, help=f"an integer from 2 to {MAX_SCALE}"
    )
    parser.add_argument(
        "--border",
        choices=BORDERS,
        default="mirror",
        help="the border of newer MATLAB (mirror, the default) or of older MATLAB (clamp)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    return parser


def plan_targets(source: Path, target: Path, scale: int) -> dict[Path, Path]:
    """The file that each image is written to.

    Raises:
        UserError: there is nothing to read, or two images would be written to one file.
    """
    if not source.exists():
        raise UserError("path-missing", "{path}: no such file or folder", path=source)
    if source.resolve() == target.resolve():
        raise UserError(
            "downscale-onto-itself",
            "{path}: IN and OUT are the same; name another place to write to",
            path=source,
        )
    if source.is_file() and not target.is_dir():
        if target.suffix.lower() != ".png":
            raise UserError(
                "downscale-writes-png",
                "{path}: PNG is written; name a .png file or an existing folder",
                path=target,
            )
        return {source: target}
    if target.is_file():
        raise UserError(
            "downscale-needs-folder",
            "{target}: a file, where a folder is needed for the images of {source}",
            target=target,
            source=source,
        )
    sources = [source] if source.is_file() else list_images(source)
    targets = {path: target / f"{path.stem}x{scale}.png" for path in sources}
    writers: dict[Path, Path] = {}
    for path, written in targets.items():
        if written in writers:
            raise UserError(
                "downscale-targets-collide",
                "{first} and {second} would both be written to {target}; rename one",
                first=writers[written],
                second=path,
                target=written,
            )
        writers[written] = path
    return targets


if __name__ == "__main__":
    raise SystemExit(main())
