"""The known data sets: their names and aliases, where they come from, how many images they hold.

There are three kinds: DIV2K and the benchmark sets, which are downloaded; sets that are only
recognised on disk (Manga109's authors hand it out on request); and the *embedded* photographs,
which are part of scikit-image's wheel, so that the suite trains on and scores real images without
a network connection.

The splits of the embedded photographs share no scene: the only two views of one scene, the stereo
pair ``motorcycle_left`` / ``motorcycle_right``, are both in ``train``. The four that papers like to
show (astronaut, camera, chelsea, coffee) are kept for testing. Of scikit-image's others the Hubble
deep field and the retina stay out: both are black in large parts, which leads a distillation by
cosine astray (``training/distillation/contrastive.py``).

Sizes and SHA-256 of DIV2K's files: TensorFlow Datasets' checksum list.
"""

import difflib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_experiments.core.errors import UserError

DIV2K_URL = "https://data.vision.ee.ethz.ch/cvl/DIV2K/"
BENCHMARK_URL = "https://cv.snu.ac.kr/research/EDSR/"
SCALES = (2, 3, 4)


@dataclass(frozen=True)
class ImageSet:
    """A set of high-resolution images.

    Args:
        name: the name used in configs, tables and folders.
        content: one line about its images.
        images: how many it holds.
        aliases: other names in use for the same images.
        numbers: its file numbers, for a numbered set.
        folders: where it lies under the data root or its folder ``train``, if not in a folder of
            its own name.
        source: the name that ``fetch`` downloads it by; None if there is no download.
        remedy: for a set without a download, how to get it.
    """

    name: str
    content: str
    images: int
    aliases: tuple[str, ...] = ()
    numbers: range | None = None
    folders: tuple[str, ...] = ()
    source: str | None = None
    remedy: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Its name, then its aliases."""
        return (self.name, *self.aliases)


@dataclass(frozen=True)
class Piece:
    """One part of an archive: a set's HR images (``scale`` None) or its LR images at a scale."""

    image_set: str
    scale: int | None = None


@dataclass(frozen=True)
class Archive:
    """A file to download.

    Args:
        file: its name, at the end of the address and on disk.
        base_url: the address up to the name.
        bytes: its size; None where nobody has published it.
        sha256: its checksum; None where nobody has published it (then the first download pins it).
        target: the folder under the data root that its content goes into ("" for the root).
        top: the folder inside the archive that holds all of its images.
        gives: the parts that are needed; if all are on disk, nothing is downloaded.
    """

    file: str
    base_url: str
    bytes: int | None
    sha256: str | None
    target: str
    top: str
    gives: tuple[Piece, ...]


IMAGE_SETS: dict[str, ImageSet] = {
    s.name: s
    for s in (
        ImageSet(
            "DIV2K/train",
            "2K photographs, 0001-0800",
            800,
            numbers=range(1, 801),
            source="DIV2K/train",
        ),
        ImageSet(
            "DIV2K/valid",
            "2K photographs, 0801-0900",
            100,
            numbers=range(801, 901),
            source="DIV2K/valid",
        ),
        ImageSet(
            "DIV2K/test_LR_x4",
            "DIV2K's test photographs at a quarter of their size, 0901-1000",
            100,
            numbers=range(901, 1001),
            folders=("DIV2K_test_LR_x4", "DIV2K/DIV2K_test_LR_bicubic/X4"),
            remedy="get DIV2K_test_LR_bicubic_X4.zip (data.vision.ee.ethz.ch/cvl/DIV2K) and unpack "
            "it there",
        ),
        ImageSet(
            "T91",
            "Yang et al.'s images, which SRCNN and VDSR are trained on",
            91,
            remedy="get it from a mirror of SRCNN's training images and put it there",
        ),
        *(
            ImageSet(
                f"BSDS500/{split}",
                f"Berkeley photographs, {split}; its val holds B100",
                200,
                folders=(f"BSDS500/{split}", f"BSR/BSDS500/data/images/{split}"),
                remedy="get BSR_bsds500.tgz (Berkeley's segmentation page) and unpack it there",
            )
            for split in ("train", "test")
        ),
        ImageSet("Set5", "classic photographs", 5, source="benchmark"),
        ImageSet("Set14", "classic images", 14, source="benchmark"),
        ImageSet(
            "B100",
            "Berkeley photographs",
            100,
            aliases=("BSD100", "BSDS100"),
            source="benchmark",
        ),
        ImageSet("Urban100", "photographs of buildings", 100, source="benchmark"),
        ImageSet(
            "Manga109",
            "manga covers",
            109,
            remedy="ask its authors for it (manga109.org) and put it there",
        ),
    )
}

#: Names that stand for several sets.
GROUPS: dict[str, tuple[str, ...]] = {
    "DIV2K": ("DIV2K/train", "DIV2K/valid"),
    "benchmark": tuple(s.name for s in IMAGE_SETS.values() if s.source == "benchmark"),
}

#: (split, LR scale or None for HR) -> bytes, SHA-256.
_DIV2K_FILES: dict[tuple[str, int | None], tuple[int, str]] = {
    ("train", None): (
        3530603713,
        "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
    ),
    ("train", 2): (
        925390592,
        "a53a424317575838dadce4bcd97cf7b744d6855f43740ed5f0245af3cf4bd850",
    ),
    ("train", 3): (
        427847282,
        "ad5c8e5507e2765823d3c2c5bd0934842efcd487c5370604c224090898b3163a",
    ),
    ("train", 4): (
        246914039,
        "f006b837f4eb52b82909aa01478e6d6d199eefce932179491d0c9dbb706dde3a",
    ),
    ("valid", None): (
        448993893,
        "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
    ),
    ("valid", 2): (
        117763600,
        "60eed9875c697df51204aa579e2a699e1d5215095788a097ff54dd17e2664d57",
    ),
    ("valid", 3): (
        54513392,
        "04b9a2ed3b4a0715d3924d3ae8514830c3328fac8d30512ce716d6f419e052a3",
    ),
    ("valid", 4): (
        31505881,
        "a50a5d1c4b88de4e8d300d8fb2b904c52fe93b2b298a4899697760d7cbb6d553",
    ),
}

EMBEDDED: dict[str, tuple[str, ...]] = {
    "train": (
        "motorcycle_left.png",
        "motorcycle_right.png",
        "ihc.png",
        "brick.png",
        "grass.png",
        "gravel.png",
        "coins.png",
    ),
    "val": ("rocket.jpg",),
    "test": ("astronaut.png", "camera.png", "chelsea.png", "coffee.png"),
}


def known(name: str) -> ImageSet | None:
    """The set of that name or alias, in any case of letters, or None."""
    names = {alias.casefold(): s for s in IMAGE_SETS.values() for alias in s.names}
    return names.get(name.casefold())


def image_set(name: str) -> ImageSet:
    """The set of that name or alias, in any case of letters.

    Raises:
        UserError: no set has that name; the message lists those there are.
    """
    found = known(name)
    if found is None:
        raise _unknown(name, list(IMAGE_SETS))
    return found


def image_sets(name: str) -> list[ImageSet]:
    """The sets that a name stands for: one set, or those of a group (``DIV2K``, ``benchmark``).

    Raises:
        UserError: the name is neither a set nor a group.
    """
    for group, members in GROUPS.items():
        if group.casefold() == name.casefold():
            return [IMAGE_SETS[member] for member in members]
    try:
        return [image_set(name)]
    except UserError:
        raise _unknown(name, [*GROUPS, *IMAGE_SETS]) from None


def archives(name: str, lr_scales: tuple[int, ...] = ()) -> list[Archive]:
    """The files that hold a set or a group, HR before LR, each once.

    Args:
        name: a set or a group.
        lr_scales: scales whose LR images are wanted too (the benchmark archive always brings its
            own, but is not downloaded for them alone unless they are wanted).

    Raises:
        UserError: an unknown name or scale, or a set that cannot be downloaded.
    """
    unknown = [str(scale) for scale in lr_scales if scale not in SCALES]
    if unknown:
        raise UserError(
            "no-lr-at-scale",
            "--lr {scale}: LR images can be downloaded at {known}; without --lr the suite makes "
            "them at any scale",
            scale=unknown[0],
            known=", ".join(map(str, SCALES)),
        )
    datasets = image_sets(name)
    for dataset in datasets:
        if dataset.source is None:
            raise UserError(
                "data-set-without-download",
                "{name}: it has no public download; {remedy}",
                name=dataset.name,
                remedy=dataset.remedy,
            )
    wanted: dict[str, list[Piece]] = {}
    for dataset in datasets:
        pieces = [Piece(dataset.name, scale) for scale in (None, *lr_scales)]
        wanted.setdefault(dataset.source or "", []).extend(pieces)
    return [file for source, pieces in wanted.items() for file in _ARCHIVES[source](pieces)]


def embedded(split: str) -> list[Path]:
    """The photographs of one split, found in scikit-image without importing it.

    Raises:
        UserError: an unknown split, or scikit-image or one of its images is not installed.
    """
    if split not in EMBEDDED:
        raise UserError(
            "unknown-embedded-split",
            "embedded/{split}: no such split; choose from {splits}",
            split=split,
            splits=", ".join(EMBEDDED),
        )
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "scikit-image-missing",
            "the embedded photographs are part of scikit-image, which is not installed; "
            "run: pip install scikit-image",
        )
    folder = Path(spec.submodule_search_locations[0]) / "data"
    paths = [folder / name for name in EMBEDDED[split]]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise UserError(
            "scikit-image-incomplete",
            "{folder} lacks {files}; run: pip install --force-reinstall scikit-image",
            folder=folder,
            files=", ".join(missing),
        )
    return paths


def _div2k(pieces: Sequence[Piece]) -> list[Archive]:
    """The archives of parts of DIV2K, one for each."""
    return [_div2k_archive(piece.image_set, piece.scale) for piece in pieces]


def _div2k_archive(name: str, scale: int | None) -> Archive:
    split = name.removeprefix("DIV2K/")
    size, sha256 = _DIV2K_FILES[split, scale]
    top = f"DIV2K_{split}_HR" if scale is None else f"DIV2K_{split}_LR_bicubic"
    return Archive(
        file=f"{top}.zip" if scale is None else f"{top}_X{scale}.zip",
        base_url=DIV2K_URL,
        bytes=size,
        sha256=sha256,
        target="DIV2K",
        top=top,
        gives=(Piece(name, scale),),
    )


def _benchmark(pieces: Sequence[Piece]) -> list[Archive]:
    """The archive that holds all benchmark sets, wanted for some of its pieces."""
    archive = Archive(
        file="benchmark.tar",
        base_url=BENCHMARK_URL,
        bytes=None,
        sha256=None,
        target="",
        top="benchmark",
        gives=tuple(pieces),
    )
    return [archive]


#: ``ImageSet.source`` -> what makes the archives of parts that come from there.
_ARCHIVES: Mapping[str, Callable[[Sequence[Piece]], list[Archive]]] = {
    "DIV2K/train": _div2k,
    "DIV2K/valid": _div2k,
    "benchmark": _benchmark,
}


def _unknown(name: str, known: list[str]) -> UserError:
    lower = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), lower, n=1)
    hint = f"did you mean {lower[close[0]]}? " if close else ""
    return UserError(
        "unknown-data-set",
        "{name}: no such data set; {hint}choose from {known}",
        name=name,
        hint=hint,
        known=", ".join(known),
    )
