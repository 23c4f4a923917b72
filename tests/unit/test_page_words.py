"""What the page makes of values, and of what changes: pure parts of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup, escape

from retrain.app.looking.changes import TOPICS, Prints
from retrain.web.page.chains import MOST, columns
from retrain.web.page.live import Pulse
from retrain.web.page.words import PATHS, command, lasted, path, state, tree, visible, when

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=6),
    max_leaves=40,
)


@given(st.text())
def test_no_text_moves_or_colours_what_is_around_it(text: str) -> None:
    shown = str(visible(text))

    assert all(c.isprintable() or c in "\n\t" for c in shown)
    assert visible(shown) == shown
    if text.isprintable():
        assert shown == text


@given(st.text())
def test_a_state_is_escaped_and_keeps_its_word(word: str) -> None:
    shown = state(word)

    assert isinstance(shown, Markup)
    assert shown.count("<") == 4
    assert str(escape(visible(word))) in shown


@given(JSON)
def test_a_payload_becomes_a_tree_with_all_of_its_values(value: Any) -> None:
    def leaves(one: Any) -> int:
        return sum(leaves(part) for part in one.members) if one.members else 1

    def count(one: Any) -> int:
        parts = list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else []
        return sum(count(part) for part in parts) or 1

    assert leaves(tree(value)) == count(value)


def test_a_deep_or_wide_payload_is_cut_and_says_how_much_is_left() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    wide = tree({"many": list(range(10_000))})

    assert wide.members[0].left + len(wide.members[0].members) == 10_000
    assert wide.members[0].left > 8000
    assert tree(deep).kind == "list"


@pytest.mark.parametrize("kind", PATHS)
def test_no_name_leaves_its_place_in_a_path(kind: str) -> None:
    assert path(kind, "a&b=c#d/../?\"'<") == PATHS[kind].format("a%26b%3Dc%23d%2F..%2F%3F%22%27%3C")


def test_a_command_is_one_that_a_shell_reads_as_these_words() -> None:
    assert command("runs", "get", "a; rm -rf /") == "retrain runs get 'a; rm -rf /'"


def test_times_are_utc_as_they_are_sent_and_say_so() -> None:
    shown = when("2026-11-22T01:02:03.5Z")

    assert 'datetime="2026-11-22T01:02:03.5Z"' in shown
    assert shown.striptags() == "2026-11-22 01:02:03 UTC"
    assert when(None) == ""
    assert lasted("2026-11-22T01:02:03Z", None, datetime(2026, 11, 22, 2, 2, 3, tzinfo=UTC)) == "1h"


# --- traces ----------------------------------------------------------------------------------------------------------


def node(kind: str, name: str) -> dict[str, Any]:
    return {"kind": kind, "id": name, "time": None, "summary": f"{name}: fine"}


def test_a_thing_stands_behind_all_that_led_to_it() -> None:
    nodes = [node("event", "a"), node("event", "b"), node("firing", "f"), node("run", "r"), node("event", "done")]
    edges = [["a", "f"], ["b", "f"], ["f", "r"], ["r", "done"], ["a", "done"]]

    steps = columns({"nodes": nodes, "edges": edges}, "b")

    assert [[card.id for card in step.cards] for step in steps] == [["b", "a"], ["f"], ["r"], ["done"]]
    assert [cause.id for cause in steps[3].cards[0].causes] == ["r", "a"]


def test_a_column_of_many_says_how_many_it_leaves_out() -> None:
    nodes = [node("event", "a"), *(node("run", f"r{n}") for n in range(100))]

    steps = columns({"nodes": nodes, "edges": [["a", f"r{n}"] for n in range(100)]}, "r99")

    assert (len(steps[1].cards), steps[1].left) == (MOST, 100 - MOST)
    assert steps[1].cards[0].id == "r99"


def test_a_circle_ends() -> None:
    steps = columns({"nodes": [node("run", "a"), node("run", "b")], "edges": [["a", "b"], ["b", "a"]]}, "a")

    assert sum(len(step.cards) for step in steps) == 2


# --- what changes ----------------------------------------------------------------------------------------------------


class Store:
    """Numbers that a test changes, and how often somebody looked."""

    def __init__(self) -> None:
        self.prints: dict[str, int] = dict.fromkeys(TOPICS, 0)
        self.looks = 0

    async def look(self) -> Prints:
        self.looks += 1
        return cast("Prints", dict(self.prints))


async def test_a_listener_hears_what_changed_while_it_was_away_and_nothing_twice() -> None:
    store = Store()
    pulse = Pulse(store.look)
    await pulse.look()
    seen = pulse.name
    assert pulse.since(seen) == []

    store.prints["runs"] += 1
    await pulse.look()
    store.prints["events"] += 1
    await pulse.look()

    assert pulse.since(seen) == ["events", "runs"]
    assert pulse.since(pulse.name) == []
    assert pulse.since("another-3") == pulse.since("") == list(TOPICS)


async def test_one_looks_for_all_and_another_goes_on_when_it_leaves() -> None:
    store = Store()
    pulse = Pulse(store.look)
    await pulse.look()
    seen, heard = pulse.name, list[list[str]]()

    async def listen() -> None:
        heard.append(list(await pulse.wait(seen)))

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as first:
            async with anyio.create_task_group() as early:
                early.start_soon(listen)
                await anyio.wait_all_tasks_blocked()
                first.cancel()
        for _ in range(200):
            group.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        before = store.looks
        store.prints["promotions"] += 1

    assert heard == [["promotions"]] * 200
    assert store.looks - before < 5
