"""Who waits for whom in a `dag`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.graph import Graph, graph_of

LONG = 3000


def graph(needs: dict[str, list[str]], **more: Any) -> Graph:
    return graph_of({"tasks": [{"name": name, "dependencies": of} for name, of in needs.items()], **more})


@st.composite
def needs_of_tasks(draw: st.DrawFn) -> dict[str, list[str]]:
    """Any graph without a cycle, its tasks written in any order."""
    size = draw(st.integers(1, 12))
    needs = {f"t{i}": [f"t{j}" for j in range(i) if draw(st.booleans())] for i in range(size)}
    return {name: needs[name] for name in draw(st.permutations(list(needs)))}


@given(needs_of_tasks())
def test_a_task_is_above_another_exactly_if_it_is_its_ancestor(needs: dict[str, list[str]]) -> None:
    found = graph(needs)

    for task in needs:
        above = {name for name in needs if found.is_above(name, task)}
        assert above == found.ancestors(task)
        assert above == set(needs[task]).union(*(found.ancestors(need) for need in needs[task]))


@given(needs_of_tasks(), st.data())
def test_only_what_the_targets_need_is_wanted(needs: dict[str, list[str]], data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(list(needs)))

    found = graph(needs, target=target)

    assert found.wanted == tuple(name for name in needs if name == target or name in found.ancestors(target))


def test_what_no_task_is_called_is_above_none() -> None:
    found = graph({"a": [], "b": ["a"], "c": ["b"]})

    assert not found.is_above("nobody", "c")
    assert not found.is_above("c", "a")
    assert not found.is_above("c", "c")


def test_the_far_end_of_a_long_chain_is_seen() -> None:
    found = graph({f"t{i}": [f"t{i - 1}"] if i else [] for i in range(LONG)})

    assert all(found.is_above("t0", f"t{i}") for i in range(1, LONG))
