"""Threads hold few items, keep their order and pass exceptions on."""

import itertools
import threading

import pytest

from sr_experiments.upscale.threads import BackgroundCalls, prefetch


def test_prefetch_is_ahead_by_few_items_and_ends_its_thread():
    before, taken = threading.active_count(), []

    def numbers():
        for number in itertools.count():
            taken.append(number)
            yield number

    items = prefetch(numbers(), 3)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
    items.close()
    assert 4 <= len(taken) <= 4 + 3 and threading.active_count() == before
    assert list(prefetch(range(20), 3)) == list(range(20))


def test_an_exception_of_the_iteration_is_raised():
    def broken():
        yield 1
        raise OSError("disk")

    items = prefetch(broken(), 3)
    assert next(items) == 1
    with pytest.raises(OSError, match="disk"):
        next(items)


def test_calls_are_in_order_and_all_are_made():
    made: list[int] = []
    with BackgroundCalls(made.append, 2) as calls:
        for number in range(9):
            calls.put(number)
    assert made == list(range(9))


def test_few_calls_are_pending():
    started, go_on = [], threading.Event()

    def wait(number):
        started.append(number)
        assert go_on.wait(10)

    with BackgroundCalls(wait, 2) as calls:
        calls.put(0)
        calls.put(1)
        threading.Timer(0.05, go_on.set).start()
        calls.put(2)  # waits for the first
        assert go_on.is_set()


@pytest.mark.parametrize("count", [1, 9])
def test_an_exception_of_a_call_is_raised(count):
    """By a later call, or at the end."""
    made: list[int] = []

    def refuse(number):
        made.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"), BackgroundCalls(refuse, count) as calls:
        for number in range(9):
            calls.put(number)


def test_calls_that_wait_are_dropped_when_the_block_fails():
    made: list[int] = []
    first, go_on = threading.Event(), threading.Event()

    def slow(number):
        made.append(number)
        first.set()
        assert go_on.wait(10)

    with pytest.raises(KeyboardInterrupt), BackgroundCalls(slow, 5) as calls:
        for number in range(4):
            calls.put(number)
        assert first.wait(10)
        threading.Timer(0.05, go_on.set).start()
        raise KeyboardInterrupt
    assert made == [0]
