"""Work that is done ahead of the caller's thread, or behind it."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, Generic, TypeVar

_TICK = 0.1

T = TypeVar("T")


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def ahead(items: Iterable[T], most: int) -> Generator[T, None, None]:
    """Iterate in another thread, at most ``most`` items ahead.

    Closing the generator ends the thread; its exception is raised here.
    """
    waiting: queue.Queue[Any] = queue.Queue(most)
    stopped = threading.Event()

    def give(item: Any) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(item, timeout=_TICK)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                give(item)
                if stopped.is_set():
                    return
            give(_END)
        except BaseException as error:  # whatever it is, it is raised in the caller's thread
            give(_Failure(error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stopped.set()
        thread.join()


class Behind(Generic[T]):
    """A thread that does something with each item, at most ``most`` items behind.

    Args:
        work: called with each item, in order.
        most: items that may wait.
    """

    def __init__(self, work: Callable[[T], None], most: int) -> None:
        self._waiting: queue.Queue[Any] = queue.Queue(most)
        self._work = work
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand an item over; raises what went wrong with an earlier one."""
        self._give(item)

    def finish(self) -> None:
        """Wait until all is done; raises what went wrong."""
        self._give(_END)
        self._thread.join()
        self._raise()

    def stop(self) -> None:
        """End the thread after the item that it is at, whatever waits."""
        self._stopped.set()
        self._thread.join()

    def _give(self, item: Any) -> None:
        while True:
            self._raise()
            try:
                return self._waiting.put(item, timeout=_TICK)
            except queue.Full:
                continue

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    item = self._waiting.get(timeout=_TICK)
                except queue.Empty:
                    continue
                if item is _END:
                    return
                self._work(item)
        except BaseException as error:  # whatever it is, it is raised in the caller's thread
            self._error = error
