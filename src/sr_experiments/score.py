"""Score images against their ground truth under every protocol of the field.

``python -m sr_experiments.score SR HR --scale 2`` takes two folders, or two files.
"""

import json
import math
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sr_experiments.core.cli import Parser, command, whole
from sr_experiments.core.errors import UserError
from sr_experiments.downscale import MAX_SCALE
from sr_experiments.imaging.formats import list_images

if TYPE_CHECKING:
    from sr_experiments.metrics.protocols import Score

#: What may follow the ground truth's name in that of a result: nothing, ``x2``, ``_RCAN_x2`` ...
_AFTER_STEM = re.compile(r"$|x\d|[_\-.]")
#: What data sets append to the name of a ground truth: ``baby_HR``, ``img_001_SRF_2_HR``.
_HR_SUFFIX = re.compile(r"(?<=.)(_SRF_\d+)?_HR$", re.IGNORECASE)


class Pair(NamedTuple):
    """A super-resolved image, its ground truth, and the name of both."""

    name: str
    sr: Path
    hr: Path


@command()
def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when every image was scored, 2 for a user's mistake."""
    options = _parser().parse_args(argv)
    pairs = find_pairs(options.sr, options.hr)

    from sr_experiments.metrics.protocols import PROTOCOLS

    if options.protocol not in ("all", *PROTOCOLS):
        raise UserError(
            "unknown-protocol-to-score",
            "--protocol {name}: no such protocol; choose from all, {protocols}",
            name=options.protocol,
            protocols=", ".join(PROTOCOLS),
        )
    names = list(PROTOCOLS) if options.protocol == "all" else [options.protocol]
    scores = {pair.name: _score(pair, options.scale, names) for pair in pairs}
    mean = _mean(scores.values(), names)
    descriptions = {name: PROTOCOLS[name].description for name in names}
    if options.json:
        sys.stdout.write(_as_json(scores, mean, descriptions, options.scale))
    else:
        _show(scores, mean, descriptions, options.scale)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sr_experiments.score",
        description="Score super-resolved images. Files of two folders are matched by name: "
        "baby.png with baby.png, babyx2.png, baby_x2_SR.png, baby_RCAN_x2.png and the like.",
    )
    parser.add_argument("sr", metavar="SR", type=Path, help="a folder of results, or one image")
    parser.add_argument("hr", metavar="HR", type=Path, help="the ground truth, likewise")
    parser.add_argument(
        "--scale", type=whole(2, MAX_SCALE), required=True, help="sets the border that is cut"
    )
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        default="all",
        help="the scoring rule to show, such as y or rgb (default: all of them)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="write JSON to standard output; an infinite PSNR (equal images) is null there",
    )
    return parser


def find_pairs(sr: Path, hr: Path) -> list[Pair]:
    """Match results to ground truth: two files as they are, two folders by name.

    The name of a result begins with that of its ground truth, followed by nothing, ``x2``, ``_``,
    ``-`` or ``.``. If several fit, the longest does, so ``img_10`` is never matched to ``img_1``.

    Returns:
        One pair for each ground truth, sorted by its file name.

    Raises:
        UserError: a path is missing, one is a file and the other a folder, or an image has no
            partner or more than one.
    """
    for path in (sr, hr):
        if not path.exists():
            raise UserError("path-missing", "{path}: no such file or folder", path=path)
    if sr.is_dir() != hr.is_dir():
        folder, file = (sr, hr) if sr.is_dir() else (hr, sr)
        raise UserError(
            "file-against-folder",
            "{folder} is a folder and {file} a file; name two files or two folders",
            folder=folder,
            file=file,
        )
    if not sr.is_dir():
        return [Pair(_hr_name(hr), sr, hr)]
    truths: dict[str, Path] = {}
    for path in list_images(hr):
        other = truths.setdefault(_hr_name(path), path)
        if other != path:
            raise UserError(
                "two-truths-of-one-name",
                "{first} and {second} are ground truth of one name; remove one",
                first=other,
                second=path,
            )
    results: dict[str, Path] = {}
    strays: list[Path] = []
    for path in list_images(sr):
        fitting = [name for name in truths if _fits(path.stem, name)]
        if not fitting:
            strays.append(path)
            continue
        name = max(fitting, key=len)
        other = results.setdefault(name, path)
        if other != path:
            raise UserError(
                "two-results-for-one-truth",
                "{first} and {second} in {folder} both fit {truth}; remove one",
                first=other.name,
                second=path.name,
                folder=sr,
                truth=truths[name],
            )
    if strays:
        raise UserError(
            "result-without-truth",
            "{paths}: no ground truth of that name in {folder}",
            paths=_listing(strays),
            folder=hr,
        )
    missing = [path for name, path in truths.items() if name not in results]
    if missing:
        raise UserError(
            "truth-without-result",
            "{paths}: no result of that name in {folder}",
            paths=_listing(missing),
            folder=sr,
        )
    return [Pair(name, results[name], path) for name, path in truths.items()]


def _hr_name(path: Path) -> str:
    return _HR_SUFFIX.sub("", path.stem)


def _fits(stem: str, name: str) -> bool:
    return stem.startswith(name) and _AFTER_STEM.match(stem, len(name)) is not None


def _listing(paths: list[Path]) -> str:
    shown = ", ".join(str(path) for path in paths[:5])
    return f"{shown} and {len(paths) - 5} more" if len(paths) > 5 else shown


def _score(pair: Pair, scale: int, names: Iterable[str]) -> "dict[str, Score]":
    import torch

    from sr_experiments.imaging.io import read_image
    from sr_experiments.metrics.scoring import score_image

    sr, hr = read_image(pair.sr), read_image(pair.hr, keep_grey=True)
    grey = hr.ndim == 2
    surplus = [hr.shape[axis] - sr.shape[axis] for axis in (0, 1)]
    if not all(0 <= extra < scale for extra in surplus):
        raise UserError(
            "result-size-does-not-fit",
            "{sr} has {sr_width}x{sr_height} pixels and {hr} {hr_width}x{hr_height}: at scale "
            "{scale} the ground truth may be larger by less than {scale} pixels a side",
            sr=pair.sr,
            sr_width=sr.shape[1],
            sr_height=sr.shape[0],
            hr=pair.hr,
            hr_width=hr.shape[1],
            hr_height=hr.shape[0],
            scale=scale,
        )
    # Rows and columns of the ground truth beyond a multiple of the scale have no input pixels.
    truth = torch.from_numpy(hr[: sr.shape[0], : sr.shape[1]].reshape(*sr.shape[:2], -1))
    try:
        scores = score_image(
            torch.from_numpy(sr).permute(2, 0, 1),
            truth.expand(*sr.shape).permute(2, 0, 1),
            scale,
            grey=grey,
        )
    except UserError as error:
        raise UserError(
            "image-not-scored", "{path}: {reason}", path=pair.sr, reason=error
        ) from None
    return {name: scores[name] for name in names}


def _mean(scores: "Iterable[Mapping[str, Score]]", names: Iterable[str]) -> "dict[str, Score]":
    """The mean of the images' dB and SSIM, protocol by protocol."""
    from sr_experiments.metrics.protocols import Score

    rows = list(scores)
    means = {}
    for name in names:
        ssims = [s for row in rows if (s := row[name].ssim) is not None]
        psnr = math.fsum(row[name].psnr for row in rows) / len(rows)
        means[name] = Score(psnr, math.fsum(ssims) / len(ssims) if ssims else None)
    return means


def _as_json(
    scores: "Mapping[str, Mapping[str, Score]]",
    mean: "Mapping[str, Score]",
    descriptions: Mapping[str, str],
    scale: int,
) -> str:
    def plain(row: "Mapping[str, Score]") -> dict[str, dict[str, float | None]]:
        # JSON has no infinity. A protocol without SSIM has no such key, so null means one thing.
        return {
            name: {"psnr": score.psnr if math.isfinite(score.psnr) else None}
            | ({} if score.ssim is None else {"ssim": score.ssim})
            for name, score in row.items()
        }

    document = {
        "scale": scale,
        "protocols": descriptions,
        "images": {name: plain(row) for name, row in scores.items()},
        "mean": plain(mean),
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _show(
    scores: "Mapping[str, Mapping[str, Score]]",
    mean: "Mapping[str, Score]",
    descriptions: Mapping[str, str],
    scale: int,
) -> None:
    from rich.table import Table
    from rich.text import Text

    from sr_experiments.core.console import output, print_table

    console = output()
    console.print(f"x{scale}, {len(scores)} images; PSNR in dB / SSIM")
    for name, description in descriptions.items():
        console.print(f"  {name}: {description}")
    table = Table("image", *mean, show_footer=True)
    table.columns[0].footer = "mean"
    for column, score in zip(table.columns[1:], mean.values(), strict=True):
        column.footer = _cell(score)
        column.justify = "right"
        column.overflow = "fold"
    for name, row in scores.items():
        table.add_row(Text(name, overflow="fold"), *(_cell(score) for score in row.values()))
    print_table(console, table)


def _cell(score: "Score") -> str:
    return f"{score.psnr:.4f}" + ("" if score.ssim is None else f" / {score.ssim:.5f}")


if __name__ == "__main__":
    raise SystemExit(main())
