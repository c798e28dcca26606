"""What downloading and unpacking share: room on the disk, files set aside, plain lines."""

import shutil
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal

from sr_experiments.core.errors import UserError

CHUNK = 1 << 20


def say(console: Console, text: str) -> None:
    """Print a line as it is: paths may hold brackets, and a log wants unbroken lines."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        UserError: naming what is needed and what is free, in bytes.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{what} needs {decimal(needed)} of disk in {folder} and {decimal(free)} are free; "
            "make room, or choose another --root"
        )


def set_aside(path: Path) -> Path:
    """Rename a file that is not what it should be to ``NAME.bad``; returns the new path."""
    bad = path.with_name(path.name + ".bad")
    path.replace(bad)
    return bad
