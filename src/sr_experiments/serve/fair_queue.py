"""A queue that serves visitors in turn."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Round robin over the visitors, first in first out for each of them.

    Fifty files of one visitor delay the single file of another by one file, not by fifty.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()
        self._last_served = ""

    def put(self, visitor: str, item: T) -> None:
        """Append an item to the visitor's line; a new line is served last."""
        self._lines.setdefault(visitor, deque()).append(item)

    def take(self) -> T | None:
        """Remove and return the next item; None if there is none."""
        if not self._lines:
            return None
        self._move_last_served_back()
        visitor, line = self._lines.popitem(last=False)
        item = line.popleft()
        self._last_served = visitor
        if line:
            self._lines[visitor] = line
        return item

    def remove(self, visitor: str, item: T) -> bool:
        """Remove a waiting item; False if it is not in the queue."""
        line = self._lines.get(visitor)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del self._lines[visitor]
        return True

    def order(self) -> list[T]:
        """All items in the order in which they will be taken."""
        self._move_last_served_back()
        lines = [list(line) for line in self._lines.values()]
        longest = max(map(len, lines), default=0)
        return [line[turn] for turn in range(longest) for line in lines if turn < len(line)]

    def _move_last_served_back(self) -> None:
        """A visitor who came back while her own file was processed goes behind those who waited."""
        if next(iter(self._lines), None) == self._last_served:
            self._lines.move_to_end(self._last_served)
