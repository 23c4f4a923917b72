"""Sequences (events in order, by key) and every N-th match."""

from __future__ import annotations

import pytest

from retrain.errors import ConfigError
from sensors import Sensor
from tests.unit.sensor_play import Play, document, on, trigger


def test_events_in_order_fire_and_others_are_not_kept() -> None:
    play = Play(document(on("a", "b", "c"), trigger(sequence=["a", "b", "c"])))

    got = [play.say(n, name, f"{name}{n}") for n, name in enumerate(["b", "a", "a", "c", "b", "c"])]

    assert got == [[], [], [], [], [], ["a1+b4+c5"]]
    assert [one.reason for one in play.decisions] == [
        "t out of order: waits for a",
        "t waits for b",
        "t out of order: waits for b",
        "t out of order: waits for b",
        "t waits for c",
        "t fired",
    ]


def test_each_key_has_its_own_place_in_the_order() -> None:
    play = Play(document(on("a", "b", key="k"), trigger(sequence=["a", "b"])))

    play.say(0, "a", "1", {"k": "x"})
    assert play.say(1, "b", "2", {"k": "y"}) == []
    assert play.waiting() == [("t", "x", ("a",), ("b",))]
    assert play.say(2, "b", "3", {"k": "x"}) == ["1+3"]


def test_a_sequence_expires() -> None:
    play = Play(document(on("a", "b"), trigger(sequence={"order": ["a", "b"], "within": "1m"})))
    play.say(0, "a", "1")

    play.wait(60)

    assert play.last.outcome == "expired"
    assert play.emitted[0].data["need"] == ["b"]
    assert play.say(61, "b", "2") == []


def test_a_batch_takes_one_place() -> None:
    play = Play(document([*on("a", window={"count": 2}), *on("b")], trigger(sequence=["a", "b"])))

    got = [play.say(n, name, f"{name}{n}") for n, name in enumerate(["a", "a", "b"])]

    assert got == [[], [], ["a0+a1+b2"]]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"sequence": ["a", "z"]}, "unknown dependency 'z'"),
        ({"sequence": ["a", "a"]}, "stands in a sequence once"),
        ({"sequence": ["a", "b"], "window": {"count": 2}}, "sequence and window exclude"),
        ({"sequence": ["a", "b"], "conditions": "a"}, "sequence and conditions exclude"),
    ],
)
def test_a_wrong_sequence_is_refused(more: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Sensor(document(on("a", "b"), trigger(**more)))


def test_every_third_match_of_a_key_goes_on() -> None:
    play = Play(document(on("a", key="k"), trigger(every=3)))

    got = [play.say(n, "a", str(n), {"k": "xy"[n % 2]}) for n in range(8)]

    assert got == [[], [], [], [], ["4"], ["5"], [], []]
    assert play.last.reason == "t skipped: 1 of 3"
    assert play.cell("count", key="x").n == 1


def test_what_is_skipped_of_a_window_is_consumed() -> None:
    play = Play(document(on("a"), trigger(window={"quiet": "5s"}, every=2)))
    play.say(0, "a", "1")
    assert play.wait(5) == []
    assert (play.last.outcome, play.last.reason, play.last.event) == ("skipped", "skipped: 1 of 2", None)
    play.say(6, "a", "2")

    assert play.wait(11) == ["2"]
    assert play.course.cells("s") == {}
