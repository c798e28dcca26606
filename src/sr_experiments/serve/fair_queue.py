"""Whose turn it is."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue in which visitors take turns.

    Each has a line of her own, first come, first served; the lines are served one item each, round
    and round. Who brings fifty files delays another's single one by one file, not by fifty.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()
        self._last = ""

    def put(self, visitor: str, item: T) -> None:
        """To the end of the visitor's line; a new line is served last."""
        self._lines.setdefault(visitor, deque()).append(item)

    def take(self) -> T | None:
        """The next item, or None; its line goes to the end."""
        if not self._lines:
            return None
        self._pass_on()
        visitor, line = self._lines.popitem(last=False)
        item = line.popleft()
        self._last = visitor
        if line:
            self._lines[visitor] = line
        return item

    def drop(self, visitor: str, item: T) -> bool:
        """Take an item out; False if it does not wait."""
        line = self._lines.get(visitor)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del self._lines[visitor]
        return True

    def order(self) -> list[T]:
        """All items as they would be taken."""
        self._pass_on()
        lines = [list(line) for line in self._lines.values()]
        longest = max(map(len, lines), default=0)
        return [line[turn] for turn in range(longest) for line in lines if turn < len(line)]

    def _pass_on(self) -> None:
        """Who came again while her own file was at work stands behind those who came then."""
        if next(iter(self._lines), None) == self._last:
            self._lines.move_to_end(self._last)
