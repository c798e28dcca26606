"""Measuring work in turn, and the record of a figure."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: what was measured.
        ours: the median, in ``unit``.
        unit: of ``ours`` and ``peer``.
        target: the limit for the figure or its ratio to the peer.
        above: the target is a minimum, not a maximum.
        peer: the peer's median for the same work in the same run; None if it is absent.
        peer_name: the peer, and the part of it that was measured.
        ratio: median over rounds of ours / peer (of peer / ours for times and ``above``).
        of_ratio: the target limits the ratio, not the figure.
        note: a remark.
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
        """The target as text."""
        if self.target is None:
            return ""
        sign, unit = (">=" if self.above else "<="), (" x peer" if self.of_ratio else self.unit)
        return f"{sign} {self.target:g} {unit.strip()}"


def alternate(
    works: Sequence[tuple[Callable[[], object], int]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
    warm_up: int = 1,
) -> list[list[float]]:
    """Seconds per call of each work. The works take turns, so that a busy machine slows all alike.

    By default the processor time of this process is counted: other processes then only matter by
    the caches and the memory bandwidth that they take.

    Args:
        works: functions to call, each with its number of calls per round.
        rounds: that are counted.
        clock: in seconds.
        warm_up: rounds before these, which are not counted.

    Returns:
        For each work its seconds per call, round by round.
    """
    seconds: list[list[float]] = [[] for _ in works]
    for number in range(warm_up + rounds):
        for (work, calls), measured in zip(works, seconds, strict=True):
            begin = clock()
            for _ in range(calls):
                work()
            if number >= warm_up:
                measured.append((clock() - begin) / calls)
    return seconds


def quotient(above: Sequence[float], below: Sequence[float]) -> float:
    """Median over rounds of the quotients."""
    return median(a / b for a, b in zip(above, below, strict=True))
