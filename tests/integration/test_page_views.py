"""The page's views without a browser: what came from outside stays text, pages are bounded, errors are views too."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from sqlalchemy import Connection

from retrain.events import Event
from retrain.store import approvals, audit, deadletters, decisions, events, firings, promotions, runs
from retrain.store.approvals import Approval
from retrain.store.audit import Deed
from retrain.store.deadletters import DeadLetter
from retrain.store.decisions import DecisionRow
from retrain.store.events import SeenEvent
from retrain.store.firings import FiringRow
from retrain.store.promotions import Hold, PromotionRow
from retrain.store.runs import RunRow
from tests.integration.page_house import House, Seen, house

NOW = datetime.now(UTC)
EVIL = "\"'><img src=x onerror=alert(1)></title></script><script>alert(2)</script>\u202egnp.\u2066{{7*7}}\x1b[31m"
VIEWS = ("", "events", "sensors", "firings", "runs", "promotions", "trace", "deadletters", "audit", "find?q=x")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path) as found:
        yield found


def event(number: int, name: str, data: Any = None) -> SeenEvent:
    name = name.replace("\x1b", "")  # which no event may have in its attributes
    one = Event(id=f"{name}{number}", source=name, type=name, subject=name, time=NOW, data=data)
    return SeenEvent(one, number, NOW)


def promotion(number: int, text: str, **more: Any) -> PromotionRow:
    row = PromotionRow(
        id=f"p-{number}",
        intent_key=f"k-{number}",
        name=text,
        environment=text,
        candidate={
            "digest": text,
            "uri": f"javascript:{text}",
            "evaluation": {"curves": {text: {"x": [0, 1], "y": [0, 1]}}},
        },
        created=NOW,
        updated=NOW,
        next_attempt=NOW,
    )
    return replace(row, **more)


def fill(connection: Connection, text: str) -> None:
    """One of everything, with this text wherever the outside has a say."""
    seen = event(1, text, {text: [text, {text: text}], "a": "\u202e\x00"})
    events.add(connection, [seen])
    decisions.add(connection, [DecisionRow(seen.event.key, text, text, "filtered", text, None, NOW, text, text)])
    action = {"kind": text, "resource": {text: text}}
    firings.add(connection, [FiringRow("f-1", text, text, text, (seen.event.key,), action, NOW, error=text)])
    manifest = {
        "metadata": {"generateName": text},
        "spec": {"entrypoint": text, "arguments": {"parameters": [{"name": text, "value": text}]}},
    }
    runs.submit(connection, [RunRow("r-1", text, text, manifest, {"retrain.dev/sensor": text}, NOW, firing_id="f-1")])
    parameters = {"parameters": [{"name": text, "value": text}], "artifacts": [{"name": text, "path": text}]}
    node = {
        "id": "n-1",
        "name": text,
        "displayName": text,
        "type": "Pod",
        "phase": "Failed",
        "templateName": text,
        "message": text,
        "inputs": parameters,
        "startedAt": "2026-11-22T00:00:00Z",
    }
    runs.begin_with(connection, "r-1", {"n-1": node}, NOW)
    gates = [{"name": text, "kind": text, "verdict": text, "reason": text, "figures": {text: text}}]
    changes = [{"file": text, "path": text, "old": text, "new": text}]
    row = promotion(
        1, text, gates=gates, changes=changes, diff=f"+{text}\n-{text}\n@@{text}", reason=text, actor=text, run_id="r-1"
    )
    promotions.propose(connection, row)
    approvals.add(connection, Approval("p-1", text, "approve", text, False, (text,), text, NOW))
    promotions.hold(connection, Hold(text, text, text, text, NOW))
    deadletters.add(connection, [DeadLetter("d-1", "firing", text, text, text.encode(), NOW)])
    audit.record(connection, Deed(NOW, text, False, text, "p-1", reason=text, origin=text))


def of_things(text: str) -> list[str]:
    said = quote(text.replace("\x1b", ""), safe="")
    return [
        f"event?id={said}1",
        "firing?id=f-1",
        "run?name=r-1",
        "run?name=r-1&node=n-1",
        "promotion?id=p-1",
        "deadletter?id=d-1",
        f"trace?id={said}1",
        f"find?q={said}",
        f"events?source={said}&text={said}",
        f"runs?workflow={said}",
        f"promotions?name={said}&environment={said}",
        f"firings?sensor={said}&state={said}",
        f"audit?subject={said}",
        f"login?back={said}",
        f"nowhere/{said}",
        f"sensor?name={said}",
        f"events?cursor={said}",
        f"events?limit={said}",
    ]


async def test_what_came_from_outside_stays_text_in_every_view(shop: House) -> None:
    await shop.store.write(lambda c: fill(c, EVIL))
    async with shop.visitor() as visitor:
        for view in (*VIEWS, *of_things(EVIL)):
            answer = await visitor.get(f"/ui/{view}", follow_redirects=True)
            seen = Seen(answer.text)

            assert answer.status_code < 500, (view, answer.text)
            assert answer.headers["content-type"].startswith("text/html")
            assert not {"img", "iframe", "object", "style", "base"} & {tag for tag, _ in seen.tags}, view
            assert [words.get("src", "")[:11] for tag, words in seen.tags if tag == "script"] == ["/ui/static/"] * 3, (
                view
            )
            names = {name for _, words in seen.tags for name in words}
            assert not [name for name in names if name.startswith("on") or name == "style" or not name.isascii()], view
            links = [words.get(name) or "" for _, words in seen.tags for name in ("href", "src", "action", "hx-get")]
            assert all(link == "" or link[0] in "/#" for link in links), view
            assert not [c for c in answer.text if c in "\u202e\u2066\x00\x1b"], view


async def test_hostile_text_is_shown_and_not_dropped(shop: House) -> None:
    await shop.store.write(lambda c: fill(c, EVIL))
    async with shop.visitor() as visitor:
        for view in ("events", "runs", "promotion?id=p-1", "run?name=r-1", "audit"):
            shown = Seen((await visitor.get(f"/ui/{view}")).text).text
            assert "<img src=x" in shown, view
            assert "\\u202egnp" in shown or "…" in shown, view


async def test_every_view_says_that_it_is_empty_and_what_it_is(shop: House) -> None:
    async with shop.visitor() as visitor:
        titles = set[str]()
        for view in VIEWS:
            answer = await visitor.get(f"/ui/{view}")
            assert answer.status_code == 200, view
            titles.add(answer.text.partition("<title>")[2].partition("</title>")[0])
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
    assert len(titles) == len(VIEWS)


@pytest.mark.parametrize(
    "view",
    [
        "event?id=no",
        "run?name=no",
        "promotion?id=no",
        "sensor?name=no",
        "firing?id=no",
        "deadletter?id=no",
        "trace?id=no",
        "nowhere",
        "run/log?name=no",
    ],
)
async def test_what_is_not_there_is_a_view_that_says_so(shop: House, view: str) -> None:
    async with shop.visitor() as visitor:
        answer = await visitor.get(f"/ui/{view}")

    assert answer.status_code == 404
    assert 'role="alert"' in answer.text


async def test_a_long_list_comes_page_by_page_and_ends(shop: House) -> None:
    await shop.store.write(lambda c: events.add(c, [event(n, "lake") for n in range(1, 121)]))
    found: list[str] = []
    where = "/ui/events"
    async with shop.visitor() as visitor:
        while where:
            seen = Seen((await visitor.get(where)).text)
            found += [words["id"] or "" for tag, words in seen.tags if tag == "tr" and "id" in words]
            links = [words.get("href") or "" for tag, words in seen.tags if tag == "a"]
            where = next((link for link in links if "cursor=" in link), "")

    assert len(found) == len(set(found)) == 120


async def test_big_payloads_and_wide_traces_are_cut_and_say_so(shop: House) -> None:
    big = {f"k{n}": "x" * 5000 for n in range(5000)}
    await shop.store.write(lambda c: events.add(c, [event(1, "lake", big), *(event(n, "shop") for n in range(2, 9))]))
    async with shop.visitor() as visitor:
        text = (await visitor.get("/ui/event?id=lake1")).text

    assert len(text) < 5_000_000
    assert "more, in the JSON" in text


async def test_the_overview_counts_the_last_day_and_names_what_is_broken(shop: House) -> None:
    old = [event(n, "lake")._replace(received=NOW - timedelta(days=3)) for n in range(1, 6)]

    def work(connection: Connection) -> None:
        events.add(connection, [*old, *(event(n, "shop") for n in range(6, 9))])
        promotions.propose(connection, promotion(1, "orders", state="awaiting", reason="approval: 0 of 2"))
        promotions.propose(connection, promotion(2, "refunds", state="failed", reason="the forge said no"))

    await shop.store.write(work)
    async with shop.visitor() as visitor:
        page = Seen((await visitor.get("/ui/")).text).text
        said = (await visitor.get("/api/v1/overview")).json()

    assert said["flow"]["events"] == 3
    assert said["flow"]["promotions"] == {"awaiting": 1, "failed": 1}
    assert "approval: 0 of 2" in page
    assert "the forge said no" in page


class Listener:
    """Whoever reads `/ui/live`: what came so far, and the end of it."""

    def __init__(self, shop: House, headers: dict[str, str] | None = None) -> None:
        said = {"host": "127.0.0.1", **(headers or {})}
        raw = [(name.encode(), value.encode()) for name, value in said.items()]
        self._scope = {"type": "http", "method": "GET", "path": "/ui/live", "headers": raw, "query_string": b""}
        self._scope |= {"http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 7300), "root_path": ""}
        self._door = shop.door
        self.text = ""
        self._new = anyio.Event()

    async def run(self) -> None:
        await self._door(dict(self._scope), anyio.sleep_forever, self._send)

    async def _send(self, message: Any) -> None:
        self.text += message.get("body", b"").decode()
        event, self._new = self._new, anyio.Event()
        event.set()

    async def hears(self, what: str) -> None:
        with anyio.fail_after(30):
            while what not in self.text:
                await self._new.wait()

    @property
    def last(self) -> str:
        return self.text.rpartition("id: ")[2].partition("\n")[0]


async def test_an_open_view_is_told_what_changed_and_after_a_break_what_it_missed(shop: House) -> None:
    async with anyio.create_task_group() as group:
        first = Listener(shop)
        group.start_soon(first.run)
        await first.hears("event: changed-events")
        first.text = ""
        await shop.store.write(lambda c: events.add(c, [event(1, "lake")]))
        await first.hears("event: changed-events")
        seen = first.last
        assert "changed-runs" not in first.text

        await shop.store.write(lambda c: promotions.propose(c, promotion(1, "orders")))
        await first.hears("event: changed-promotions")
        late = Listener(shop, {"last-event-id": seen})
        group.start_soon(late.run)
        await late.hears("event: changed-promotions")
        assert "changed-events" not in late.text
        shop.services.closing.set()
