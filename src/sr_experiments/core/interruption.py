"""Requests to end, and that they are met when what is under way has been saved.

Ctrl-C (SIGINT), SIGTERM of a scheduler that takes the machine back, and SIGUSR1, which SLURM sends
before a time limit if asked to. SIGUSR2 as well where a launcher has taken it: submitit has SLURM
send it before the time limit of a sweep's job, and then requeues the job.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: "Temporary failure, try again" (sysexits.h): a job's script requeues itself on it.
REQUEUE = 75
_NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class Preempted(SystemExit):
    """The system asked this process to end; its exit code is :data:`REQUEUE`.

    Args:
        signal_name: such as ``SIGTERM``.
    """

    def __init__(self, signal_name: str) -> None:
        super().__init__(signal_name)
        self.code = REQUEUE

    def __str__(self) -> str:
        return f"ended on {self.args[0]}"


class Interruption:
    """Whether this process was asked to end, and whether it may do so at once.

    Attributes:
        heeds: False in the helpers of a distributed run: to end is their leader's decision.
        asked: what is raised as soon as the work under way has been saved.
        waits: there is something to save first.
        prepare: called before a request is met that does not wait.
    """

    def __init__(self) -> None:
        self.heeds = True
        self.asked: BaseException | None = None
        self.waits = False
        self.prepare: Callable[[], None] | None = None

    def listen(self) -> None:
        """Take the signals, also from a library that took them in between."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if before is signal.SIG_IGN:  # as for a shell's background job
                continue
            if self.heeds and number.name == "SIGUSR2" and before is signal.SIG_DFL:
                continue  # no launcher is here that would go on from it
            signal.signal(number, self._heard if self.heeds else signal.SIG_IGN)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a request wait for the end of the block.

        For imports: torch and numpy import one another on first use, and pass over what is raised
        then. What they half imported recurses without end later.

        Raises:
            BaseException: what was asked for in the block.
        """
        self.waits = True
        try:
            yield
        finally:
            self.waits = False
        if self.asked is not None:
            raise self.asked

    def pass_on(self, request: Preempted) -> None:
        """Let a launcher act on its signal too, once all is saved: submitit requeues the job.

        Raises:
            SystemExit: the launcher's way to end the process.
        """
        number = signal.Signals[request.args[0]]
        handler = signal.getsignal(number)
        if number != signal.SIGTERM and callable(handler) and handler != self._heard:
            with suppress(Exception):  # it refuses to requeue, and has logged why
                handler(number, None)

    def _heard(self, number: int, frame: Any) -> None:
        again, by_user = self.asked is not None, number == signal.SIGINT
        self.asked = KeyboardInterrupt() if by_user else Preempted(signal.Signals(number).name)
        if not self.waits or (again and by_user):
            prepare, self.prepare = self.prepare, None
            if prepare is not None:
                prepare()
            raise self.asked


#: Of this process.
INTERRUPTION = Interruption()


@contextmanager
def interruptible(heeds: bool = True) -> Iterator[None]:
    """Heed the signals within the block, or let them pass; afterwards all is as it was.

    A request that has been met is passed on to whoever had taken its signal before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    INTERRUPTION.heeds, INTERRUPTION.asked, INTERRUPTION.waits = heeds, None, False
    INTERRUPTION.listen()
    request: Preempted | None = None
    try:
        yield
    except Preempted as ended:
        request = ended
        raise
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: not Python's, which cannot set it again
                signal.signal(number, handler)
        if request is not None:
            INTERRUPTION.pass_on(request)


def end_with_parent(parent: int | None = None) -> None:
    """Ask this process to end when its parent has: a worker of a killed sweep is of no use.

    Args:
        parent: its number, where it may have ended before this process began.
    """
    parent = parent or os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def end_all(processes: Iterable[int], patience: float = 30.0) -> None:
    """Ask processes to end, and wait until they have.

    Args:
        processes: their numbers; those that are gone are passed over.
        patience: seconds after which those that are left are left alone.
    """
    left = set(processes)
    deadline, number = time.monotonic() + patience, int(signal.SIGTERM)
    while left and time.monotonic() < deadline:
        for process in list(left):
            try:
                os.kill(process, number)
            except OSError:
                left.remove(process)
        number = 0  # from now on only: is it there?
        time.sleep(0.1)
