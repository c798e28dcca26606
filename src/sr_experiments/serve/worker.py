"""The one thread that works: networks share the cores, so two at once would gain nothing."""

import ctypes
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from sr_experiments.serve.job_store import Desk
from sr_experiments.serve.jobs import Job
from sr_experiments.serve.refusals import Cancelled, Refusal, meaning

SWEEP_EVERY = 15.0
_log = logging.getLogger(__name__)


class Worker:
    """Takes jobs from a desk, one after the other, and sweeps it.

    Args:
        desk: where the jobs are.
        work: does a job; raises :class:`Cancelled` when it was cancelled.
    """

    def __init__(self, desk: Desk, work: Callable[[Job], None]) -> None:
        self._desk, self._work = desk, work
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name="sr-worker", daemon=True),
            # By itself: a long job must not keep others' files past their time.
            threading.Thread(target=self._sweep, name="sr-sweeper", daemon=True),
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End, after the job in hand has noticed that it is cancelled."""
        self._closed.set()
        self._desk.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _run(self) -> None:
        while not self._closed.is_set():
            job = self._desk.take(timeout=1.0)
            if job is None:
                continue
            error: BaseException | None = None
            try:
                self._work(job)
            except (Cancelled, Refusal) as caught:
                error = caught
            except Exception as caught:  # one bad file must not end the server
                error = caught
                if meaning(caught, job.name).key in ("r_defect", "r_other"):
                    _log.exception("job %s failed", job.id)
            self._desk.finish(job, error)
            _give_back()

    def _sweep(self) -> None:
        while not self._closed.wait(SWEEP_EVERY):
            self._desk.sweep()


def _give_back() -> None:
    """Hand free memory back to the system, which glibc keeps otherwise: about 300 MB a picture."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)
