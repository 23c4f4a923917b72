"""What objects are told: statuses as Argo Events has them, and Events that tell a story without flooding anybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from eventsources import SourceState
from retrain.app.crds.status import status_schema
from retrain.app.operator import stories
from retrain.app.operator.fired import LastFiring
from retrain.app.operator.said import Said
from retrain.app.operator.statuses import Facts, status_of
from retrain.app.operator.telling import MANY, in_turn
from retrain.app.operator.watched import Key
from tests.unit.test_operator_world import sensor, source, thing, world, wrong

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = Key("sensors.argoproj.io", "ml", "train")
LAST = LastFiring("f-1", "train", "say", "done", NOON, NOON, result="name train-x")


def facts(*versions: dict[str, Any], **more: Any) -> Facts:
    """Of an object whose last good version runs."""
    seen = world()
    for one in versions:
        seen.see(one)
    (standing,) = seen.standings.values()
    return Facts(standing, standing.wanted, **more)


def listening(state: Any = "listening", **more: Any) -> SourceState:
    return SourceState("webhook", "hooks/orders", state, NOON, **more)


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}


def test_a_sensor_that_runs() -> None:
    row = {"name": "train", "mode": "active", "open": 2, "held": 0, "behind": False}
    found = facts(sensor(), sensor=row, last=LAST, waiting="say/mon: has a, needs b")
    status = status_of(found, NOON)

    assert status["state"] == "Active"
    assert (status["observedGeneration"], status["runningGeneration"], status["open"]) == (1, 1, 2)
    assert status["lastFiring"] == {
        "id": "f-1",
        "trigger": "say",
        "state": "done",
        "time": "2026-11-22T12:00:00Z",
        "result": "name train-x",
    }
    assert conditions(status) == {
        "DependenciesProvided": ("True", "Valid"),
        "Deployed": ("True", "Running"),
        "Ready": ("True", "Active"),
        "TriggersProvided": ("True", "Valid"),
    }
    assert [one["type"] for one in status["conditions"]] == sorted(conditions(status))


def test_a_sensor_that_never_ran_and_one_that_runs_on() -> None:
    never = status_of(facts(wrong()), NOON)
    runs_on = status_of(facts(sensor(), wrong(generation=2), sensor={"mode": "active"}), NOON)

    assert (never["state"], runs_on["state"]) == ("Refused", "Outdated")
    assert "runningGeneration" not in never
    assert conditions(never)["Deployed"] == ("False", "NotRunning")
    assert conditions(never)["DependenciesProvided"] == ("False", "InvalidDependencies")
    assert conditions(runs_on)["Deployed"] == ("True", "LastGood")
    assert conditions(runs_on)["Ready"] == ("False", "InvalidDependencies")
    assert {one["path"] for one in runs_on["errors"]} >= {"spec.dependencies"}


def test_a_line_is_told_where_the_applied_text_has_lines() -> None:
    text = "apiVersion: argoproj.io/v1alpha1\nkind: Sensor\nmetadata: {name: train}\nspec:\n  dependencies: []\n"
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": text}
    (found,) = [one for one in status_of(facts(wrong(annotations=annotations)), NOON)["errors"] if "line" in one][:1]

    assert (found["path"], found["line"]) == ("spec.dependencies", 5)
    assert all("line" not in one for one in status_of(facts(wrong()), NOON)["errors"])


def test_an_event_bus_has_no_condition_that_argo_events_does_not_know() -> None:
    """Its controller calls a bus ready when every condition is true, and changes those alone that it knows."""
    bus = thing("EventBus", "default", {"kafka": {"url": "k:9092"}})
    said = Said("EventBus", "ml", "default", "Deployed", "NotBuilt", "a bus on Kafka is not built", True, status=False)

    status = status_of(facts(bus, conditions=[said]), NOON)

    assert conditions(status) == {"Configured": ("True", "Valid"), "Deployed": ("False", "NotBuilt")}


def test_a_source_that_lost_its_server() -> None:
    lost = listening("waiting", waiting_for="the broker", received=3, last_event=NOON)
    status = status_of(facts(source(), sources=[lost]), NOON)

    assert (status["state"], status["events"], status["lastEvent"]) == ("Waiting", 3, "2026-11-22T12:00:00Z")
    assert status["waiting"] == "orders: the broker"
    assert conditions(status)["Ready"] == ("False", "Waiting")
    assert conditions(status)["Deployed"] == ("True", "Running"), "as Argo Events has it: it is deployed"


def test_a_condition_keeps_its_time_while_it_is_so() -> None:
    first = status_of(facts(source(), sources=[listening()]), NOON)
    later = NOON + timedelta(hours=1)
    again = facts(source() | {"status": first}, sources=[listening("waiting", waiting_for="x")])
    times = {one["type"]: one["lastTransitionTime"] for one in status_of(again, later)["conditions"]}

    assert times["Deployed"] == "2026-11-22T12:00:00Z"
    assert times["Ready"] == "2026-11-22T13:00:00Z"


def test_what_a_reconciler_says_counts() -> None:
    said = Said(
        "EventSource", "ml", "hooks", "Deployed", "NoService", "the Service is refused", warning=True, status=False
    )
    status = status_of(facts(source(), sources=[listening()], conditions=[said]), NOON)

    assert conditions(status)["Deployed"] == ("False", "NoService")
    assert conditions(status)["Ready"] == ("False", "NoService")


def test_every_field_of_a_status_is_in_its_schema() -> None:
    """Else the API server drops it, and it is written again and again."""
    row = {"mode": "active", "open": 1, "held": 1}
    full = listening("waiting", waiting_for="x", received=1, last_event=NOON, last_error="y")
    more: dict[str, Any] = {"lacking": ["z"], "waiting": "w"}
    failed = replace(LAST, error="no")
    for kind, found in (
        ("Sensor", facts(sensor(), wrong(generation=2), sensor=row, last=failed, **more)),
        ("EventSource", facts(source(), sources=[full], **more)),
    ):
        _fits(status_of(found, NOON), status_schema(kind), kind)


def _fits(value: Any, schema: dict[str, Any], path: str) -> None:
    if isinstance(value, dict):
        for name, member in value.items():
            assert name in schema["properties"], f"{path}.{name}"
            _fits(member, schema["properties"][name], f"{path}.{name}")
    elif isinstance(value, list):
        for member in value:
            _fits(member, schema["items"], f"{path}[]")


# --- stories ---------------------------------------------------------------------------------------------------------


def told(before: Facts | None, now: Facts) -> list[tuple[str, str]]:
    return [(one.reason, one.message) for one in stories.of_versions(KEY, before, now)]


def test_a_version_is_told_once() -> None:
    good = facts(sensor())
    bad = facts(sensor(), wrong(generation=2))

    assert told(None, good) == [("Applied", "generation 1 runs")]
    assert told(good, good) == []
    ((reason, message),) = told(good, bad)
    assert reason == "Refused"
    assert message.endswith("; generation 1 runs on")
    assert told(bad, bad) == []


def test_a_connection_is_told_when_it_comes_and_when_it_goes() -> None:
    waits = listening("waiting", waiting_for="the broker")
    key = Key("eventsources.argoproj.io", "ml", "hooks")

    def reasons(before: list[SourceState], now: list[SourceState]) -> list[str]:
        return [one.reason for one in stories.of_sources(key, before, now)]

    assert reasons([], [listening("starting")]) == []
    assert reasons([listening("starting")], [listening()]) == ["Connected"]
    assert reasons([listening()], [listening()]) == []
    assert reasons([listening()], [waits]) == ["Disconnected"]
    assert reasons([waits], [waits]) == []


def test_a_firing_is_told_by_its_end() -> None:
    dead = stories.of_firing(KEY, replace(LAST, state="dead", error="403"))
    again = stories.of_firing(KEY, replace(LAST, state="pending", error="503", attempts=2))

    assert stories.of_firing(KEY, replace(LAST, state="pending")) is None
    assert dead is not None
    assert (dead.reason, dead.warning) == ("TriggerFailed", True)
    assert again is not None
    assert again.message == "say: firing f-1, attempt 2, is tried again: 503"


def test_the_same_again_counts_up_and_much_else_is_cut_short() -> None:
    book = stories.Book("x")
    story = stories.Story(KEY, "Fired", "one", about="say")
    for minute in range(3):
        assert book.tell(replace(story, message=f"firing {minute}"), NOON + timedelta(minutes=minute))

    ((which, one),) = book.unwritten()
    assert (one.count, one.message, one.first) == (3, "firing 2", NOON)
    book.written(which, one)
    assert book.unwritten() == []

    now = NOON + timedelta(minutes=3)
    taken = [book.tell(replace(story, about=str(number)), now) for number in range(50)]
    assert sum(taken) < 15
    assert taken[0]
    assert not taken[-1]
    assert book.tell(replace(story, key=replace(KEY, name="other")), now), "another object has its own share"
    assert book.tell(replace(story, about="later"), now + timedelta(minutes=2))
    book.forget(now + timedelta(hours=1))
    assert book.told == {}


def test_where_more_changes_than_a_round_can_tell_each_has_its_turn() -> None:
    told: dict[str, datetime] = {}
    always = [(f"sensor-{number}", number) for number in range(3 * MANY)]

    for second in range(3):
        for name, _ in in_turn(always, told)[:MANY]:
            told[name] = NOON + timedelta(seconds=second)

    assert told.keys() == {name for name, _ in always}


def test_an_event_as_kubectl_describe_finds_it() -> None:
    book = stories.Book("x")
    book.tell(stories.Story(KEY, "Refused", "no", warning=True), NOON)
    ((which, one),) = book.unwritten()
    body = stories.event_of(sensor(), KEY, which[1], one)

    assert body["involvedObject"] == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Sensor",
        "name": "train",
        "namespace": "ml",
        "uid": "uid-argoproj.io/v1alpha1-ml-train",
        "resourceVersion": "1",
    }
    assert (body["type"], body["reason"], body["message"], body["count"]) == ("Warning", "Refused", "no", 1)
    assert body["metadata"]["namespace"] == "ml"


def test_a_version_that_is_still_to_be_taken_is_pending() -> None:
    found = facts(sensor())
    assert not found.pending
    assert replace(found, runs=None).pending
