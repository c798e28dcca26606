"""What downloading and unpacking share: free disk space, and setting damaged files aside."""

import shutil
from pathlib import Path

from rich.filesize import decimal

from sr_experiments.core.errors import UserError

CHUNK = 1 << 20


def require_space(folder: Path, needed: int, file: str) -> None:
    """Check that the disk has room for ``needed`` more bytes.

    Raises:
        UserError: naming what is needed and what is free, in bytes.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            "disk-full",
            "{file} needs {needed} of disk in {folder} and {free} are free; make room, or choose "
            "another --root",
            file=file,
            needed=decimal(needed),
            folder=folder,
            free=decimal(free),
        )


def set_aside(path: Path) -> Path:
    """Rename a file that is not what it should be to ``NAME.bad``; returns the new path."""
    bad = path.with_name(path.name + ".bad")
    path.replace(bad)
    return bad
