import pytest

from sr_experiments.serve.fair_queue import FairQueue


def test_a_single_file_overtakes_a_pile_of_another_visitor() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(50):
        queue.put("ann", f"a{number}")
    assert queue.take() == "a0"
    queue.put("bob", "b0")
    queue.put("cho", "c0")
    queue.put("cho", "c1")
    assert queue.order()[:6] == ["b0", "c0", "a1", "c1", "a2", "a3"]
    assert [queue.take() for _ in range(6)] == ["b0", "c0", "a1", "c1", "a2", "a3"]


def test_who_comes_again_waits_for_those_who_came_meanwhile() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.put("ann", "a0")
    assert queue.take() == "a0"
    for visitor, item in (("ann", "a1"), ("ann", "a2"), ("bob", "b0")):
        queue.put(visitor, item)
    assert queue.order() == ["b0", "a1", "a2"]
    assert [queue.take() for _ in range(3)] == ["b0", "a1", "a2"]


@pytest.mark.parametrize("dropped", range(6))
def test_dropping_one_leaves_the_others_in_their_order(dropped: int) -> None:
    queue: FairQueue[str] = FairQueue()
    items = [("ann", "a0"), ("bob", "b0"), ("ann", "a1"), ("cho", "c0"), ("ann", "a2")]
    items.append(("bob", "b1"))
    for visitor, item in items:
        queue.put(visitor, item)
    before = queue.order()
    visitor, item = items[dropped]
    assert not queue.remove("nobody", item)
    assert queue.remove(visitor, item)
    assert not queue.remove(visitor, item)
    left = queue.order()
    taken = [queue.take() for _ in left]
    assert taken == left and queue.take() is None
    assert set(left) == set(before) - {item}
    for line in "abc":  # a visitor's own order never changes
        assert [i for i in left if i[0] == line] == sorted(i for i in left if i[0] == line)
