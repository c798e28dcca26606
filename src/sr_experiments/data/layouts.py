"""Finding a data set on disk, in any of the layouts in use.

Under one data root these are recognised, set and folder names in any case of letters:

- ``DIV2K/DIV2K_train_HR/0001.png``, ``DIV2K/DIV2K_valid_HR/0801.png``, with or without the folder
  ``DIV2K`` (the root may be that folder itself);
- EDSR-PyTorch's merged layout: 0801-0900 inside ``DIV2K_train_HR``;
- ``benchmark/Set5/HR/baby.png``, ``Set5/HR/``, ``benchmark/Set5/``, ``Set5/``, under any alias;
- other training images as ``train/T91/t1.png`` or ``T91/``, and where :class:`ImageSet` says;
- LR images as ``DIV2K_train_LR_bicubic/X2/0001x2.png`` and ``Set5/LR_bicubic/X2/babyx2.png``.

DIV2K's splits are told apart by file number, never by folder: in the merged layout a validation
image cannot slip into training. A bare folder of photographs has no name to be found by; it is
read with :func:`sr_experiments.imaging.formats.list_images`.
"""

import logging
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from sr_experiments.core.errors import UserError
from sr_experiments.data import catalogue
from sr_experiments.data.catalogue import ImageSet
from sr_experiments.imaging.formats import is_image

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"(\d{1,6})(?:x\d)?", re.IGNORECASE)
_RANGE = re.compile(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?")
_TREE_LINES = 7


def find_split(root: Path, name: str, *, numbers: str | None = None) -> list[Path]:
    """The high-resolution images of a set, sorted by name.

    A count other than the set's own is logged as a warning.

    Args:
        root: the data root.
        name: ``DIV2K/train``, ``DIV2K/valid``, ``Set5``, ``Set14``, ``B100``, ``Urban100``,
            ``Manga109``, or an alias.
        numbers: a part of DIV2K by file number, such as ``0801-0810``.

    Raises:
        UserError: there is no such root or set, or no image of it. The first line says what
            is missing and what to do; the expected tree and the tree on disk follow.
    """
    wanted = catalogue.image_set(name)
    paths = _find(Path(root), wanted, numbers)
    expected = wanted.images if numbers is None else len(_numbers_within(wanted, numbers))
    if len(paths) != expected:
        part = wanted.name if numbers is None else f"{wanted.name} {numbers}"
        log.warning(
            "%s: %d images expected, %d found in %s", part, expected, len(paths), paths[0].parent
        )
    return paths


def locate(root: Path, wanted: ImageSet) -> list[Path]:
    """The images of a set, or an empty list; their count is not checked.

    Of several places the first that holds the right number is taken, else the first that holds
    any.
    """
    found = [
        images for folder in _hr_folders(root, wanted) if (images := _own(wanted, _images(folder)))
    ]
    complete = [images for images in found if len(images) == wanted.images]
    return next(iter(complete or found), [])


def find_lr(root: Path, name: str, scale: int, *, numbers: str | None = None) -> list[Path] | None:
    """The low-resolution images on disk, in the order of :func:`find_split`.

    Returns:
        One path for each HR image, or None where no LR image of that scale is on disk.

    Raises:
        UserError: as :func:`find_split`; or an HR image has no LR partner (the first is named).
    """
    root = Path(root)
    wanted = catalogue.image_set(name)
    high = _find(root, wanted, numbers)
    for folder, own in _lr_folders(root, wanted, scale):
        by_stem = {path.stem.casefold(): path for path in _images(folder)}
        partners: list[Path] = []
        missing: list[Path] = []
        for path in high:
            stem = path.stem.casefold()
            low = by_stem.get(f"{stem}x{scale}", by_stem.get(stem))
            if low is None:
                missing.append(path)
            else:
                partners.append(low)
        if missing and (partners or own):
            raise UserError(
                "lr-partner-missing",
                "{name} has no LR partner {partner} in {folder} ({missing} of {total} have none); "
                "complete the folder, or remove it and the suite makes LR images itself",
                name=missing[0].name,
                partner=f"{missing[0].stem}x{scale}.png",
                folder=folder,
                missing=len(missing),
                total=len(high),
            )
        if partners:
            return partners
    return None


def select(paths: Sequence[Path], numbers: str) -> list[Path]:
    """Those of ``paths`` whose file number lies in ``numbers``, in their order.

    Args:
        paths: files named by number, as ``0801.png`` or ``0801x2.png``.
        numbers: ``0001-0800``, ``0801``, or several joined by commas.

    Raises:
        UserError: ``numbers`` cannot be read, or no file has such a number.
    """
    wanted = _parse(numbers)
    chosen = [path for path in paths if _number(path) in wanted]
    if not chosen:
        held = f"{paths[0].name} to {paths[-1].name}" if paths else "no file"
        raise UserError(
            "no-image-of-that-number",
            "numbers={numbers}: no such image; there is {files}",
            numbers=numbers,
            files=held,
        )
    return chosen


def _find(root: Path, wanted: ImageSet, numbers: str | None) -> list[Path]:
    """At least one image of the set, or the error."""
    if numbers is not None:
        _numbers_within(wanted, numbers)  # an error in the option comes before one on the disk
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise UserError(
            "no-data-root",
            "{name}: the data root {root} {found}; {remedy}\n{expected}",
            name=wanted.name,
            root=root,
            found=found,
            remedy=_remedy(root, wanted),
            expected=_expected_tree(wanted),
        )
    paths = locate(root, wanted)
    if not paths:
        raise _not_found(root, wanted)
    return paths if numbers is None else select(paths, numbers)


def _parse(numbers: str) -> set[int]:
    wanted: set[int] = set()
    for part in str(numbers).split(","):
        match = _RANGE.fullmatch(part)
        first, last = (match[1], match[2] or match[1]) if match else ("1", "0")
        if int(first) > int(last):
            raise UserError(
                "bad-file-numbers",
                "numbers={numbers}: not a range of file numbers such as 0801-0810",
                numbers=numbers,
            )
        wanted.update(range(int(first), int(last) + 1))
    return wanted


def _numbers_within(wanted: ImageSet, numbers: str) -> set[int]:
    chosen = _parse(numbers)
    if wanted.numbers is None:
        raise UserError(
            "source-not-numbered",
            "numbers={numbers}: the images of {source} are not numbered",
            numbers=numbers,
            source=wanted.name,
        )
    if not chosen <= set(wanted.numbers):
        raise UserError(
            "file-numbers-outside-set",
            "numbers={numbers}: {name} holds {first:04d}-{last:04d} only",
            numbers=numbers,
            name=wanted.name,
            first=wanted.numbers[0],
            last=wanted.numbers[-1],
        )
    return chosen


def _number(path: Path) -> int | None:
    match = _NUMBER.fullmatch(path.stem)
    return int(match[1]) if match else None


def _own(wanted: ImageSet, images: list[Path]) -> list[Path]:
    if wanted.numbers is None:
        return images
    return [path for path in images if _number(path) in wanted.numbers]


def _hr_folders(root: Path, wanted: ImageSet) -> Iterator[Path]:
    """The folders that may hold a set's HR images, the likeliest first."""
    for place in wanted.folders:
        for home in (root, *_children(root, "train")):
            yield from _descendants(home, place)
    if wanted.numbers is not None:
        for home in (*_children(root, "DIV2K"), root):
            yield from _children(home, f"DIV2K_{_split(wanted)}_HR")
            if _split(wanted) == "valid":
                yield from _children(home, "DIV2K_train_HR")
        return
    for folder in _set_folders(root, wanted):
        yield from _children(folder, "HR")
        yield folder


def _lr_folders(root: Path, wanted: ImageSet, scale: int) -> Iterator[tuple[Path, bool]]:
    """Folders of LR images, and whether a folder is the set's own (not one shared with train)."""
    if wanted.numbers is not None:
        for home in (*_children(root, "DIV2K"), root):
            for split in dict.fromkeys((_split(wanted), "train")):
                for folder in _children(home, f"DIV2K_{split}_LR_bicubic"):
                    for low in _children(folder, f"X{scale}"):
                        yield low, split == _split(wanted)
        return
    for folder in _set_folders(root, wanted):
        for bicubic in _children(folder, "LR_bicubic"):
            for low in _children(bicubic, f"X{scale}"):
                yield low, True


def _set_folders(root: Path, wanted: ImageSet) -> Iterator[Path]:
    for home in (*_children(root, "benchmark"), *_children(root, "train"), root):
        for name in wanted.names:
            yield from _children(home, name)


def _split(wanted: ImageSet) -> str:
    return wanted.name.removeprefix("DIV2K/")


def _descendants(folder: Path, place: str) -> list[Path]:
    """Folders at a relative path such as ``BSDS500/train``, in any case of letters."""
    found = [folder]
    for name in place.split("/"):
        found = [child for parent in found for child in _children(parent, name)]
    return found


def _children(folder: Path, name: str) -> list[Path]:
    """Subfolders of that name in any case of letters, the exact one first."""
    same = [p for p in _subfolders(folder) if p.name.casefold() == name.casefold()]
    return sorted(same, key=lambda p: p.name != name)


def _subfolders(folder: Path) -> list[Path]:
    return [p for p in _entries(folder) if not p.name.startswith(".") and p.is_dir()]


def _images(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if is_image(path) and path.is_file()]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # not readable: the same as empty for a search, and the tree shows it
        return []


def _not_found(root: Path, wanted: ImageSet) -> UserError:
    empty = next(iter(_hr_folders(root, wanted)), None)
    if empty is None:
        found = f"no such set under {root}"
    elif wanted.numbers is not None and _images(empty):
        first, last = wanted.numbers[0], wanted.numbers[-1]
        found = f"{empty} holds no image numbered {first:04d}-{last:04d}"
    else:
        found = f"{empty} holds no image, where {wanted.images} are expected"
    return UserError(
        "data-set-not-found",
        "{name}: {found}; {remedy}\n{expected}\nfound:\n{tree}",
        name=wanted.name,
        found=found,
        remedy=_remedy(root, wanted),
        expected=_expected_tree(wanted),
        tree="\n".join(_tree(root)),
    )


def _remedy(root: Path, wanted: ImageSet) -> str:
    where = "set SR_DATA or paths.data to the folder that holds it"
    if wanted.source is None:
        return f"{where}, or {wanted.remedy}"
    command = f"python -m sr_experiments.data fetch {wanted.source} --root {shlex.quote(str(root))}"
    return f"{where}, or run: {command}"


def _expected_tree(wanted: ImageSet) -> str:
    if wanted.folders:
        also = f"   (or {', '.join(f'{place}/' for place in wanted.folders[1:])})"
        return f"expected:\n  {wanted.folders[0]}/   {wanted.images} images{also}"
    if wanted.numbers is not None:
        first, last = wanted.numbers[0], wanted.numbers[-1]
        folder = f"DIV2K/DIV2K_{_split(wanted)}_HR/"
        return f"expected:\n  {folder}   {first:04d}.png ... {last:04d}.png"
    also = f"   (or {', '.join(wanted.aliases)})" if wanted.aliases else ""
    return f"expected:\n  benchmark/{wanted.name}/HR/   {wanted.images} images{also}"


def _tree(root: Path) -> list[str]:
    """The root's folders, two levels deep, with their images counted; a few lines."""
    folders = _subfolders(root)
    lines = [f"  {root}/{_count(root)}"]
    for folder in folders[:_TREE_LINES]:
        inner = [f"{p.name}/" for p in _subfolders(folder)]
        more = ", ..." if len(inner) > 4 else ""
        lines.append(f"    {folder.name}/{_count(folder)}   {', '.join(inner[:4])}{more}".rstrip())
    if len(folders) > _TREE_LINES:
        lines.append(f"    ... and {len(folders) - _TREE_LINES} folders more")
    return lines


def _count(folder: Path) -> str:
    if not _entries(folder):
        return "   empty or not readable"
    images = len(_images(folder))
    return f"   {images} image{'s' if images != 1 else ''}" if images else ""
