"""Reading ahead and writing behind in a thread of their own, in order and with bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

T = TypeVar("T")

_END = object()


def prefetch(items: Iterable[T], count: int) -> Generator[T, None, None]:
    """Iterate in another thread, at most ``count`` items ahead.

    An exception of the iteration is raised here. Closing the generator ends the thread.
    """
    iterator = iter(items)
    pool = ThreadPoolExecutor(1)
    try:
        pending: deque[Future[Any]] = deque(pool.submit(next, iterator, _END) for _ in range(count))
        while (item := pending.popleft().result()) is not _END:
            pending.append(pool.submit(next, iterator, _END))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)


class BackgroundCalls:
    """Calls a function in another thread, in order; at most ``count`` calls are pending.

    As a context manager it waits for all calls, or drops those that wait when the block fails.

    Args:
        function: called with the arguments of :meth:`put`.
        count: of calls that may be pending.
    """

    def __init__(self, function: Callable[..., None], count: int) -> None:
        self._function, self._count = function, count
        self._pool = ThreadPoolExecutor(1)
        self._pending: deque[Future[None]] = deque()

    def put(self, *arguments: Any) -> None:
        """Call the function later; raises what an earlier call raised."""
        self._pending.append(self._pool.submit(self._function, *arguments))
        self._wait(self._count)

    def _wait(self, count: int) -> None:
        """Wait until at most ``count`` calls are pending."""
        while len(self._pending) > count or (self._pending and self._pending[0].done()):
            self._pending.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._wait(0)
        finally:
            self._pool.shutdown(cancel_futures=True)
