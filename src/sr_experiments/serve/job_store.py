"""Where all jobs are: who has which, what waits, what is due to be deleted."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sr_experiments.serve.fair_queue import Turns
from sr_experiments.serve.jobs import Content, Job, Settings, State
from sr_experiments.serve.limits import Limits
from sr_experiments.serve.refusals import Cancelled, Refusal, meaning
from sr_experiments.serve.storage import Storage

_IDLE = (State.READY, State.DONE, State.CANCELLED, State.FAILED)
#: Seconds after which a visitor whose page asks no more makes room for others, if need be.
AWAY = 600.0


class Desk:
    """Every change of a job's state goes through here, under one lock.

    Args:
        storage: where the files are.
        limits: what is allowed.
        clock: seconds, by which files are deleted.
    """

    def __init__(
        self, storage: Storage, limits: Limits, clock: Callable[[], float] = time.time
    ) -> None:
        self.storage, self.limits, self._clock = storage, limits, clock
        self._jobs: dict[str, Job] = {}
        self._coming: Counter[str] = Counter()
        self._seen: dict[str, float] = {}
        self._turns: Turns[Job] = Turns()
        self._changed = threading.Condition()
        self._at_work: Job | None = None
        self.closed = False

    @contextmanager
    def place(self, visitor: str, name: str) -> Iterator[None]:
        """Hold a place for an upload that is coming, so that many at once are counted too.

        Raises:
            Refusal: there are too many files, the visitor's or all.
        """
        with self._changed:
            yours = sum(job.visitor == visitor for job in self._jobs.values())
            if yours + self._coming[visitor] >= self.limits.per_visitor:
                raise Refusal("r_yours", name=name, most=self.limits.per_visitor)
            full = len(self._jobs) + self._coming.total() >= self.limits.in_all
            left = self._left() if full else None
            if full and left is None:
                raise Refusal("r_all", name=name)
            self._coming[visitor] += 1
        if left is not None:
            self.remove(left)
        try:
            yield
        finally:
            with self._changed:
                self._coming[visitor] -= 1
                self._coming += Counter()  # drops who has none

    def add(self, visitor: str, name: str, folder: Path, source: Path, content: Content) -> Job:
        """An upload is here, and was looked at."""
        job = Job(folder.name, visitor, name, folder, source, content, self._clock())
        with self._changed:
            self._jobs[job.id] = job
        return job

    def jobs(self, visitor: str) -> list[Job]:
        """The visitor's, in the order of their uploads."""
        with self._changed:
            self._seen[visitor] = self._clock()
            return [job for job in self._jobs.values() if job.visitor == visitor]

    def job(self, visitor: str, name: str) -> Job:
        """One of the visitor's.

        Raises:
            Refusal: it is not there, or not hers.
        """
        with self._changed:
            job = self._jobs.get(name)
        if job is None or job.visitor != visitor:
            raise Refusal("r_gone", minutes=f"{self.limits.keep_minutes:g}")
        return job

    def ahead(self) -> dict[str, int]:
        """How many come before each job that waits."""
        with self._changed:
            busy = self._at_work is not None
            return {job.id: place + busy for place, job in enumerate(self._turns.order())}

    def start(self, job: Job, settings: Settings) -> None:
        """Put a job into its visitor's line; one that is there or at work stays as it is."""
        with self._changed:
            if job.state in (State.WAITING, State.WORKING) or job.measuring:
                return
            _clear(job)
            job.settings, job.state = settings, State.WAITING
            self._turns.put(job.visitor, job)
            self._changed.notify_all()

    def cancel(self, job: Job) -> None:
        """Take a job out of the line, or stop the work at it."""
        with self._changed:
            if job.state is State.WAITING:
                self._turns.drop(job.visitor, job)
                job.state = State.CANCELLED
            elif job.state is State.WORKING:
                job.stop.set()

    def remove(self, job: Job) -> None:
        """Forget a job and delete its files, at once or as soon as the worker has let go."""
        with self._changed:
            job.stop.set()
            self._turns.drop(job.visitor, job)
            self._jobs.pop(job.id, None)
            if job is not self._at_work:
                self.storage.drop(job.folder)

    def compare_with(self, job: Job, truth: Path, name: str) -> None:
        """The visitor gave the ground truth: it is measured now, or when the job is done."""
        with self._changed:
            if job.id not in self._jobs:
                raise Refusal("r_gone", minutes=f"{self.limits.keep_minutes:g}")
            if job is self._at_work or job.measuring:
                raise Refusal("r_busy", name=job.name)
            job.truth = truth.replace(job.folder / f"truth{truth.suffix}")
            job.truth_name, job.truth_failure, job.measured = name, None, None
            if job.state is State.DONE:
                job.measuring = True
                self._turns.put(job.visitor, job)
                self._changed.notify_all()

    def sweep(self) -> None:
        """Delete what is older than it may be, whatever its state."""
        oldest = self._clock() - 60 * self.limits.keep_minutes
        with self._changed:
            due = [job for job in self._jobs.values() if job.uploaded < oldest]
            self._seen = {who: seen for who, seen in self._seen.items() if seen >= oldest}
        for job in due:
            self.remove(job)

    def take(self, timeout: float | None = None) -> Job | None:
        """The job whose turn it is, now being worked on; None if there is none in time."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or bool(self._turns.order()), timeout)
            job = None if self.closed else self._turns.take()
            if job is not None:
                self._at_work = job
                job.began = time.monotonic()
                if not job.measuring:
                    job.state, job.share = State.WORKING, 0.0
            return job

    def finish(self, job: Job, error: BaseException | None = None) -> None:
        """The worker has let go of a job."""
        with self._changed:
            self._at_work = None
            job.stop.clear()
            if job.measuring:
                job.measuring = False
                if error is not None:
                    job.truth_failure = meaning(error, job.truth_name)
            else:
                job.took = time.monotonic() - job.began
                if error is None:
                    job.state, job.share = State.DONE, 1.0
                else:
                    _clear(job)
                    cancelled = isinstance(error, Cancelled)
                    job.state = State.CANCELLED if cancelled else State.FAILED
                    job.failure = None if cancelled else meaning(error, job.name)
            if job.id not in self._jobs:
                self.storage.drop(job.folder)

    def _left(self) -> Job | None:
        """The oldest job that nothing happens to, of a visitor whose page is closed."""
        gone = self._clock() - AWAY
        for job in self._jobs.values():
            idle = job.state in _IDLE and not job.measuring and job is not self._at_work
            if idle and self._seen.get(job.visitor, job.uploaded) < gone:
                return job
        return None

    def close(self) -> None:
        """Stop what is at work, and take no more."""
        with self._changed:
            self.closed = True
            if self._at_work is not None:
                self._at_work.stop.set()
            self._changed.notify_all()


def _clear(job: Job) -> None:
    """Back to the upload: no result, nothing half-written."""
    for path in job.folder.iterdir() if job.folder.is_dir() else ():
        if path not in (job.source, job.truth):
            path.unlink(missing_ok=True)
    job.result = job.failure = job.measured = job.truth_failure = None
    job.notes, job.share, job.part = [], 0.0, False
    job.stop.clear()
