"""The server's own folder; every file in it has a name that the server chose."""

import atexit
import os
import shutil
import tempfile
import uuid
from pathlib import Path

from filelock import FileLock, Timeout

from sr_experiments.core.errors import UserError

_PREFIX = "sr-serve-"
#: Held by the server that uses the folder.
_LOCK = ".lock"


class Storage:
    """A private folder that is created at the start and removed at the end.

    Args:
        parent: where it is created; by default in the system's temporary folder.

    Raises:
        UserError: it cannot be created.
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
                "work-folder-not-writable",
                "--work {folder}: cannot create a folder there ({reason}); name another",
                folder=parent,
                reason=error.strerror or error,
            ) from None
        atexit.register(self.close)
        _remove_left_over(self.root.parent)

    def new(self) -> Path:
        """A new, empty folder with a random name."""
        folder = self.root / uuid.uuid4().hex
        folder.mkdir()
        return folder

    def drop(self, folder: Path) -> None:
        """Remove a folder that :meth:`new` created."""
        if folder.parent == self.root:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove everything; calling it again does nothing."""
        self._lock.release()
        shutil.rmtree(self.root, ignore_errors=True)
        atexit.unregister(self.close)


def _remove_left_over(parent: Path) -> None:
    """Remove the folders of servers that were killed: nobody holds their lock."""
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            if folder.stat().st_uid == os.getuid() and (folder / _LOCK).is_file():
                with FileLock(folder / _LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
        except (OSError, Timeout):
            continue  # in use, or another user's
