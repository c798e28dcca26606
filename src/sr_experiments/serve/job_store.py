"""All jobs: who owns which, what waits, what has to be deleted."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sr_experiments.serve.fair_queue import FairQueue
from sr_experiments.serve.jobs import Job, JobSettings, JobState, Media
from sr_experiments.serve.limits import Limits
from sr_experiments.serve.refusals import (
    JobCancelledError,
    VisitorError,
    file_expired,
    for_visitor,
)
from sr_experiments.serve.storage import Storage

_IDLE = (JobState.READY, JobState.DONE, JobState.CANCELLED, JobState.FAILED)
#: Seconds without a request after which a visitor's files may be deleted to make room.
AWAY = 600.0


class JobStore:
    """Every change of a job's state goes through here, under one lock.

    Args:
        storage: the folder of the files.
        limits: what visitors may ask.
        clock: returns seconds; files are deleted by it.
    """

    def __init__(
        self, storage: Storage, limits: Limits, clock: Callable[[], float] = time.time
    ) -> None:
        self.storage, self.limits, self._clock = storage, limits, clock
        self._jobs: dict[str, Job] = {}
        self._reserved: Counter[str] = Counter()
        self._last_seen: dict[str, float] = {}
        self._queue: FairQueue[Job] = FairQueue()
        self._changed = threading.Condition()
        self._at_work: Job | None = None
        self._closed = False

    @contextmanager
    def reserve(self, visitor: str, name: str) -> Iterator[None]:
        """Reserve a place for an upload that has begun, so that concurrent ones are counted too.

        Raises:
            VisitorError: the visitor has too many files, or the server has.
        """
        with self._changed:
            own = sum(job.visitor == visitor for job in self._jobs.values())
            if own + self._reserved[visitor] >= self.limits.per_visitor:
                raise VisitorError(
                    "visitor-file-limit",
                    "{name}: you have {limit} files on the server, which is the limit. Remove "
                    "some first.",
                    name=name,
                    limit=self.limits.per_visitor,
                )
            full = len(self._jobs) + self._reserved.total() >= self.limits.in_all
            abandoned = self._abandoned() if full else None
            if full and abandoned is None:
                raise VisitorError(
                    "server-full",
                    "{name}: the server cannot hold more files. Try again in a few minutes.",
                    name=name,
                )
            self._reserved[visitor] += 1
        if abandoned is not None:
            self.remove(abandoned)
        try:
            yield
        finally:
            with self._changed:
                self._reserved[visitor] -= 1
                self._reserved += Counter()  # drops zeros

    def add(self, visitor: str, name: str, folder: Path, source: Path, media: Media) -> Job:
        """Add an upload that is complete and was checked."""
        job = Job(folder.name, visitor, name, folder, source, media, self._clock())
        with self._changed:
            self._jobs[job.id] = job
        return job

    def jobs_of(self, visitor: str) -> list[Job]:
        """The visitor's jobs in the order of their uploads."""
        with self._changed:
            self._last_seen[visitor] = self._clock()
            return [job for job in self._jobs.values() if job.visitor == visitor]

    def job(self, visitor: str, job_id: str) -> Job:
        """One of the visitor's jobs.

        Raises:
            VisitorError: there is no such job, or it is another visitor's.
        """
        with self._changed:
            job = self._jobs.get(job_id)
        if job is None or job.visitor != visitor:
            raise file_expired(self.limits.keep_minutes)
        return job

    def queue_positions(self) -> dict[str, int]:
        """Job id -> number of jobs ahead of it, for each job that waits."""
        with self._changed:
            busy = self._at_work is not None
            return {job.id: place + busy for place, job in enumerate(self._queue.order())}

    def start(self, job: Job, settings: JobSettings) -> None:
        """Queue a job; one that is queued or at work stays as it is."""
        with self._changed:
            if job.state in (JobState.WAITING, JobState.WORKING) or job.measuring:
                return
            _reset(job)
            job.settings, job.state = settings, JobState.WAITING
            self._queue.put(job.visitor, job)
            self._changed.notify_all()

    def cancel(self, job: Job) -> None:
        """Take a job out of the queue, or interrupt the work on it."""
        with self._changed:
            if job.state is JobState.WAITING:
                self._queue.remove(job.visitor, job)
                job.state = JobState.CANCELLED
            elif job.state is JobState.WORKING:
                job.stop.set()

    def remove(self, job: Job) -> None:
        """Forget a job and delete its files, now or as soon as the worker has released them."""
        with self._changed:
            job.stop.set()
            self._queue.remove(job.visitor, job)
            self._jobs.pop(job.id, None)
            if job is not self._at_work:
                self.storage.drop(job.folder)

    def set_reference(self, job: Job, reference: Path, name: str) -> None:
        """Take the original of a job; it is measured now, or when the job is done.

        Raises:
            VisitorError: the job is at work, or was removed.
        """
        with self._changed:
            if job.id not in self._jobs:
                raise file_expired(self.limits.keep_minutes)
            if job is self._at_work or job.measuring:
                raise VisitorError(
                    "job-busy", "{name}: it is being processed. Cancel it first.", name=job.name
                )
            job.reference = reference.replace(job.folder / f"reference{reference.suffix}")
            job.reference_name, job.reference_failure, job.scores = name, None, None
            if job.state is JobState.DONE:
                job.measuring = True
                self._queue.put(job.visitor, job)
                self._changed.notify_all()

    def delete_expired(self) -> None:
        """Remove the jobs whose time is over, in whatever state they are."""
        oldest = self._clock() - 60 * self.limits.keep_minutes
        with self._changed:
            expired = [job for job in self._jobs.values() if job.uploaded < oldest]
            self._last_seen = {v: seen for v, seen in self._last_seen.items() if seen >= oldest}
        for job in expired:
            self.remove(job)

    def take(self, timeout: float | None = None) -> Job | None:
        """The next job, marked as being worked on; None if none comes in ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._queue.order()), timeout)
            job = None if self._closed else self._queue.take()
            if job is not None:
                self._at_work = job
                job.began = time.monotonic()
                if not job.measuring:
                    job.state, job.share = JobState.WORKING, 0.0
            return job

    def finish(self, job: Job, error: BaseException | None = None) -> None:
        """Record how the work on a job ended."""
        with self._changed:
            self._at_work = None
            job.stop.clear()
            if job.measuring:
                job.measuring = False
                if error is not None:
                    job.reference_failure = for_visitor(error, job.reference_name)
            else:
                job.took = time.monotonic() - job.began
                if error is None:
                    job.state, job.share = JobState.DONE, 1.0
                else:
                    _reset(job)
                    cancelled = isinstance(error, JobCancelledError)
                    job.state = JobState.CANCELLED if cancelled else JobState.FAILED
                    job.failure = None if cancelled else for_visitor(error, job.name)
            if job.id not in self._jobs:
                self.storage.drop(job.folder)

    def _abandoned(self) -> Job | None:
        """The oldest idle job of a visitor whose page is closed."""
        away = self._clock() - AWAY
        for job in self._jobs.values():
            idle = job.state in _IDLE and not job.measuring and job is not self._at_work
            if idle and self._last_seen.get(job.visitor, job.uploaded) < away:
                return job
        return None

    def close(self) -> None:
        """Interrupt the job at work and give out no more."""
        with self._changed:
            self._closed = True
            if self._at_work is not None:
                self._at_work.stop.set()
            self._changed.notify_all()


def _reset(job: Job) -> None:
    """Back to the state after the upload: no result and no partial files."""
    for path in job.folder.iterdir() if job.folder.is_dir() else ():
        if path not in (job.source, job.reference):
            path.unlink(missing_ok=True)
    job.result = job.failure = job.scores = job.reference_failure = None
    job.notes, job.share, job.cropped = [], 0.0, False
    job.stop.clear()
