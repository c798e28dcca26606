"""Enlarge images and videos with a network.

``python -m sr_experiments.upscale IN... OUT`` takes images, videos and folders. Results are what
the suite would score: the same network, colours and rounding.
"""

from collections import Counter
from fractions import Fraction
from pathlib import Path

from sr_experiments.core.cli import Parser, command, fraction, number, whole
from sr_experiments.core.console import output, print_error
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.formats import WRITABLE_IMAGE_SUFFIXES, WRITABLE_VIDEO_SUFFIXES
from sr_experiments.upscale.arguments import ENGINES, MAX_SCALE, add_device, scale
from sr_experiments.upscale.file_plan import PlannedFile, plan_files
from sr_experiments.upscale.shipped import shipped
from sr_experiments.upscale.video.options import VideoOptions, is_video

_INTERRUPTED = (
    "finished files are complete; the same command with --skip-existing does the others, and "
    "resumes a long video"
)


@command(_INTERRUPTED)
def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when every file was written, 1 when some were not, 2 for a user's mistake, 130 when
        interrupted.
    """
    options = _parser().parse_args(argv)
    videos = VideoOptions(
        start=options.start,
        duration=options.duration,
        crf=options.crf,
        lossless=options.lossless,
        keep_readable=options.keep_readable,
    )
    passed_over: Counter[str] = Counter()
    files = plan_files(options.sources, options.target, options.format, videos, passed_over)
    if passed_over:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in passed_over.most_common())
        output().print(f"passed over {passed_over.total()} files that it does not read: {kinds}")
    files = _without_existing(files, options.existing)

    from sr_experiments.upscale.batch import enlarge_all

    failures = enlarge_all(files, options, videos)
    for failure in failures:
        print_error(failure)
    moving = {is_video(file.source) for file in files}
    noun = "files" if len(moving) > 1 else "videos" if moving == {True} else "images"
    output().print(f"{len(files) - len(failures)} of {len(files)} {noun} written")
    return 1 if failures else 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sr_experiments.upscale",
        description="Enlarge images and videos, or all of those in folders, with a network.",
    )
    add = parser.add_argument
    add("sources", metavar="IN", type=Path, nargs="+", help="images, videos, folders")
    suffixes = ", ".join([*WRITABLE_IMAGE_SUFFIXES, *WRITABLE_VIDEO_SUFFIXES])
    add(
        "target",
        metavar="OUT",
        type=Path,
        help="a folder, where NAME.png is written for each image NAME of IN, animations keep their "
        "format, and videos become .mp4, .mkv or .webm; or, for a single image or video, a file, "
        f"whose suffix names the format: {suffixes}",
    )
    names = ", ".join([*shipped(), "bicubic"])
    add(
        "--model",
        help=f"a name ({names}), a run's directory, a .ckpt or .safetensors of this suite, weights "
        "of an EDSR, RCAN, SRCNN or VDSR from elsewhere, or with --architecture of any network",
    )
    add(
        "--weights",
        choices=("raw", "averaged"),
        default="raw",
        help="which weights of a run's directory; raw by default",
    )
    add(
        "--architecture",
        metavar="NAME[:KEY=VALUE,...]",
        help="the network that a foreign file of weights belongs to, such as vdsr:bias=false",
    )
    add(
        "--scale",
        type=scale,
        default=Fraction(2),
        help=f"above 1 and at most {MAX_SCALE}, such as 1.5; 2 by default",
    )
    for name in ("denoise", "sharpen"):
        add(
            f"--{name}",
            type=number(0, 1),
            default=0.0,
            help="strength from 0 (default) to 1, applied before enlarging",
        )
    add(
        "--self-ensemble",
        action="store_true",
        help="average the outputs for eight flips and transposes: slightly better, eight times "
        "slower",
    )
    add(
        "--format",
        choices=[suffix[1:] for suffix in WRITABLE_IMAGE_SUFFIXES],
        default="png",
        help="of images in a folder OUT; png by default",
    )
    add("--tile", type=whole(1), help="side of a tile; by default as large as the memory allows")
    add(
        "--approximate",
        action="store_true",
        help="allow tiles for a network whose every pixel depends on the whole image (RCAN)",
    )
    add_device(parser)
    add(
        "--engine",
        choices=ENGINES,
        default="torch",
        help="what computes the network: PyTorch (default), whose values equal those of scoring "
        "bit by bit, ONNX Runtime, or ONNX Runtime where it is clearly faster (auto)",
    )
    add(
        "--max-pixels",
        type=whole(1),
        help="the largest image or frame that is read; by default Pillow's limit",
    )
    add(
        "--start",
        type=fraction(0, 10**7),
        default=Fraction(0),
        help="seconds of a video to skip",
    )
    add("--duration", type=fraction(0, 10**7), help="seconds of a video to convert; all by default")
    add(
        "--crf",
        type=whole(0, 63),
        help="quality of a video, 0 is best; 18 by default for H.264 (.mp4, .mkv), 28 for VP9 "
        "(.webm)",
    )
    add("--lossless", action="store_true", help="write videos as lossless FFV1 in RGB (.mkv)")
    add(
        "--keep-readable",
        action="store_true",
        help="of a video that is cut short, write what can be read",
    )
    existing = parser.add_mutually_exclusive_group()
    for flag, value, text in (
        ("--overwrite", "overwrite", "replace existing files"),
        ("--skip-existing", "skip", "leave existing files as they are"),
    ):
        existing.add_argument(flag, dest="existing", action="store_const", const=value, help=text)
    return parser


def _without_existing(files: list[PlannedFile], existing: str | None) -> list[PlannedFile]:
    there = [file.target for file in files if file.target.exists()]
    if existing == "skip":
        return [file for file in files if file.target not in there]
    if there and existing is None:
        raise UserError(
            "upscale-target-exists",
            "{target}{others}: already there; --overwrite replaces, --skip-existing leaves it",
            target=there[0],
            others=f" and {len(there) - 1} more" if len(there) > 1 else "",
        )
    return files


if __name__ == "__main__":
    raise SystemExit(main())
