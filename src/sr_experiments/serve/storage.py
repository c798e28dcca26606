"""The server's own folder: every file in it has a name that the server made."""

import atexit
import os
import shutil
import tempfile
import uuid
from pathlib import Path

from filelock import FileLock, Timeout

from sr_experiments.core.errors import UserError
from sr_experiments.serve.refusals import Refusal

_PREFIX = "sr-serve-"
#: Held by the server that works in the folder.
_LOCK = ".lock"
PICTURES = frozenset({".gif", ".png", ".jpg", ".jpeg", ".bmp", ".webp"})
VIDEOS = frozenset({".mp4", ".mkv", ".wmv", ".mov"})


class Storage:
    """A private folder, made anew and removed at the end.

    Args:
        parent: where it is made; by default where temporary files are.

    Raises:
        UserError: it cannot be made.
    """

    def __init__(self, parent: Path | None = None) -> None:
        try:
            if parent is not None:
                parent.mkdir(parents=True, exist_ok=True)
            # mkdtemp's folders are readable by their owner alone.
            self.root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).resolve()
            self._lock = FileLock(self.root / _LOCK, thread_local=False)
            self._lock.acquire()
        except OSError as error:
            raise UserError(
                f"--work {parent}: no folder can be made there ({error.strerror or error})"
            ) from None
        atexit.register(self.close)
        _remove_left(self.root.parent)

    def new(self) -> tuple[str, Path]:
        """A random name, and an empty folder of that name."""
        name = uuid.uuid4().hex
        folder = self.root / name
        folder.mkdir()
        return name, folder

    def drop(self, folder: Path) -> None:
        """Remove a folder that :meth:`new` made."""
        if folder.parent == self.root:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove all; a second time does nothing."""
        self._lock.release()
        shutil.rmtree(self.root, ignore_errors=True)
        atexit.unregister(self.close)


def _remove_left(parent: Path) -> None:
    """Remove what a server that was killed has left: nobody holds its lock."""
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            if folder.stat().st_uid == os.getuid() and (folder / _LOCK).is_file():
                with FileLock(folder / _LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
        except (OSError, Timeout):
            continue  # it is in use, or somebody else's


def checked_suffix(name: str, *, pictures_only: bool = False) -> str:
    """The suffix of a client's file name, one of those that are taken.

    Raises:
        Refusal: it is another.
    """
    suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
    if suffix in PICTURES or (suffix in VIDEOS and not pictures_only):
        return suffix
    raise Refusal("r_suffix", name=name)
