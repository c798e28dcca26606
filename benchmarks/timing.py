"""How the benchmarks count time, and what they write down."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: what was done.
        ours: the median, in ``unit``.
        unit: of ``ours`` and ``peer``.
        target: the limit that the figure, or its ratio to the peer, must keep.
        above: the target is the least that is wanted, not the most.
        peer: the peer's median of the same work in the same run; None where it is absent.
        peer_name: who that is, and what of it.
        ratio: median of ours / peer (of peer / ours for times and ``above``), round by round.
        of_ratio: the target is one of the ratio, not of the figure.
        note: one line more.
    """

    name: str
    ours: float
    unit: str
    target: float | None = None
    above: bool = False
    peer: float | None = None
    peer_name: str = ""
    ratio: float | None = None
    of_ratio: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """``met``, ``under target``, ``no peer`` or, without a target, nothing."""
        if self.target is None:
            return ""
        value = self.ratio if self.of_ratio else self.ours
        if value is None:
            return "no peer"
        good = value >= self.target if self.above else value <= self.target
        return "met" if good else "under target"

    @property
    def wanted(self) -> str:
        """The target in words."""
        if self.target is None:
            return ""
        sign, unit = (">=" if self.above else "<="), (" x peer" if self.of_ratio else self.unit)
        return f"{sign} {self.target:g} {unit.strip()}"


def alternate(works: Sequence[tuple[Callable[[], object], int]], rounds: int) -> list[list[float]]:
    """Processor seconds of one call of each work, in turn, round after round.

    The time is that of this process alone, so that other work on the machine counts only where it
    takes caches and memory away; torch has one thread, hence all of it is the work's.

    Args:
        works: what to call, and how often in a round.
        rounds: that are counted, after one that is not.

    Returns:
        For each work its seconds a call, round by round.
    """
    seconds: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 1):
        for (work, calls), mine in zip(works, seconds, strict=True):
            begin = time.process_time()
            for _ in range(calls):
                work()
            if number:
                mine.append((time.process_time() - begin) / calls)
    return seconds


def quotient(above: Sequence[float], below: Sequence[float]) -> float:
    """Median of the quotients of each round."""
    return median(a / b for a, b in zip(above, below, strict=True))
