"""Writing files that are whole or not there."""

import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sr_experiments.core.errors import UserError

#: What ``zipfile`` raises on damaged content, besides OSError; RuntimeError of a part that seems
#: to be encrypted or compressed in an unknown way.
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeError)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its name when the block ends well.

    The content is flushed to disk before the rename. If the block fails, the temporary file is
    removed and what stood at ``path`` stays as it was.

    Raises:
        UserError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.name[:40]}."
        handle, name = tempfile.mkstemp(suffix=".tmp", prefix=prefix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's files are private
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise UserError(
            "cannot-write",
            "{path}: cannot be written ({reason})",
            path=path,
            reason=error.strerror or error,
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remove_left_over(folder: Path) -> None:
    """Remove what processes that were killed left of :func:`atomic_write`, in subfolders as well.

    Only for a folder that no other process writes.
    """
    for path in folder.rglob(".*.tmp"):
        path.unlink(missing_ok=True)


@contextmanager
def writable_cache(cache: Path) -> Iterator[None]:
    """Name the setting of the cache's folder where it cannot be written.

    Raises:
        UserError: it cannot be written.
    """
    try:
        yield
    except (OSError, UserError) as error:
        cause = error.__cause__ if isinstance(error, UserError) else error
        if not isinstance(cause, OSError):
            raise
        raise UserError(
            "cache-not-writable",
            "paths.cache={cache}: cannot be written ({reason}); set SR_CACHE to a folder that can",
            cache=cache,
            reason=cause.strerror or cause,
        ) from None
