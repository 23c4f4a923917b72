"""Whatever comes as an event, a sensor decides, and says in plain words why; the sensors beside it do not notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retrain.bus.wire import decode, encode
from retrain.events import Event, from_json
from retrain.store import Store
from sensors import Sensor, SensorDocument
from sensors.core.course import Course
from tests.e2e.platform_driver import Platform
from tests.integration.sensor_world import NOON, world
from tests.support.hostile_payloads import BYTES, REFUSED, TAKEN, TIMES, in_base64, structured

pytestmark = pytest.mark.integration

MAX_BYTES = 8 * 1024 * 1024
JSON = {"Content-Type": "application/cloudevents+json"}
LUA = "return event.body ~= 1"
DATA = {"type": "string", "comparator": "=", "value": ["v"]}
FIELDS = [{"name": one, "path": one} for one in ("n", "k", "x")]
PARAMETERS = [
    {"src": {"dependencyName": "a", "dataKey": "x", "useRawData": True, "value": "none"}, "dest": "p.q.r"},
    {"src": {"dependencyName": "a", "useRawData": True, "value": "none"}, "dest": "s.0.t"},
    {"src": {"dependencyName": "a", "contextKey": "subject"}, "dest": "u"},
    {"src": {"dependencyName": "a", "dataTemplate": "{{ .Input.x | quote }}", "value": "none"}, "dest": "v"},
    {"src": {"dependencyName": "a", "dataKey": "k", "value": "none"}, "dest": "w"},
]
HTTP = {"name": "t", "http": {"url": "http://127.0.0.1:9/", "payload": PARAMETERS}}
LISTED = [{"src": {"dependencyName": "a", "window": how, "useRawData": True}, "dest": how} for how in ("list", "last")]


def written(name: str, dependency: dict[str, Any], trigger: dict[str, Any] | None = None) -> SensorDocument:
    """A sensor of one dependency on `src/a`, and one trigger."""
    address = {"name": "a", "eventSourceName": "src", "eventName": "a"}
    body = trigger or {"template": {"name": "t", "log": {}}}
    spec = {"dependencies": [address | dependency], "triggers": [body]}
    return SensorDocument.model_validate(
        {"apiVersion": "retrain.dev/v1", "kind": "Sensor", "metadata": {"name": name}, "spec": spec}
    )


def log(**more: Any) -> dict[str, Any]:
    return {"template": {"name": "t", "log": {}}, **more}


DOCUMENTS = [
    written("keyed", {"key": "k"}, log(window={"count": 2})),
    written("two-keys", {"key": ["k", "x"]}, log(window={"quiet": "1s"})),
    written("once", {"dedupe": {"key": "k", "ttl": "1h"}}),
    written("text", {"filters": {"data": [{"path": "k", **DATA}]}}),
    written("wild", {"filters": {"data": [{"path": "*.x", **DATA}]}}),
    written("number", {"filters": {"data": [{"path": "n", "type": "number", "comparator": ">", "value": ["1"]}]}}),
    written("shown", {"filters": {"data": [{"path": "x", "type": "bool", "value": ["true"]}]}}),
    written("made", {"filters": {"data": [{"path": "k", "template": "{{ .Input }}", **DATA}]}}),
    written("formula", {"filters": {"exprs": [{"expr": "n > 1 && k != x", "fields": FIELDS}]}}),
    written("lua", {"filters": {"script": LUA}}),
    written("jq", {"transform": {"jq": ".seen = true"}}),
    written("lua-made", {"transform": {"script": "event.seen = true return event"}}),
    written("hours", {"filters": {"time": {"start": "08:00:00", "stop": "18:00:00"}}}),
    written("summed", {}, log(window={"sum": {"path": "n", "atLeast": 1e300}})),
    written("awaited", {}, log(window={"expect": {"count": 2, "by": "k"}})),
    written("laned", {}, log(concurrency={"limit": 1, "key": "k", "onConflict": "coalesce"})),
    written("posted", {}, {"template": HTTP}),
    written("listed", {}, {"template": {**HTTP, "http": {**HTTP["http"], "payload": LISTED}}, "window": {"count": 2}}),
]


def events() -> Iterator[tuple[str, Event]]:
    """All that the doors take, as it comes out of the log."""
    for name, data in TAKEN.items():
        yield name, from_json(structured(name, data))
    for name, data in BYTES.items():
        yield f"bytes: {name}", from_json(in_base64(f"b {name}", data, datacontenttype="application/json"))
        yield f"raw: {name}", from_json(in_base64(f"r {name}", data, datacontenttype="image/png"))
    for time in TIMES[:-1]:
        yield time, from_json(structured(time, b'{"k":"v"}', time=time))


EVENTS = [(name, decode(encode(one, MAX_BYTES))) for name, one in events()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.name)
def test_every_sensor_decides_about_every_payload_in_plain_words(document: SensorDocument) -> None:
    made = Sensor(document)
    for name, one in EVENTS:
        course = Course([made])
        # The course lets pass what is no refusal, and that would be a bug.
        taken = course.take(one, NOON)
        said = [decision for step in taken for decision in step.step.decisions]
        assert said, f"{name}: no decision"
        assert {decision.dependency for decision in said} == {"a"}, name


async def test_a_host_takes_all_of_them_and_the_sensor_beside_them_misses_none(store: Store) -> None:
    async with world(store) as here:
        good = Sensor(written("good", {}))
        async with here.running(*(Sensor(one) for one in DOCUMENTS), good) as host:
            for _, one in EVENTS:
                await here.bus.publish(one)
            await here.reach(host)
            here.clock.advance(3600)
            await here.reach(host)
            assert host.state().ready
        fired = [row for row in await here.fired() if row.sensor == "good"]
        assert len(fired) == len(EVENTS)
        for document in DOCUMENTS:
            rows = await here.decided(document.name)
            assert {row.event_key for row in rows} >= {one.key for _, one in EVENTS}, document.name
            bugs = [row.reason for row in rows if "in the sensor's code" in row.reason]
            assert bugs == [], document.name


# --- the whole way: the door of a real platform, the bus, the sensors ------------------------------------------------

WATCHED = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: keyed}
spec:
  dependencies: [{name: a, eventSourceName: src, eventName: a, key: k}]
  triggers: [{template: {name: t, log: {}}, window: {count: 2}}]
---
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: posted}
spec:
  dependencies: [{name: a, eventSourceName: src, eventName: a, dedupe: {key: k}}]
  triggers:
    - template:
        name: t
        http:
          url: http://127.0.0.1:9/
          payload: [{src: {dependencyName: a, dataKey: x, useRawData: true, value: none}, dest: p.q}]
      retryStrategy: {steps: 1}
---
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: good}
spec:
  dependencies: [{name: a, eventSourceName: src, eventName: a}]
  triggers: [{template: {name: t, log: {}}}]
"""
LAST = rb'{"k":"z\n\u001b[31m"}'
DECIDED = "SELECT e.id, d.sensor, d.outcome, d.reason FROM decisions d JOIN events e ON e.key = d.event_key"
PLAIN = ("is not JSON", "nested deeper than 253 levels", "limit")


def test_a_platform_decides_about_all_of_them_or_says_at_the_door_why_not(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.write("sensors.yaml", WATCHED)
    with platform:
        for name, data in REFUSED.items():
            answer = platform.post("/api/v1/events", structured(name, data), JSON)
            assert answer.status in {400, 413}, (name, answer)
            assert any(plain in answer.body["error"] for plain in PLAIN), (name, answer.body)
        binary = {"Ce-Specversion": "1.0", "Ce-Source": "src", "Ce-Type": "t", "Ce-Subject": "a"}
        taken: list[str] = []
        for name, data in TAKEN.items():
            assert platform.post("/api/v1/events", structured(name, data), JSON).taken, name
            headers = {**binary, "Ce-Id": f"binary {name}", "Content-Type": "application/json"}
            assert platform.post("/api/v1/events", data, headers).taken, name
            taken += [name, f"binary {name}"]
        for name, data in BYTES.items():
            assert platform.post("/api/v1/events", in_base64(name, data), JSON).taken, name
            taken.append(name)
        for time in TIMES[:-1]:
            assert (
                platform.post("/api/v1/events", structured(time, b"{}", time=time), JSON).taken or time < "0001-01-03"
            )
        assert platform.post("/api/v1/events", structured("t", b"{}", time="2026-11-21T12:00:00"), JSON).status == 400
        assert platform.post("/api/v1/events", structured("last", LAST), JSON).taken

        def read() -> bool:
            return bool(platform.rows("SELECT 1 FROM events WHERE id = 'last'"))

        platform.wait(read, "the last event is read")
        decided = platform.rows(
            "SELECT e.id, d.sensor, d.outcome, d.reason FROM decisions d JOIN events e ON e.key = d.event_key"
        )
        for sensor_name in ("keyed", "posted", "good"):
            mine = {id_ for id_, whose, *_ in decided if whose == sensor_name}
            assert mine >= {*taken, "last"}, sensor_name
        assert not [row for row in decided if "in the sensor's code" in row[3]]
        assert {outcome for _, whose, outcome, _ in decided if whose == "good"} == {"passed"}
        # And whoever asks sees them, as far as they can be shown.
        assert len(platform.items("events", source="src")) >= len(taken)
        dead = [one["reason"] for one in platform.items("deadletters")]
        assert any("nested deeper than 200 levels" in reason for reason in dead)
        assert platform.get("/api/v1/sensors/keyed")["open"] > 0
        shown = platform.command("sensors", "show", "keyed")
        assert r"waits t [z\n\x1b[31m]" in shown, "a key is shown on one line, and means nothing to a terminal"
        assert {one["state"] for one in platform.items("firings", sensor="good")} <= {"done", "pending", "running"}
        assert platform.stop() == 0
    assert "Traceback" not in platform.log.read_text()
