"""Whose turn it is."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from triggers.lanes import Lanes
from triggers.port import Firing


def a_firing(n: int, trigger: str) -> Firing:
    return Firing(id=f"f-{n}", sensor="s", trigger=trigger, key="", action={})


def test_triggers_take_turns_and_the_oldest_of_each_goes_first() -> None:
    lanes = Lanes(per_lane=9, in_all=9)
    for n, trigger in enumerate("aaab"):
        lanes.push(a_firing(n, trigger))

    assert [firing.id for firing in iter(lanes.pop, None)] == ["f-0", "f-3", "f-1", "f-2"]


def test_a_full_lane_waits_for_its_own_places_only() -> None:
    lanes = Lanes(per_lane=1, in_all=9)
    for n, trigger in enumerate("aab"):
        lanes.push(a_firing(n, trigger))
    first, other = lanes.pop(), lanes.pop()
    assert first is not None
    assert other is not None
    assert lanes.pop() is None

    lanes.finish(first)

    following = lanes.pop()
    assert (first.id, other.id, following and following.id) == ("f-0", "f-2", "f-1")


@given(
    st.lists(st.one_of(st.sampled_from(["push a", "push b", "push c", "pop", "finish"])), max_size=200),
    st.integers(1, 4),
    st.integers(1, 6),
)
def test_every_firing_acts_once_and_the_bounds_hold(steps: list[str], per_lane: int, in_all: int) -> None:
    lanes = Lanes(per_lane, in_all)
    pushed: list[str] = []
    started: list[str] = []
    acting: list[Firing] = []

    def start() -> None:
        firing = lanes.pop()
        if firing is not None:
            started.append(firing.id)
            acting.append(firing)

    for n, step in enumerate(steps):
        if step.startswith("push"):
            lanes.push(a_firing(n, step[-1]))
            pushed.append(f"f-{n}")
        elif step == "pop":
            start()
        elif acting:
            lanes.finish(acting.pop(0))
        assert len(acting) <= in_all
        assert max(Counter(firing.trigger for firing in acting).values(), default=0) <= per_lane
        assert lanes.acting == len(acting)
    while len(started) < len(pushed) or acting:
        before = len(started), len(acting)
        start()
        if (len(started), len(acting)) == before:
            lanes.finish(acting.pop(0))

    assert sorted(started) == sorted(pushed)
