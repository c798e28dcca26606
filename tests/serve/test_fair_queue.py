import pytest

from sr_experiments.serve.fair_queue import Turns


def test_a_single_file_overtakes_a_pile_of_another_visitor() -> None:
    turns: Turns[str] = Turns()
    for number in range(50):
        turns.put("ann", f"a{number}")
    assert turns.take() == "a0"
    turns.put("bob", "b0")
    turns.put("cho", "c0")
    turns.put("cho", "c1")
    assert turns.order()[:6] == ["b0", "c0", "a1", "c1", "a2", "a3"]
    assert [turns.take() for _ in range(6)] == ["b0", "c0", "a1", "c1", "a2", "a3"]


def test_who_comes_again_waits_for_those_who_came_meanwhile() -> None:
    turns: Turns[str] = Turns()
    turns.put("ann", "a0")
    assert turns.take() == "a0"
    for visitor, item in (("ann", "a1"), ("ann", "a2"), ("bob", "b0")):
        turns.put(visitor, item)
    assert turns.order() == ["b0", "a1", "a2"]
    assert [turns.take() for _ in range(3)] == ["b0", "a1", "a2"]


@pytest.mark.parametrize("dropped", range(6))
def test_dropping_one_leaves_the_others_in_their_order(dropped: int) -> None:
    turns: Turns[str] = Turns()
    items = [("ann", "a0"), ("bob", "b0"), ("ann", "a1"), ("cho", "c0"), ("ann", "a2")]
    items.append(("bob", "b1"))
    for visitor, item in items:
        turns.put(visitor, item)
    before = turns.order()
    visitor, item = items[dropped]
    assert not turns.drop("nobody", item)
    assert turns.drop(visitor, item)
    assert not turns.drop(visitor, item)
    left = turns.order()
    taken = [turns.take() for _ in left]
    assert taken == left and turns.take() is None
    assert set(left) == set(before) - {item}
    for line in "abc":  # a visitor's own order never changes
        assert [i for i in left if i[0] == line] == sorted(i for i in left if i[0] == line)
