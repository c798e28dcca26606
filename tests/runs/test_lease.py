"""One process computes a run, whoever dies, stands still, or runs on another machine."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sr_experiments.core.errors import UserError
from sr_experiments.runs import lease as module
from sr_experiments.runs.lease import Lease, Owner

RUN = "0123456789abcdef" * 4
# Enters and leaves until its time is over; a lock of the kernel tells whether two are inside.
WORKER = f"""
import fcntl, sys, time
from pathlib import Path
from sr_experiments.runs.lease import Lease
runs, seconds = Path(sys.argv[1]), float(sys.argv[2])
end, entered = time.monotonic() + seconds, 0
while time.monotonic() < end:
    lease = Lease(runs, "{RUN}", print, every=0.05, silent=1.0)
    with lease, open(runs / "inside", "w") as inside:
        fcntl.flock(inside, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.02)
        lease.check()
        entered += 1
print("entered", entered)
"""


def owner(**changes) -> Owner:
    return Owner.here().model_copy(update=changes)


def write(runs: Path, generation: int, who: Owner) -> Path:
    path = runs / ".locks" / f"{RUN[:16]}.{generation}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(who.to_json())
    return path


def test_a_free_run_is_entered_at_once_and_left_free(tmp_path):
    said: list[str] = []
    for _ in range(3):
        with Lease(tmp_path, RUN, said.append) as lease:
            lease.check()
    assert said == []
    (last,) = (tmp_path / ".locks").iterdir()
    assert Owner.model_validate_json(last.read_bytes()).given_back


def test_a_process_of_this_machine_that_has_ended_is_followed_at_once(tmp_path):
    ended = subprocess.Popen(["true"])
    started = module._started(ended.pid)
    ended.wait()
    write(tmp_path, 4, owner(process=ended.pid, process_started=started))
    said: list[str] = []
    with Lease(tmp_path, RUN, said.append) as lease:
        lease.check()
    assert len(said) == 1 and f"process {ended.pid} on " in said[0] and "has ended" in said[0]


def test_a_number_that_another_process_has_by_now_is_no_owner(tmp_path):
    write(tmp_path, 1, owner(process=os.getppid(), process_started="1"))
    said: list[str] = []
    with Lease(tmp_path, RUN, said.append):
        assert "has ended" in said[0]


@pytest.mark.parametrize("jump", [0, 86_400, -86_400])
def test_another_machine_is_waited_for_while_it_gives_signs_of_life(tmp_path, monkeypatch, jump):
    clock, calls = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: clock() + next(calls) * jump)
    other = owner(machine="another", host="node7", process=os.getpid())
    for beat in (1, 2):
        write(tmp_path, 1, other.model_copy(update={"beat": beat}))
        said: list[str] = []
        began = time.monotonic()
        with Lease(tmp_path, RUN, said.append, every=0.05, silent=0.5):
            assert time.monotonic() - began >= 0.5
        shutil.rmtree(tmp_path / ".locks")
        assert "node7 computes this run; waiting for it" in said[0]
        assert "node7 gave no sign of life for" in said[1] and len(said) == 2


def test_a_machine_that_slept_takes_nothing_over(tmp_path):
    """Owner and waiting process are stopped together, and go on together."""
    code = (
        "import sys, time; from pathlib import Path; from sr_experiments.runs.lease import Lease\n"
    )
    code += f"with Lease(Path(sys.argv[1]), {RUN!r}, print, every=0.1, silent=1.5): print('in');"
    code += " sys.stdout.flush(); time.sleep(float(sys.argv[2]))"
    python = [sys.executable, "-u", "-c", code, str(tmp_path)]
    owner = subprocess.Popen([*python, "6"], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None and owner.stdout.readline() == "in\n"
    other = subprocess.Popen([*python, "0"], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and "waiting for it" in other.stdout.readline()
    both = (owner, other)
    for process in both:
        process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    for process in reversed(both):
        process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
    assert other.communicate(timeout=60)[0] == "in\n", "it waited for the owner to end"
    assert owner.wait() == 0


def test_who_stood_still_learns_that_the_run_is_another_s(tmp_path, monkeypatch):
    asleep = Lease(tmp_path, RUN, print, every=1000)
    with asleep:
        monkeypatch.setattr(module, "_machine", lambda: "another")
        with Lease(tmp_path, RUN, print, every=0.05, silent=0.3) as awake:
            with pytest.raises(UserError, match="has taken this run over") as caught:
                asleep.check()
            assert caught.value.code == "run-taken-over"
            awake.check()
            asleep.__exit__()  # what it gives back is no longer its own
            awake.check()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / ".locks").write_text("a file")
    with (
        pytest.raises(UserError, match=r"paths\.runs=.*: cannot be written"),
        Lease(tmp_path, RUN, print),
    ):
        pass


@pytest.mark.parametrize("apart", [False, True])
def test_never_two_at_a_time_though_some_are_killed(apart, tmp_path):
    """Apart: every second process is on another machine, as far as it can tell."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if apart and subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make process namespaces")

    def start(number: int) -> subprocess.Popen[str]:
        before = unshare if apart and number % 2 else []
        return subprocess.Popen(
            [*before, sys.executable, "-c", WORKER, str(tmp_path), "8"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    workers = [start(number) for number in range(6)]
    for victim in workers[:2]:
        time.sleep(1 + random.Random(0).random())
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    for worker in workers[2:]:
        output, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
        assert "entered " in output
