"""The thread that converts, and the one that deletes expired files."""

import ctypes
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from sr_experiments.serve.job_store import JobStore
from sr_experiments.serve.jobs import Job
from sr_experiments.serve.refusals import JobCancelledError, VisitorError, for_visitor

#: Seconds between two deletions of expired files.
DELETE_EVERY = 15.0
_log = logging.getLogger(__name__)
Convert = Callable[[Job], None]


class Worker:
    """Takes jobs from a store one after the other: a network uses all cores by itself.

    Args:
        store: holds the jobs.
        prepare: returns the function that does a job and raises :class:`JobCancelledError` when it
            was cancelled. Called in the worker's thread: loading PyTorch takes seconds, during
            which the page is served already.
    """

    def __init__(self, store: JobStore, prepare: Callable[[], Convert]) -> None:
        self._store, self._prepare = store, prepare
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name="sr-worker", daemon=True),
            # In its own thread: a long job must not keep files past their time.
            threading.Thread(target=self._delete, name="sr-deleter", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop the threads, after the job at work has noticed that it is cancelled."""
        self._closed.set()
        self._store.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _work(self) -> None:
        convert = self._prepare()
        while not self._closed.is_set():
            job = self._store.take(timeout=1.0)
            if job is None:
                continue
            error: BaseException | None = None
            try:
                convert(job)
            except (JobCancelledError, VisitorError) as caught:
                error = caught
            except Exception as caught:  # one bad file must not stop the server
                error = caught
                if for_visitor(caught, job.name).code == "server-error":
                    _log.exception("job %s failed", job.id)
            self._store.finish(job, error)
            _return_free_memory()

    def _delete(self) -> None:
        while not self._closed.wait(DELETE_EVERY):
            self._store.delete_expired()


def _return_free_memory() -> None:
    """Return free memory to the system; glibc would keep about 300 MB after each large image."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)
