"""Silence: of a dependency, by key, of all that a trigger is about; told by an event that comes back by the log."""

from __future__ import annotations

from tests.unit.sensor_play import Play, at, document, on, trigger


def silent(**more: object) -> Play:
    return Play(document(on("a", absent={"for": "1h", **more}), trigger()))


def test_silence_from_the_beginning_fires_once() -> None:
    play = silent()

    assert play.wait(3599) == []
    (fired,) = play.wait(3600)
    assert play.wait(100_000) == []

    assert fired == "s.a.e3b0c44298fc1c14.2026-11-20T01:00:00Z"
    (told,) = play.emitted
    assert (told.source, told.subject, told.type) == ("retrain", "sensor.absent", "dev.retrain.sensor.absent")
    assert told.extensions == {"retrainsensor": "s", "retraindependency": "a"}
    assert told.data == {
        "sensor": "s",
        "dependency": "a",
        "key": "",
        "for": 3600.0,
        "since": "2026-11-20T00:00:00Z",
        "lastEvent": None,
    }
    assert play.fired[0].created == at(3600)


def test_an_event_ends_the_silence_and_is_no_match() -> None:
    play = silent()

    assert play.say(1800, "a", "1") == []
    assert (play.last.outcome, play.last.reason) == (
        "passed",
        "heard; the silence since 2026-11-20T00:00:00Z is over",
    )
    assert play.wait(5399) == []
    assert len(play.wait(5400)) == 1
    assert play.emitted[0].data["lastEvent"] == "1"
    assert play.say(6000, "a", "2") == []
    assert len(play.wait(9600)) == 1


def test_an_event_that_is_filtered_is_not_heard() -> None:
    good = {"data": [{"path": "ok", "type": "bool", "value": ["true"]}]}
    play = Play(document(on("a", absent={"for": "1h"}, filters=good), trigger()))

    play.say(1800, "a", "1", {"ok": False})

    assert len(play.wait(3600)) == 1


def test_silence_is_told_again_where_that_is_asked_for() -> None:
    play = silent(repeat=True)

    assert len(play.wait(3 * 3600)) == 3
    assert [one.time for one in play.emitted] == [at(3600 * n) for n in (1, 2, 3)]


def test_silence_counts_from_its_start_on() -> None:
    play = silent(startingAt="2026-11-20T12:00:00Z")

    play.say(3600, "a", "1")
    assert play.wait(13 * 3600 - 1) == []
    assert len(play.wait(13 * 3600)) == 1


def test_silence_is_of_each_key_that_was_heard() -> None:
    play = Play(document(on("a", key="k", absent={"for": "1h"}), trigger()))

    assert play.wait(7200) == []
    play.say(7200, "a", "1", {"k": "x"})
    play.say(7300, "a", "2", {"k": "y"})
    play.say(9000, "a", "3", {"k": "x"})

    assert len(play.wait(10_900)) == 1
    assert [(one.key, one.action) for one in play.fired] == [("y", {"kind": "log"})]
    assert len(play.wait(12_600)) == 1
    assert play.course.cells("s") == {}


def test_silence_joins_with_events() -> None:
    play = Play(document([*on("a", absent={"for": "1h"}), *on("b")], trigger()))

    play.wait(3600)
    assert play.waiting() == [("t", "", ("a",), ("b",))]
    (ids,) = play.say(4000, "b", "b1")

    assert ids.endswith("+b1")


def test_a_trigger_fires_when_all_it_is_about_is_silent() -> None:
    play = Play(document(on("a", "b", "c"), trigger(conditions="a && b", absent={"for": "1h"})))

    play.say(1000, "a", "1")
    assert play.last.reason.startswith("t heard")
    play.say(2000, "b", "2")
    play.say(3000, "c", "3")
    assert play.wait(5599) == []
    assert len(play.wait(5600)) == 1

    assert play.emitted[0].extensions == {"retrainsensor": "s", "retraintrigger": "t"}
    assert (play.emitted[0].data["dependency"], play.emitted[0].data["trigger"]) == ("", "t")
    assert play.emitted[0].id.startswith("s.trigger:t.")
    assert play.fired[0].trigger == "t"


def test_what_silence_sets_off_begins_a_lineage() -> None:
    """A model that is retrained each week because of its age is no loop of events."""
    play = silent()
    play.say(0, "a", "1", extensions={"retraindepth": 15})

    play.wait(3600)

    assert play.fired[0].depth == 0


def test_another_sensor_can_wait_for_it() -> None:
    listening = [{"name": "x", "eventSourceName": "retrain", "eventName": "sensor.absent"}]
    play = Play(document([*listening, *on("a", absent={"for": "1h"})], trigger(conditions="x")))

    assert len(play.wait(3600)) == 1


def test_silence_that_is_told_twice_fires_once() -> None:
    play = silent()
    play.wait(3600)

    assert play.hear(3601, play.emitted[0]) == []
    assert play.last.outcome == "duplicate"
