"""Views of models, approvals, promotions, dead letters, health and traces, without a browser."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import anyio
import orjson
import pytest
from sqlalchemy import Connection

from deploy.spec import PromotionDocument
from retrain.app.keeping.measures import Measures
from retrain.app.looking.letters import letter_actions
from retrain.app.parts import PartState
from retrain.clock import SystemClock
from retrain.store import Store, approvals, audit, deadletters, firings, promotions, runs
from retrain.store.approvals import Approval
from retrain.store.audit import Deed
from retrain.store.deadletters import DeadLetter
from retrain.store.firings import FiringRow, FiringState
from retrain.store.promotions import Hold, PromotionRow
from retrain.store.runs import RunRow
from tests.integration.page_house import House, Seen, house

NOW = datetime.now(UTC)
GATES = [
    {"name": "good", "kind": "champion", "metric": "auc"},
    {"name": "size", "kind": "threshold", "metric": "rows", "min": 1},
]
DOCUMENT = {
    "apiVersion": "retrain.dev/v1",
    "kind": "Promotion",
    "metadata": {"name": "orders"},
    "spec": {
        "repo": {"url": "file:///nowhere/repo.git"},
        "environments": [
            {"name": "staging", "edits": [{"file": "a.yaml", "path": "x", "value": "{{candidate.uri}}"}]},
            {
                "name": "production",
                "edits": [{"file": "b.yaml", "path": "x", "value": "{{candidate.uri}}"}],
                "gates": GATES,
                "approvals": {"required": 2},
                "waivers": {"roles": ["admin"], "expires": "4h"},
                "canary": [{"weight": 10, "for": "10m"}, {"weight": 100}],
            },
        ],
    },
}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncGenerator[House]:
    documents = {"orders": PromotionDocument.model_validate(DOCUMENT)}
    parts = [PartState("bus", ready=True, vital=True), PartState("outbox", ready=False, waiting_for="x", since=NOW)]
    async with house(tmp_path, people=True, promotions=lambda: documents, states=lambda: parts) as found:
        yield found


def promotion(number: int, hours: float, state: str, **more: Any) -> PromotionRow:
    time = NOW - timedelta(hours=hours)
    row = PromotionRow(
        id=f"p-{number}",
        intent_key=f"k-{number}",
        name="orders",
        environment="production",
        candidate={
            "digest": f"sha256:{number:064x}",
            "uri": f"s3://models/orders/v{number}",
            "metrics": {"auc": 0.9 + number / 100, "rows": 5},
        },
        created=time,
        updated=time,
        ended=time,
        next_attempt=time,
        state=state,
    )
    return replace(row, **more)


def history(connection: Connection) -> None:
    """Two models, the second rolled back and held; a third refused, a fourth waiting."""
    back = {"digest": f"sha256:{2:064x}", "uri": "s3://models/orders/v2", "reason": "wrong totals"}
    rows = [
        promotion(1, 9, "committed", commit_sha="1" * 40),
        promotion(2, 8, "rolled-back", commit_sha="2" * 40),
        promotion(3, 7, "committed", action="rollback", candidate=back, commit_sha="3" * 40, actor="eve"),
        promotion(4, 6, "refused", reason="good: worse than the champion", gates=[gate("good", "fail")]),
        promotion(5, 5, "awaiting", subject="sha256:s", waiting={"for": "approvals", "have": 1, "need": 2}),
    ]
    for row in rows:
        promotions.propose(connection, row)
    promotions.hold(connection, Hold("orders", "production", "wrong totals", "eve", NOW - timedelta(hours=7)))
    where = "orders/production"
    audit.record(connection, Deed(NOW - timedelta(hours=7), "eve", True, "promotions.rollback", where))
    approvals.add(connection, Approval("p-1", "sha256:a", "approve", "ada", True, ("approver",), "fine", NOW))
    late = NOW + timedelta(hours=3)
    approvals.add(connection, Approval("p-5", "sha256:s", "approve", "ada", True, ("approver",), "ok", NOW, late))


def gate(name: str, verdict: str) -> dict[str, Any]:
    figures = {"ci": [-0.2, 0.1], "gain": -0.05, "margin": 0.0, "slices": [{"slice": "eu", "n": 5, "value": 0.5}]}
    return {"name": name, "kind": "champion", "verdict": verdict, "reason": "worse", "figures": figures}


async def test_what_is_live_is_the_model_that_a_rollback_brought_back(shop: House) -> None:
    await shop.store.write(history)
    async with shop.visitor("eve") as eve:
        listed = (await eve.get("/api/v1/models")).json()["items"]
        shown = (await eve.get("/api/v1/models/orders")).json()
        page = Seen((await eve.get("/ui/model?name=orders")).text).text
        every = Seen((await eve.get("/ui/models")).text).text

    production = listed[0]["environments"][1]
    assert (production["live"]["version"], production["live"]["model"]) == ("v1", "p-1")
    assert production["live"]["commit"] == "3" * 40
    assert production["hold"]["reason"] == "wrong totals"
    told = shown["environments"][1]
    assert told["approvedBy"] == ["ada"]
    assert [(one["version"], one["back"]) for one in told["spans"]] == [("v1", False), ("v2", False), ("v1", True)]
    assert [one["what"] for one in told["moments"]] == ["refused", "rollback", "live", "live"]
    assert [one["reason"] for one in told["refused"]] == ["good: worse than the champion"]
    assert shown["metrics"] == ["auc", "rows"]
    assert "Held in production: wrong totals" in page
    assert "Roll back production" in page
    assert "Release production" in page
    assert "v1" in every


async def test_the_history_is_a_picture_too_and_what_never_was_live_has_none(shop: House) -> None:
    async with shop.visitor("vic") as vic:
        before = await vic.get("/api/v1/models/orders/history.svg")
        await shop.store.write(history)
        drawn = await vic.get("/api/v1/models/orders/history.svg?metric=rows")
        nobody = await vic.get("/ui/model?name=refunds")
        looks = Seen((await vic.get("/ui/model?name=orders")).text).text

    assert before.status_code == nobody.status_code == 404
    ElementTree.fromstring(drawn.text)
    assert "rows" in drawn.text
    assert "Roll back" not in looks


async def test_the_inbox_says_who_can_still_approve_and_whether_you_can(shop: House) -> None:
    await shop.store.write(history)
    async with shop.visitor("ada") as ada, shop.visitor("root") as root, shop.visitor("vic") as vic:
        said = {name: (await one.get("/api/v1/approvals")).json()["items"][0] for name, one in _each(ada, root, vic)}
        page = Seen((await root.get("/ui/approvals")).text).text

    assert said["ada"]["why"] == "you have approved it"
    assert said["root"]["why"] is None
    assert "vic has the roles viewer" in said["vic"]["why"]
    assert (said["root"]["have"], said["root"]["need"], said["root"]["until"] is not None) == (1, 2, True)
    assert "orders to production" in page
    assert "Look and decide" in page


def _each(*people: Any) -> list[tuple[str, Any]]:
    return list(zip(("ada", "root", "vic"), people, strict=True))


async def test_who_may_waive_is_offered_the_gate_that_said_no(shop: House) -> None:
    await shop.store.write(history)
    async with shop.visitor("root") as root, shop.visitor("eve") as eve:
        mine = (await root.get("/ui/promotion?id=p-4")).text
        theirs = (await eve.get("/ui/promotion?id=p-4")).text

    assert 'name="gate:good"' in mine
    assert "/ui/promotions/waive" not in theirs
    shown = Seen(mine)
    assert "gain -0.05, -0.2 to 0.1; 0 asked" in shown.text
    assert "1 slices" in shown.text
    assert "10 %" in shown.text


async def test_a_promotion_page_shows_its_steps_and_who_still_can(shop: House) -> None:
    await shop.store.write(history)
    async with shop.visitor("root") as root:
        page = Seen((await root.get("/ui/promotion?id=p-5")).text).text

    assert "An approval holds for 1d" in page
    assert "from then on" in page
    assert "Release" in page


@pytest.fixture
async def measured(shop: House) -> AsyncGenerator[House]:
    async with anyio.create_task_group() as group:
        measures = Measures(shop.store.path, SystemClock())
        await group.start(measures.run)
        yield House(replace(shop.services, measures=measures), people=True)
        group.cancel_scope.cancel()


async def test_health_names_what_waits_and_since_when_and_measures_the_store(measured: House) -> None:
    async with measured.visitor("vic") as vic:
        said = (await vic.get("/api/v1/health")).json()
        page = Seen((await vic.get("/ui/health")).text).text

    assert said["status"] == "degraded"
    away = next(one for one in said["parts"] if not one["ready"])
    assert (away["name"], away["waitingFor"], away["since"] is not None) == ("outbox", "x", True)
    rows = {one["name"]: one["rows"] for one in said["store"]["tables"]}
    assert rows["alembic_version"] == 1
    assert said["log"]["lag"] == 0
    assert "Events are taken in; something else waits." in page
    assert "alembic_version" in page


async def test_health_that_nobody_has_measured_yet_says_so(shop: House) -> None:
    async with shop.visitor("vic") as vic:
        page = Seen((await vic.get("/ui/health")).text).text

    assert "Its tables are being measured" in page


# --- dead letters ----------------------------------------------------------------------------------------------------


async def dead(store: Store, count: int) -> None:
    """So many firings of one sensor that are dead, each with its letter; and a message that nobody could read."""

    def work(connection: Connection) -> None:
        for n in range(count):
            row = FiringRow(
                f"f-{n:04}", "retrain", "train", "", (), {"kind": "log", "log": {}}, NOW, state=FiringState.DEAD
            )
            firings.add(connection, [row])
            body = orjson.dumps({"firing": row.id})
            letter = DeadLetter(f"d-{n:04}-1", "firing", "retrain/train", "no answer", body, NOW + timedelta(seconds=n))
            deadletters.add(connection, [letter])
        deadletters.add(connection, [DeadLetter("m-1", "message", "lake", "is no JSON", b"x" * 50_000, NOW)])

    await store.write(work)


@pytest.fixture
async def morgue(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path, people=True) as bare:
        await dead(bare.store, 3)
        yield House(replace(bare.services, actions=letter_actions(bare.store, SystemClock())), people=True)


async def test_letters_are_chosen_by_kind_origin_reason_and_state(morgue: House) -> None:
    async with morgue.visitor("vic") as vic:
        counts = {
            query: len((await vic.get(f"/api/v1/deadletters?{query}")).json()["items"])
            for query in (
                "kind=firing",
                "kind=message",
                "origin=retrain",
                "origin=retrain/train",
                "origin=retr",
                "text=JSON",
                "since=1h",
                "until=1h",
                "state=redriven",
            )
        }
        wrong = await vic.get("/ui/deadletters?since=soon")
        message = await vic.get("/ui/deadletter?id=m-1")

    assert list(counts.values()) == [3, 1, 3, 3, 0, 1, 4, 0, 0]
    assert wrong.status_code == 422
    assert "30 000 bytes more" in message.text
    assert len(message.text) < 40_000


async def test_all_that_match_are_counted_asked_about_and_redriven(morgue: House) -> None:
    async with morgue.visitor("eve") as eve, morgue.visitor("vic") as vic:
        asked = await eve.get("/ui/deadletters/redrive?origin=retrain")
        seen = Seen(asked.text)
        fields = {
            str(words["name"]): words.get("value") or "why"
            for tag, words in seen.tags
            if tag == "input" and "name" in words
        }
        fields.pop("q")
        refused = await vic.post("/ui/deadletters/redrive-all", data=fields)
        done = await eve.post("/ui/deadletters/redrive-all", data=fields)
        again = (await eve.get("/api/v1/deadletters?state=waiting")).json()["items"]
        deeds = (await eve.get("/api/v1/audit")).json()["items"]

    assert "3 letters match, and 3 of them are about firings" in seen.text
    assert refused.status_code == 403
    assert "3 firings try again" in Seen(done.text).text
    assert [one["id"] for one in again] == ["m-1"]
    assert [one["action"] for one in deeds].count("deadletters.redrive") == 1


async def test_the_api_redrives_those_that_match_and_refuses_strange_words(morgue: House) -> None:
    async with morgue.visitor("eve") as eve:
        strange = await eve.post("/api/v1/deadletters/redrive", json={"kinds": "firing"})
        done = (await eve.post("/api/v1/deadletters/redrive", json={"kind": "firing"})).json()

    assert strange.status_code == 422
    assert done == {"redriven": 3, "refused": 0, "left": 0}


# --- proposing, tracing, finding -------------------------------------------------------------------------------------


def finished(connection: Connection) -> None:
    manifest = {"metadata": {"name": "train-1"}, "spec": {"entrypoint": "a"}}
    runs.submit(connection, [RunRow("r-1", "train-1", "train", manifest, {}, NOW)])
    outputs = {"parameters": [{"name": "digest", "value": f"sha256:{7:064x}"}, {"name": "uri", "value": "s3://m/7"}]}
    runs.begin_with(connection, "r-1", {}, NOW)
    connection.exec_driver_sql(
        "UPDATE runs SET phase = 'Succeeded', outputs = ? WHERE id = 'r-1'", (orjson.dumps(outputs).decode(),)
    )


async def test_what_a_run_has_made_is_offered_to_be_proposed(shop: House) -> None:
    await shop.store.write(finished)
    async with shop.visitor("eve") as eve, shop.visitor("vic") as vic:
        mine = (await eve.get("/ui/propose?run=train-1")).text
        theirs = Seen((await vic.get("/ui/propose?run=train-1")).text).text

    assert "s3://m/7" in mine
    assert "orders (enters at staging)" in mine
    assert "You cannot propose it" in theirs


async def test_models_sensors_and_beginnings_of_ids_are_found(shop: House) -> None:
    await shop.store.write(history)
    async with shop.visitor("vic") as vic:
        exact = (await vic.get("/api/v1/find?q=orders")).json()
        commit = (await vic.get("/ui/find?q=3333333", follow_redirects=False)).headers["location"]
        part = (await vic.get("/api/v1/find?q=orders/v")).json()

    assert (exact["exact"], exact["items"][0]["kind"]) == (True, "model")
    assert commit == "/ui/promotion?id=p-3"
    assert {one["id"] for one in part["items"]} == {"p-1", "p-2", "p-3", "p-4", "p-5"}


async def test_a_trace_marks_what_is_live(shop: House) -> None:
    await shop.store.write(history)
    async with shop.visitor("vic") as vic:
        page = Seen((await vic.get(f"/ui/trace?id={'3' * 40}")).text).text

    assert "is live: orders in production" in page


async def test_every_view_of_these_is_there_when_nothing_is(shop: House) -> None:
    async with shop.visitor("vic") as vic:
        for view, said in {
            "models": "nothing yet",
            "model?name=orders": "It was never live anywhere.",
            "approvals": "No promotion waits for approvals.",
            "deadletters": "None: all that came was dealt with.",
            "deadletters?kind=event": "None fits.",
            "health": "None: all are as they come.",
        }.items():
            answer = await vic.get(f"/ui/{view}")
            assert answer.status_code == 200, view
            assert said in Seen(answer.text).text, view
