"""Joins: by key, the newest of each, `!`, dedupe, wildcards, and what Argo Events' name leaves out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import ConfigError
from sensors import Sensor
from sensors.core.cells import CellId
from tests.unit.sensor_play import Play, document, event, on, trigger


def keyed(*names: str, path: Any = "k", **more: Any) -> list[dict[str, Any]]:
    return on(*names, key=path, **more)


def test_events_meet_by_their_key() -> None:
    play = Play(document(keyed("a", "b"), trigger()))

    assert play.say(0, "a", "a1", {"k": "x"}) == []
    assert play.say(1, "b", "b1", {"k": "y"}) == []
    assert play.say(2, "b", "b2", {"k": "x"}) == ["a1+b2"]

    assert [one.key for one in play.fired] == ["x"]
    assert play.waiting() == [("t", "y", ("b",), ("a",))]


@pytest.mark.parametrize(
    ("path", "data", "key"),
    [
        ("k", {"k": 7}, "7"),
        ("k", {"k": 7.0}, "7"),
        ("k", {"k": True}, "true"),
        ("k", {"k": "a/b~c"}, "a/b~c"),
        (["k", "l"], {"k": "a/b", "l": "c~d"}, "a~1b/c~0d"),
        ("k", {"k": ""}, ""),
    ],
)
def test_a_key_is_a_text(path: Any, data: Any, key: str) -> None:
    play = Play(document(keyed("a", path=path), trigger()))

    play.say(0, "a", "1", data)

    assert play.fired[0].key == key


@pytest.mark.parametrize("data", [{}, {"k": None}, {"k": {}}, {"k": []}, None])
def test_an_event_without_its_key_is_an_error_on_record(data: Any) -> None:
    play = Play(document(keyed("a", "b"), trigger()))

    play.say(0, "a", "1", data)

    assert (play.last.outcome, play.last.reason[:8]) == ("error", "no key: ")
    assert play.course.cells("s") == {}


def test_a_long_key_is_known_by_its_hash() -> None:
    play = Play(document(keyed("a"), trigger()))

    play.say(0, "a", "1", {"k": "x" * 513})

    assert play.fired[0].key.startswith("sha256:")
    assert len(play.fired[0].key) == 71


def test_all_dependencies_of_a_trigger_have_a_key_or_none_has() -> None:
    with pytest.raises(ConfigError, match="a have a key, and the others have none"):
        Sensor(document([*keyed("a"), *on("b")], trigger()))
    Sensor(document([*keyed("a"), *on("b")], trigger("t", conditions="a"), trigger("u", conditions="b")))


def test_the_newest_of_a_dependency_takes_the_place_of_the_older() -> None:
    play = Play(document(on("a", "b"), trigger()))
    play.say(0, "a", "a1")

    play.say(1, "a", "a2")

    assert re.fullmatch("t waits for b, in place of event [0-9a-f]{32}", play.last.reason)
    assert play.say(2, "b", "b1") == ["a2+b1"]


def test_what_must_not_come_holds_back_until_something_else_meets() -> None:
    play = Play(document(on("a", "b", "c"), trigger(conditions="(a && !b) || (b && c)")))

    assert play.say(0, "b", "b1") == []
    assert play.say(1, "a", "a1") == []
    assert play.say(2, "c", "c1") == ["a1+b1+c1"]


def test_duplicates_within_the_ttl_do_not_count() -> None:
    play = Play(document(on("a", dedupe={"key": "id", "ttl": "1h"}), trigger()))

    assert play.say(0, "a", "1", {"id": "x"}) == ["1"]
    assert play.say(10, "a", "2", {"id": "x"}) == []
    assert play.last.outcome == "duplicate"
    assert play.last.reason == "of event 1 (key 'x'), within 1h"
    assert play.say(20, "a", "3", {"id": "y"}) == ["3"]
    assert play.say(3599, "a", "4", {"id": "x"}) == []
    assert play.say(3600, "a", "5", {"id": "x"}) == ["5"]


def test_what_was_seen_is_forgotten_when_its_time_is_over() -> None:
    play = Play(document(on("a", dedupe={"key": "id", "ttl": "1h"}), trigger()))
    play.say(0, "a", "1", {"id": "x"})

    play.wait(3600)

    assert play.course.cells("s") == {}


def test_dedupe_takes_the_key_of_the_dependency() -> None:
    play = Play(document(keyed("a", dedupe={}), trigger()))

    assert [play.say(n, "a", str(n), {"k": "x"}) for n in range(2)] == [["0"], []]
    with pytest.raises(ConfigError, match="dedupe needs a key"):
        Sensor(document(on("a", dedupe={}), trigger()))


def test_names_with_wildcards_take_every_event_that_matches() -> None:
    dependency = {"name": "a", "eventSourceName": "src", "eventName": "new-*"}
    play = Play(document([dependency], trigger()))

    assert play.say(0, "new-x", "1") == ["1"]
    assert play.say(0, "new-", "2") == ["2"]
    assert play.say(0, "old", "3") == []
    assert (play.sensor.addresses, len(play.sensor.matchers)) == (frozenset(), 1)


def test_under_argos_name_our_fields_mean_nothing() -> None:
    ours: dict[str, Any] = {"key": "k", "dedupe": {"key": "k"}, "window": {"count": 9}}
    limits = {"window": {"count": 9}, "concurrency": {}, "every": 5, "cooldown": "1h", "rateLimit": None}
    play = Play(document(on("a", **ours), trigger(**limits), argo=True, mode="suspended", priority=3))

    assert [play.say(n, "a", str(n), {}) for n in range(3)] == [["0"], ["1"], ["2"]]
    assert (play.sensor.mode, play.fired[0].priority, play.fired[0].tracked) == ("active", 0, False)


def test_priority_order_and_shadow_go_with_the_firing() -> None:
    made = document(on("a"), trigger(ordered=True, concurrency={}), mode="shadow", priority=3)
    play = Play(made)

    assert [play.say(n, "a", str(n)) for n in range(2)] == [["0"], ["1"]]
    one = play.fired[0]
    assert (one.priority, one.ordered, one.shadow, one.tracked) == (3, True, True, False)


def test_a_dead_letter_trigger_is_rendered_beside_its_trigger() -> None:
    dead = trigger("d")
    play = Play(document(on("a"), trigger(dlqTrigger=dead)))

    play.say(0, "a", "1")

    assert play.fired[0].action == {"kind": "log", "dlqTrigger": {"kind": "log"}}


def test_many_events_come_with_a_manifest() -> None:
    play = Play(document(on("a"), trigger(window={"count": 101}), trigger("u", window={"count": 100})))

    for n in range(101):
        play.say(n, "a", str(n))

    small, large = play.fired
    assert "manifest" not in small.action
    assert large.action["manifest"] == f"manifests/{large.id}.ndjson"


def test_an_action_that_names_the_manifest_gets_one() -> None:
    parameter = {"src": {"window": "manifest"}, "dest": "path"}
    one = {"template": {"name": "t", "http": {"url": "http://h/", "payload": [parameter]}}}
    play = Play(document(on("a"), one))

    play.say(0, "a", "1")

    action = play.fired[0].action
    assert action["payload"] == {"path": action["manifest"]}


# --- conditionsReset ---

NIGHTLY = [{"byTime": {"cron": "59 23 * * *", "timezone": "America/Los_Angeles"}}]


def test_what_waits_is_forgotten_at_the_tick_of_its_cron() -> None:
    """23:59 in Los Angeles is 07:59 in UTC."""
    play = Play(document(on("a", "b"), trigger(conditions="a && b", conditionsReset=NIGHTLY), argo=True))
    tick = 8 * 3600 - 60

    play.say(0, "a", "a1")
    assert play.say(tick - 1, "b", "b1") == ["a1+b1"]
    play.say(tick - 1, "a", "a2")
    assert play.say(tick, "b", "b2") == []

    assert [one for one in play.outcomes if one[0] == "expired"] == [
        ("expired", "reset by conditionsReset '59 23 * * *'; had a (a2), and lacked b")
    ]
    assert play.say(tick + 86_400 - 1, "a", "a3") == ["a3+b2"]


# --- properties ---

EVENTS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=14)


def _firings(play: Play) -> list[str]:
    return sorted(f"{one.trigger} {one.key} {play.ids(one)}" for one in play.fired)


@given(st.permutations(["a", "b", "c"]), st.sampled_from(["a && b && c", "(a && b) || (a && c && b)"]))
def test_a_join_of_one_event_each_does_not_depend_on_their_order(order: list[str], conditions: str) -> None:
    play = Play(document(keyed("a", "b", "c"), trigger(conditions=conditions)))

    for second, name in enumerate(order):
        play.say(second, name, name, {"k": "x"})

    assert sorted(play.ids(play.fired[0]).split("+")) in (["a", "b", "c"], ["a", "b"])
    if conditions == "a && b && c":
        assert _firings(play) == ["t x a+b+c"]


@given(EVENTS)
def test_keys_do_not_touch_each_other(events: list[tuple[str, str]]) -> None:
    """Each key fires as if it were alone."""
    made = document(keyed("a", "b", "c"), trigger(), trigger("u", conditions="a && b", every=2))
    named = [(f"{name}{n}", name, key) for n, (name, key) in enumerate(events)]
    together = Play(made)
    for second, (id_, name, key) in enumerate(named):
        together.say(second, name, id_, {"k": key})

    alone: list[str] = []
    for wanted in "xy":
        play = Play(made)
        for second, (id_, name, key) in enumerate(named):
            if key == wanted:
                play.say(second, name, id_, {"k": key})
        alone += _firings(play)

    assert _firings(together) == sorted(alone)


@given(EVENTS, st.sampled_from([{}, {"window": {"count": 3}}, {"every": 2}, {"cooldown": "2s"}, {"concurrency": {}}]))
def test_an_event_taken_twice_changes_nothing(events: list[tuple[str, str]], more: dict[str, Any]) -> None:
    made = document(keyed("a", "b", "c", dedupe={"key": "n"}), trigger(conditions="a && b", **more))
    once, twice = Play(made), Play(made)
    for second, (name, key) in enumerate(events):
        one = event(name, f"{name}{second}", {"k": key, "n": second // 2})
        once.hear(second, one)
        twice.hear(second, one)
        twice.hear(second, one)

    assert _firings(once) == _firings(twice)
    assert once.course.cells("s") == twice.course.cells("s")


@given(EVENTS)
def test_the_state_is_bounded_by_what_waits(events: list[tuple[str, str]]) -> None:
    play = Play(document(keyed("a", "b", "c"), trigger()))
    for second, (name, key) in enumerate(events):
        play.say(second, name, str(second), {"k": key})

    cells = play.course.cells("s")
    assert len(cells) <= len({key for _, key in events})
    assert all(len(part) == 1 for cell in cells.values() for part in cell.parts)
    assert set(cells) == {CellId("join", one.trigger, one.key) for one in play.course.waiting("s")}
