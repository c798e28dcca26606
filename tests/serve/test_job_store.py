import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from web_helpers import STILL, wait_until

from sr_experiments.serve.job_store import JobStore
from sr_experiments.serve.jobs import Job, JobSettings, JobState, shown_name
from sr_experiments.serve.limits import Limits
from sr_experiments.serve.probe import checked_suffix
from sr_experiments.serve.refusals import VisitorError
from sr_experiments.serve.storage import Storage
from sr_experiments.serve.worker import Worker

Add = Callable[..., Job]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    limits = Limits(per_visitor=3, in_all=5, keep_minutes=60, job_minutes=0.01)
    storage = Storage(tmp_path / "work")
    yield JobStore(storage, limits, Clock())
    storage.close()


@pytest.fixture
def add(store: JobStore) -> Add:
    def call(visitor: str = "ann") -> Job:
        folder = store.storage.new()
        source = folder / "source.png"
        source.write_bytes(b"upload")
        return store.add(visitor, "a.png", folder, source, STILL)

    return call


class Working:
    """A job's work that goes on until it is let go, and leaves a half-written file meanwhile."""

    def __init__(self, store: JobStore) -> None:
        self.store, self.done, self.go = store, list[str](), threading.Event()

    def __call__(self, job: Job) -> None:
        (job.folder / "half").write_bytes(b"half")
        while not self.go.wait(0.005):
            job.check(self.store.limits.job_minutes)
        (job.folder / "half").rename(job.folder / "result.png")
        job.result = job.folder / "result.png"
        self.done.append(job.visitor)


@pytest.fixture
def work(store: JobStore) -> Iterator[Working]:
    work = Working(store)
    worker = Worker(store, lambda: work)
    worker.start()
    yield work
    worker.close()


def test_visitors_take_turns_at_the_one_worker(store: JobStore, add: Add, work: Working) -> None:
    jobs = [add("ann"), add("ann"), add("ann"), add("bob")]
    for job in jobs:
        store.start(job, JobSettings("vdsr"))
    wait_until(lambda: jobs[0].state is JobState.WORKING)
    assert [store.queue_positions().get(job.id) for job in jobs] == [None, 2, 3, 1]
    work.go.set()
    wait_until(lambda: all(job.state is JobState.DONE for job in jobs))
    assert work.done == ["ann", "bob", "ann", "ann"]


def test_cancelling_leaves_the_upload_and_nothing_half_written(
    store: JobStore, add: Add, work: Working
) -> None:
    first, second, third = add(), add(), add("bob")
    for job in (first, second, third):
        store.start(job, JobSettings("vdsr"))
    wait_until(lambda: (first.folder / "half").exists())
    store.cancel(second)  # while it waits
    store.cancel(first)  # while it is worked on
    wait_until(lambda: first.state is JobState.CANCELLED)
    assert second.state is JobState.CANCELLED
    assert [path.name for path in first.folder.iterdir()] == ["source.png"]
    # The worker lives, and a cancelled job may be asked for again.
    work.go.set()
    store.start(first, JobSettings("vdsr"))
    wait_until(lambda: first.state is third.state is JobState.DONE)
    assert second.state is JobState.CANCELLED


def test_a_job_that_is_removed_at_work_takes_its_folder_along(
    store: JobStore, add: Add, work: Working
) -> None:
    job = add()
    store.start(job, JobSettings("vdsr"))
    wait_until(lambda: (job.folder / "half").exists())
    store.remove(job)
    assert store.jobs_of("ann") == []
    wait_until(lambda: not job.folder.exists())


def test_a_job_that_takes_too_long_is_told_so(store: JobStore, add: Add, work: Working) -> None:
    job = add()
    store.start(job, JobSettings("vdsr"))
    wait_until(lambda: job.state is JobState.FAILED)
    assert job.failure is not None and job.failure.code == "job-timeout"
    assert [path.name for path in job.folder.iterdir()] == ["source.png"]


def test_files_are_deleted_an_hour_after_their_upload(store: JobStore, add: Add) -> None:
    old = add()
    Clock.now += 1800
    young = add()
    store.delete_expired()
    assert store.jobs_of("ann") == [old, young]
    Clock.now += 1801
    store.delete_expired()
    assert store.jobs_of("ann") == [young]
    assert not old.folder.exists() and young.folder.exists()
    with pytest.raises(VisitorError, match="no longer here"):
        store.job("ann", old.id)


def test_a_long_job_does_not_keep_the_sweeper_from_its_work(
    store: JobStore, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_experiments.serve.worker.DELETE_EVERY", 0.01)
    old, other = add(), add("bob")
    work = Working(store)
    worker = Worker(store, lambda: work)
    worker.start()
    store.start(other, JobSettings("vdsr"))
    wait_until(lambda: other.state is JobState.WORKING)
    Clock.now += 3601
    wait_until(lambda: not old.folder.exists())
    worker.close()


def test_uploads_under_way_are_counted(store: JobStore, add: Add) -> None:
    add("ann"), add("ann")
    with store.reserve("ann", "a"):
        with pytest.raises(VisitorError, match="you have 3 files"), store.reserve("ann", "b"):
            pass
        add("bob")
        with (
            store.reserve("bob", "c"),
            pytest.raises(VisitorError, match="cannot hold more files"),
            store.reserve("cho", "d"),
        ):
            pass
    with store.reserve("ann", "e"):  # the place is free again
        pass


def test_a_full_server_makes_room_from_those_who_left(store: JobStore, add: Add) -> None:
    jobs = [add(visitor) for visitor in ("ann", "bob", "bob", "cho", "cho")]
    Clock.now += 601
    store.jobs_of("ann")  # her page is open
    store.start(jobs[1], JobSettings("vdsr"))  # and this one was asked for
    with store.reserve("dan", "d"):
        assert store.jobs_of("bob") == [jobs[1]] and not jobs[2].folder.exists()
    assert [len(store.jobs_of(visitor)) for visitor in ("ann", "bob", "cho")] == [1, 1, 2]


def test_a_job_is_its_visitors_alone(store: JobStore, add: Add) -> None:
    job = add("ann")
    assert store.job("ann", job.id) is job
    with pytest.raises(VisitorError):
        store.job("bob", job.id)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../x", "x"),
        ("..\\..\\x.png", "x.png"),
        ("/etc/passwd", "passwd"),
        ("a\x00b\n\u202egnp.exe", "abgnp.exe"),
        ("..", "file"),
        ("한국 사진.png", "한국 사진.png"),
        ("n" * 300 + ".png", "n" * 75 + "\u2026.png"),
    ],
)
def test_a_name_is_one_short_line(given: str, shown: str) -> None:
    assert shown_name(given) == shown


@pytest.mark.parametrize("name", ["x", "x.exe", "x.png.svg", "x.", ".htaccess", "x.tiff"])
def test_other_kinds_of_files_are_refused(name: str) -> None:
    with pytest.raises(VisitorError, match="not supported"):
        checked_suffix(name)


def test_a_killed_servers_folder_is_removed_and_a_running_ones_is_not(tmp_path: Path) -> None:
    running, killed = Storage(tmp_path), Storage(tmp_path)
    killed._lock.release()  # what a killed process does
    third = Storage(tmp_path)
    assert running.root.exists() and not killed.root.exists()
    for storage in (running, third):
        storage.close()
    assert list(tmp_path.iterdir()) == []
