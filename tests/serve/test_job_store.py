import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from web_helpers import STILL, wait_until

from sr_experiments.core.errors import UserError
from sr_experiments.serve.job_store import Desk
from sr_experiments.serve.jobs import Job, Settings, State, shown_name
from sr_experiments.serve.limits import Limits
from sr_experiments.serve.refusals import Refusal, meaning
from sr_experiments.serve.storage import Storage, checked_suffix
from sr_experiments.serve.worker import Worker

Add = Callable[..., Job]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    limits = Limits(per_visitor=3, in_all=5, keep_minutes=60, job_minutes=0.01)
    storage = Storage(tmp_path / "work")
    yield Desk(storage, limits, Clock())
    storage.close()


@pytest.fixture
def add(desk: Desk) -> Add:
    def call(visitor: str = "ann") -> Job:
        _, folder = desk.storage.new()
        source = folder / "source.png"
        source.write_bytes(b"upload")
        return desk.add(visitor, "a.png", folder, source, STILL)

    return call


class Working:
    """A job's work that goes on until it is let go, and leaves a half-written file meanwhile."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.done, self.go = desk, list[str](), threading.Event()

    def __call__(self, job: Job) -> None:
        (job.folder / "half").write_bytes(b"half")
        while not self.go.wait(0.005):
            job.check(self.desk.limits.job_minutes)
        (job.folder / "half").rename(job.folder / "result.png")
        job.result = job.folder / "result.png"
        self.done.append(job.visitor)


@pytest.fixture
def work(desk: Desk) -> Iterator[Working]:
    work = Working(desk)
    worker = Worker(desk, work)
    worker.start()
    yield work
    worker.close()


def test_visitors_take_turns_at_the_one_worker(desk: Desk, add: Add, work: Working) -> None:
    jobs = [add("ann"), add("ann"), add("ann"), add("bob")]
    for job in jobs:
        desk.start(job, Settings("vdsr"))
    wait_until(lambda: jobs[0].state is State.WORKING)
    assert [desk.ahead().get(job.id) for job in jobs] == [None, 2, 3, 1]
    work.go.set()
    wait_until(lambda: all(job.state is State.DONE for job in jobs))
    assert work.done == ["ann", "bob", "ann", "ann"]


def test_cancelling_leaves_the_upload_and_nothing_half_written(
    desk: Desk, add: Add, work: Working
) -> None:
    first, second, third = add(), add(), add("bob")
    for job in (first, second, third):
        desk.start(job, Settings("vdsr"))
    wait_until(lambda: (first.folder / "half").exists())
    desk.cancel(second)  # while it waits
    desk.cancel(first)  # while it is worked on
    wait_until(lambda: first.state is State.CANCELLED)
    assert second.state is State.CANCELLED
    assert [path.name for path in first.folder.iterdir()] == ["source.png"]
    # The worker lives, and a cancelled job may be asked for again.
    work.go.set()
    desk.start(first, Settings("vdsr"))
    wait_until(lambda: first.state is third.state is State.DONE)
    assert second.state is State.CANCELLED


def test_a_job_that_is_removed_at_work_takes_its_folder_along(
    desk: Desk, add: Add, work: Working
) -> None:
    job = add()
    desk.start(job, Settings("vdsr"))
    wait_until(lambda: (job.folder / "half").exists())
    desk.remove(job)
    assert desk.jobs("ann") == []
    wait_until(lambda: not job.folder.exists())


def test_a_job_that_takes_too_long_is_told_so(desk: Desk, add: Add, work: Working) -> None:
    job = add()
    desk.start(job, Settings("vdsr"))
    wait_until(lambda: job.state is State.FAILED)
    assert job.failure is not None and job.failure.key == "r_time"
    assert [path.name for path in job.folder.iterdir()] == ["source.png"]


def test_files_are_deleted_an_hour_after_their_upload(desk: Desk, add: Add) -> None:
    old = add()
    Clock.now += 1800
    young = add()
    desk.sweep()
    assert desk.jobs("ann") == [old, young]
    Clock.now += 1801
    desk.sweep()
    assert desk.jobs("ann") == [young]
    assert not old.folder.exists() and young.folder.exists()
    with pytest.raises(Refusal, match="no longer here"):
        desk.job("ann", old.id)


def test_a_long_job_does_not_keep_the_sweeper_from_its_work(
    desk: Desk, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_experiments.serve.worker.SWEEP_EVERY", 0.01)
    old, other = add(), add("bob")
    work = Working(desk)
    worker = Worker(desk, work)
    worker.start()
    desk.start(other, Settings("vdsr"))
    wait_until(lambda: other.state is State.WORKING)
    Clock.now += 3601
    wait_until(lambda: not old.folder.exists())
    worker.close()


def test_uploads_under_way_are_counted(desk: Desk, add: Add) -> None:
    add("ann"), add("ann")
    with desk.place("ann", "a"):
        with pytest.raises(Refusal, match="you have 3 files"), desk.place("ann", "b"):
            pass
        add("bob")
        with (
            desk.place("bob", "c"),
            pytest.raises(Refusal, match="as many files as it may"),
            desk.place("cho", "d"),
        ):
            pass
    with desk.place("ann", "e"):  # the place is free again
        pass


def test_a_full_server_makes_room_from_those_who_left(desk: Desk, add: Add) -> None:
    jobs = [add(visitor) for visitor in ("ann", "bob", "bob", "cho", "cho")]
    Clock.now += 601
    desk.jobs("ann")  # her page is open
    desk.start(jobs[1], Settings("vdsr"))  # and this one was asked for
    with desk.place("dan", "d"):
        assert desk.jobs("bob") == [jobs[1]] and not jobs[2].folder.exists()
    assert [len(desk.jobs(visitor)) for visitor in ("ann", "bob", "cho")] == [1, 1, 2]


def test_a_job_is_its_visitors_alone(desk: Desk, add: Add) -> None:
    job = add("ann")
    assert desk.job("ann", job.id) is job
    with pytest.raises(Refusal):
        desk.job("bob", job.id)


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
    with pytest.raises(Refusal, match="not taken"):
        checked_suffix(name)


def test_a_killed_servers_folder_is_removed_and_a_running_ones_is_not(tmp_path: Path) -> None:
    running, killed = Storage(tmp_path), Storage(tmp_path)
    killed._lock.release()  # what a killed process does
    third = Storage(tmp_path)
    assert running.root.exists() and not killed.root.exists()
    for storage in (running, third):
        storage.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "r_disk"),
        (UserError("/w/1/result.png: cannot be written (No space left on device)"), "r_disk"),
        (UserError("/w/1/source.mp4: cut short, only 1.00 seconds can be read"), "r_cut"),
        (UserError("--scale 4: this network enlarges by 2; ask for no more"), "r_factor"),
        (MemoryError(), "r_memory"),
        (RuntimeError("unforeseen"), "r_defect"),
    ],
)
def test_what_went_wrong_is_said_without_the_servers_paths(error: BaseException, key: str) -> None:
    refusal = meaning(error, "a.png")
    assert refusal.key == key
    for language in ("en", "ko"):
        assert "/w/" not in refusal.say(language) and "--" not in refusal.say(language)


def test_an_unknown_message_is_told_without_paths_and_options() -> None:
    message = "/w/ab12/source.gif: odd colours in /w/x y.gif; --tile 64 may help, --max-pixels too"
    said = meaning(UserError(message), "a.gif").say("en")
    assert "odd colours" in said and "/w" not in said and "--" not in said
