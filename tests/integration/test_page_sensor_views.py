"""Views of sensors, events, firings and sources without a browser: filters, silences, the graph, a changed copy."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from sqlalchemy import Connection

from retrain.app.projects.project import Project, load_project
from retrain.app.sensing import replaying
from retrain.app.sensing.sensing import Sensing
from retrain.clock import FakeClock
from retrain.errors import ConfigError, Refused
from retrain.events import Event
from retrain.manifests import to_yaml
from retrain.store import decisions, events, firings
from retrain.store.decisions import DecisionRow
from retrain.store.events import SeenEvent
from retrain.store.firings import FiringRow
from tests.integration.page_house import House, Seen, house

NOW = datetime.now(UTC).replace(microsecond=0)
EVIL = "\"'><img src=x onerror=alert(1)></textarea><script>alert(2)</script>\u202e{{7*7}}"
QUOTED = quote(EVIL, safe="")
SENSOR: dict[str, Any] = {
    "apiVersion": "retrain.dev/v1",
    "kind": "Sensor",
    "metadata": {"name": "orders"},
    "spec": {
        "dependencies": [
            {"name": "features", "eventSourceName": "lake", "eventName": "features", "key": "date"},
            {
                "name": "labels",
                "eventSourceName": "lake",
                "eventName": "labels",
                "key": "date",
                "filters": {"data": [{"path": "rows", "type": "number", "comparator": ">=", "value": ["100"]}]},
            },
        ],
        "triggers": [{"template": {"name": "train", "conditions": "features && labels", "log": {}}}],
    },
}
SOURCE: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "EventSource",
    "metadata": {"name": "lake"},
    "spec": {"webhook": {"features": {"endpoint": "/f", "url": "http://ada:hunter2@x"}, "labels": {"endpoint": "/l"}}},
}


def project(place: Path, *documents: dict[str, Any]) -> Project:
    folder = place / "project"
    folder.mkdir(exist_ok=True)
    (folder / "all.yaml").write_text("---\n".join(to_yaml(one) for one in documents))
    return load_project([folder])


def with_project(shop: House, found: Project) -> House:
    """The same house on a project, whose sensors nobody runs."""
    sensing = Sensing(shop.store, None, lambda: found.sensors)
    # Its clock stands: the worker may have read this file long before it comes to the test.
    services = replace(shop.services, sensing=sensing, manifests=lambda: found, clock=FakeClock(NOW))
    return House(services, people=False)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path) as found:
        yield with_project(found, project(tmp_path, SENSOR, SOURCE))


def event(number: int, name: str, minutes: float = 0, **data: Any) -> SeenEvent:
    one = Event(id=f"{name}-{number}", source="lake", type="t", subject=name, time=NOW, data={"date": "d", **data})
    return SeenEvent(one, number, NOW - timedelta(minutes=minutes))


def fill(connection: Connection) -> None:
    """Half a day: one that waits, one that is filtered, a pair that fired, and one that nobody asks for."""
    came = [
        event(1, "features", 50, date="a"),
        event(2, "labels", 40, date="b", rows=3),
        event(3, "features", 30, date="c"),
        event(4, "labels", 20, date="c", rows=500),
        event(5, "lables", 10),
    ]
    events.add(connection, came)
    keys = [one.event.key for one in came]
    said = ("passed", "filtered", "passed", "passed")
    rows = [
        DecisionRow(key, "orders", "labels", outcome, f"because {outcome}", None, NOW)
        for key, outcome in zip(keys, said, strict=False)
    ]
    decisions.add(connection, rows)
    firing = FiringRow("f-1", "orders", "train", "c", (keys[2], keys[3]), {"kind": "log"}, NOW - timedelta(minutes=20))
    firings.add(connection, [firing, replace(firing, id="f-2", key="d", created=NOW, events=(keys[3],))])


async def listed(visitor: httpx2.AsyncClient, where: str) -> list[str]:
    answer = await visitor.get(f"/api/v1/{where}")
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["items"]]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("outcome=fired", ["labels-4", "features-3"]),
        ("outcome=waiting", ["features-1"]),
        ("outcome=filtered", ["labels-2"]),
        ("outcome=unmatched", ["lables-5"]),
        ("since=35m", ["lables-5", "labels-4", "features-3"]),
        ("since=45m&until=15m&subject=labels&source=lake", ["labels-4", "labels-2"]),
        ("outcome=fired&since=25m", ["labels-4"]),
    ],
)
async def test_events_by_time_and_by_how_they_were_decided(shop: House, words: str, found: list[str]) -> None:
    await shop.store.write(fill)
    async with shop.visitor() as visitor:
        assert await listed(visitor, f"events?{words}") == found
        seen = Seen((await visitor.get(f"/ui/events?{words}")).text)
    rows = [words["id"] for tag, words in seen.tags if tag == "tr" and "id" in words]
    assert len(rows) == len(found)
    assert all(one in seen.text for one in found)


async def test_firings_by_trigger_key_and_time(shop: House) -> None:
    await shop.store.write(fill)
    async with shop.visitor() as visitor:
        assert await listed(visitor, "firings?key=c") == ["f-1"]
        assert await listed(visitor, "firings?trigger=train&since=10m") == ["f-2"]
        assert await listed(visitor, "firings?until=10m&sensor=orders") == ["f-1"]
        page = Seen((await visitor.get("/ui/firings?trigger=other")).text).text
        one = Seen((await visitor.get("/ui/firing?id=f-1")).text).text
        wrong = await visitor.get("/ui/firings?since=sometime")
    assert "No firing fits" in page
    assert "features-3 lake/features" in one
    assert wrong.status_code == 422


async def test_an_event_has_every_sensors_answer_also_of_the_silent(shop: House) -> None:
    await shop.store.write(fill)
    async with shop.visitor() as visitor:
        page = Seen((await visitor.get("/ui/event?id=lables-5")).text).text
        said = (await visitor.get("/api/v1/event?id=lables-5")).json()
        case = await visitor.get("/ui/event/case?id=labels-4&sensor=orders")

    assert "nearest: labels waits for lake/labels: another name" in page
    assert said["silent"][0]["nearest"] == {"dependency": "labels", "source": "lake", "name": "labels"}
    assert case.headers["content-disposition"] == 'attachment; filename="orders.test.yaml"'
    assert "trigger: train" in case.text


async def test_the_graph_is_a_picture_and_a_table_and_json(shop: House) -> None:
    await shop.store.write(fill)
    async with shop.visitor() as visitor:
        seen = Seen((await visitor.get("/ui/graph")).text)
        said = (await visitor.get("/api/v1/graph?near=sensor:orders")).json()
        nothing = Seen((await visitor.get("/ui/graph?q=nothing")).text).text

    links = [words.get("href") for tag, words in seen.tags if tag == "a"]
    assert links.count("/ui/sensor?name=orders") >= 2
    counts = {one["id"]: one["count"] for one in said["nodes"]}
    assert counts["source:lake/features"] == 2
    assert counts["trigger:orders/train"] == counts["sensor:orders"] == 2
    assert "Nothing fits" in nothing


async def test_a_source_with_its_hours_and_no_secret(shop: House) -> None:
    await shop.store.write(fill)
    async with shop.visitor() as visitor:
        page = await visitor.get("/ui/source?name=lake")
        said = (await visitor.get("/api/v1/sources/lake")).json()

    assert sum(one["count"] for one in said["hours"]) == 4
    assert "(hidden)@x" in page.text
    assert "hunter2" not in page.text + str(said)


async def test_decisions_come_page_by_page_and_end(shop: House) -> None:
    key = event(1, "features").event.key
    rows = [DecisionRow(key, "orders", "features", "passed", f"r{n}", None, NOW) for n in range(130)]
    await shop.store.write(lambda c: decisions.add(c, rows))
    found: list[str] = []
    older = ""
    async with shop.visitor() as visitor:
        while True:
            page = (await visitor.get(f"/api/v1/sensors/orders?outcome=passed{older}")).json()
            found += [one["reason"] for one in page["decisions"]]
            if page["decisionsNext"] is None:
                break
            older = f"&older={page['decisionsNext']}"
        seen = Seen((await visitor.get("/ui/sensor?name=orders")).text).text
    assert found == [f"r{n}" for n in reversed(range(130))]
    assert "Older decisions" in seen


@pytest.mark.parametrize(
    "view",
    [
        "source?name=no",
        "sensor/try?name=no",
        "event/case?id=no&sensor=orders",
        "event/case?id=no&sensor=no",
        "graph?near=sensor:no",
        "firing?id=no",
    ],
)
async def test_what_is_not_there_is_said(shop: House, view: str) -> None:
    async with shop.visitor() as visitor:
        answer = await visitor.get(f"/ui/{view}")
    assert answer.status_code == 404
    assert 'role="alert"' in answer.text


async def test_a_project_of_nothing_has_empty_views(tmp_path: Path) -> None:
    async with house(tmp_path) as found, found.visitor() as visitor:
        assert "This project has no EventSource" in (await visitor.get("/ui/graph")).text
        assert "This project has no Sensor" in (await visitor.get("/ui/sensors")).text


# --- a changed copy -------------------------------------------------------------------------------------------------


async def form(visitor: httpx2.AsyncClient, name: str = "orders") -> dict[str, str]:
    answer = await visitor.get(f"/ui/sensor/try?name={name}")
    assert answer.status_code == 200
    fields = [words for tag, words in Seen(answer.text).tags if tag == "input" and words.get("type") == "hidden"]
    return {str(one["name"]): str(one["value"]) for one in fields if one.get("name") in ("word", "name")}


async def test_a_changed_copy_is_replayed_and_says_why(shop: House) -> None:
    await shop.store.write(fill)
    changed = to_yaml(SENSOR).replace("'100'", "'900'").replace("key: date", "key: date", 1)
    async with shop.visitor() as visitor:
        words = {**await form(visitor), "manifest": changed.replace("\n", "\r\n")}
        page = Seen((await visitor.post("/ui/sensor/try", data=words)).text).text
        few = Seen((await visitor.post("/ui/sensor/try", data={**words, "limit": "2"})).text).text
        file = await visitor.post("/ui/sensor/try/file", data=words)

    assert "Only as it runs: 1" in page
    assert "filtered: " in page
    assert "5 events of the log" in page
    assert "3 older ones were left out" in few
    assert file.text == changed
    assert file.headers["content-disposition"] == 'attachment; filename="orders.yaml"'
    assert await shop.store.read(lambda c: len(firings.listing(c, firings.FiringFilter()).items)) == 2


async def test_a_wrong_copy_is_shown_with_its_findings_and_kept(shop: House) -> None:
    wrong = to_yaml(SENSOR).replace("features && labels", "features && lables")
    async with shop.visitor() as visitor:
        words = {**await form(visitor), "manifest": wrong}
        answer = await visitor.post("/ui/sensor/try", data=words)
        other = await visitor.post("/ui/sensor/try", data={**words, "manifest": to_yaml(SOURCE)})
        big = await visitor.post("/ui/sensor/try", data={**words, "manifest": to_yaml(SENSOR), "limit": "9999999"})
        late = await visitor.post("/ui/sensor/try", data={**words, "manifest": to_yaml(SENSOR), "from": "soon"})

    assert (answer.status_code, other.status_code, big.status_code, late.status_code) == (422, 422, 422, 422)
    page = Seen(answer.text).text
    assert "nothing was replayed" in page
    assert "error, line" in page
    assert page.count("features && lables") >= 2, "in what the linter says, and in the form"
    assert "holds no Sensor" in other.text
    assert "200000 events at most" in big.text


async def test_a_form_of_nobodys_session_and_one_that_is_too_long_are_refused(shop: House) -> None:
    async with shop.visitor() as visitor:
        words = {**await form(visitor), "manifest": "x"}
        foreign = await visitor.post("/ui/sensor/try", data={**words, "word": "x"})
        long = await visitor.post("/ui/sensor/try", data={**words, "manifest": "x" * 600_000})
    assert foreign.status_code == 403
    assert long.status_code in {413, 422}


async def test_more_replays_at_once_than_may_be_are_told_to_come_again(shop: House) -> None:
    at_work = replaying.AT_WORK
    async with shop.visitor() as visitor:
        words = {**await form(visitor), "manifest": to_yaml(SENSOR)}
        with at_work.one(), at_work.one():
            answer = await visitor.post("/ui/sensor/try", data=words)
        after = await visitor.post("/ui/sensor/try", data=words)
    assert answer.status_code == 503
    assert "at work already" in answer.text
    assert after.status_code == 200


async def test_a_replay_that_takes_too_long_is_given_up_with_the_reason(shop: House) -> None:
    request = replaying.read_request({"sensor": "orders", "diff": "orders", "limit": "10"})
    items, now = shop.services.sensing.items(), shop.services.clock.now()
    with pytest.raises(Refused, match="take a shorter time of the log"):
        await replaying.replay_aside(shop.store.path, request, items, now, longest_s=0)
    # Its place is free again.
    found = await replaying.replay_aside(shop.store.path, request, items, now)
    assert found["log"] == {"events": 0, "left": 0}


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5", "²"])
def test_a_limit_is_a_number_from_one_on(limit: str) -> None:
    with pytest.raises(ConfigError, match="from 1 on"):
        replaying.read_request({"sensor": "orders", "limit": limit})


async def test_hostile_names_and_manifests_stay_text(tmp_path: Path) -> None:
    async with house(tmp_path) as found:
        evil = {**SENSOR, "metadata": {"name": EVIL}}
        shop = with_project(found, project(tmp_path, evil, SOURCE))
        await shop.store.write(fill)
        async with shop.visitor() as visitor:
            words = {**await form(visitor, QUOTED), "manifest": EVIL}
            views = [f"sensor?name={QUOTED}", f"sensor/try?name={QUOTED}", "graph", "sensors"]
            views += [f"graph?q={QUOTED}", "event?id=lables-5", f"firings?trigger={QUOTED}"]
            answers = [await visitor.get(f"/ui/{one}") for one in views]
            answers.append(await visitor.post("/ui/sensor/try", data=words))
    for answer in answers:
        # A name with marks in it is written out in a form, and so is none that there is.
        assert answer.status_code in {200, 404, 422}, answer.text
        seen = Seen(answer.text)
        assert not {"img", "iframe", "object", "style"} & {tag for tag, _ in seen.tags}
        assert len([tag for tag, _ in seen.tags if tag == "script"]) == 3
        assert not [name for _, words in seen.tags for name in words if name.startswith("on") or name == "style"]
        assert "\u202e" not in answer.text
