"""What becomes of firings: tracked ends, dead ones that fire another trigger, order, priority, and taking back."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection

from retrain.errors import Permanent
from retrain.events import Event, JsonValue
from retrain.store import Store, deadletters, events, firings, open_store, outbox, runs
from retrain.store.events import SeenEvent
from retrain.store.firings import FiringRow, FiringState
from triggers import Dispatcher, DispatchSettings, Firing, StoreTrigger, Tools, Trigger, redrive
from triggers.argo_workflow import open_argo_workflow
from triggers.objects import open_k8s

pytestmark = pytest.mark.integration

OWNER = "me"
NOW = datetime.now(UTC)
ONCE = {"steps": 1}
WORKFLOW: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "train-"},
    "spec": {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "x", "command": ["true"]}}]},
}


class Bench:
    """What the acting kind has done; the gate holds its acts back until it is opened."""

    def __init__(self) -> None:
        self.acts: list[tuple[str, Any]] = []
        self.gate = anyio.Event()
        self.reached = anyio.Event()
        self.gate.set()

    async def fire(self, firing: Firing, attempt: int) -> JsonValue:
        self.reached.set()
        await self.gate.wait()
        self.acts.append((firing.id, dict(firing.action)))
        if firing.action.get("bad"):
            raise Permanent("not this one")
        return {"attempt": attempt}

    @asynccontextmanager
    async def open(self, _tools: Tools) -> AsyncGenerator[Trigger]:
        yield self


class Note:
    topic = "notes"

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue:
        if firing.action.get("bad"):
            raise Permanent("not this one")
        return {"noted": firing.id}


@asynccontextmanager
async def open_note(_tools: Tools) -> AsyncGenerator[StoreTrigger]:
    yield Note()


class Desk:
    def __init__(self, store: Store, path: Path) -> None:
        self.store, self.path, self.bench = store, path, Bench()

    @asynccontextmanager
    async def dispatching(self, **settings: Any) -> AsyncIterator[Dispatcher]:
        kinds = {"act": self.bench.open, "note": open_note, "argoWorkflow": open_argo_workflow, "k8s": open_k8s}
        tools = Tools(data=self.path / "data")
        dispatcher = Dispatcher(self.store, OWNER, kinds, tools=tools, settings=DispatchSettings(**settings))
        async with anyio.create_task_group() as group:
            await group.start(dispatcher.run)
            yield dispatcher
            group.cancel_scope.cancel()

    async def give(self, dispatcher: Dispatcher, *rows: FiringRow) -> None:
        dispatcher.offer(await self.store.write(lambda c: dispatcher.enlist(c, rows)))

    async def add(self, *rows: FiringRow) -> None:
        await self.store.write(lambda c: firings.add(c, rows))
        self.store.signals.notify("firings")

    async def ended(self, count: int) -> dict[str, FiringRow]:
        with anyio.fail_after(30):
            while True:
                rows = (await self.store.read(lambda c: firings.listing(c, firings.FiringFilter(), limit=1000))).items
                over = [row for row in rows if row.state not in firings.OPEN]
                if len(over) >= count:
                    return {row.id: row for row in rows}
                await anyio.sleep(0.01)

    async def row(self, firing_id: str) -> FiringRow:
        row = await self.store.read(lambda c: firings.get(c, firing_id))
        assert row is not None
        return row

    async def told(self) -> list[Event]:
        return [event for _, event in await self.store.read(outbox.pending)]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_store(tmp_path / "store.db") as store:
        yield Desk(store, tmp_path)


def a_firing(n: int, kind: str = "act", key: str = "k", **more: Any) -> FiringRow:
    fields = {name: more.pop(name) for name in ("tracked", "ordered", "priority", "state") if name in more}
    action = {"kind": kind, "retryStrategy": ONCE, **more}
    return FiringRow(f"f-{n:020x}", "s", "t", key, (f"{n:032x}",), action, NOW, depth=1, **fields)


# --- dlqTrigger ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["act", "note"])
async def test_a_dead_firing_fires_its_other_trigger_with_the_same_events(desk: Desk, kind: str) -> None:
    row = a_firing(1, kind, bad=True, dlqTrigger={"kind": "act", "say": "help"}, priority=7)
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, row)
        rows = await desk.ended(2)

    (other,) = [one for one in rows.values() if one.id != row.id]
    assert rows[row.id].state == FiringState.DEAD
    assert (other.sensor, other.trigger, other.key, other.events) == ("s", "t.dlq", "k", row.events)
    assert (other.state, other.priority, other.depth) == (FiringState.DONE, 7, 1)
    assert desk.bench.acts[-1] == (other.id, {"kind": "act", "say": "help"})
    assert all("dlqTrigger" not in action for _, action in desk.bench.acts)


async def test_a_firing_that_is_redriven_and_dies_again_fires_it_again(desk: Desk) -> None:
    row = a_firing(1, bad=True, dlqTrigger={"kind": "note"})
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, row)
        await desk.ended(2)
        await desk.store.write(lambda c: redrive(c, row.id, datetime.now(UTC)))
        desk.store.signals.notify("firings")
        rows = await desk.ended(3)

    assert sorted(one.trigger for one in rows.values()) == ["t", "t.dlq", "t.dlq"]


# --- tracked ---------------------------------------------------------------------------------------------------------


async def test_a_tracked_firing_tells_of_its_end_once(desk: Desk) -> None:
    rows = [a_firing(1, tracked=True), a_firing(2, "note", tracked=True), a_firing(3, tracked=True, bad=True)]
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, *rows, a_firing(4))
        await desk.ended(4)

    told = {event.extensions["retrainfiring"]: event for event in await desk.told()}
    assert sorted(told) == [row.id for row in rows]
    done, failed = told[rows[0].id], told[rows[2].id]
    assert (done.source, done.subject, done.type) == ("retrain", "firing.done", "dev.retrain.firing.done")
    assert done.id == f"{rows[0].id}.done.1"
    assert done.extensions == {
        "retraincause": rows[0].id,
        "retraindepth": 2,
        "retrainfiring": rows[0].id,
        "retrainsensor": "s",
        "retraintrigger": "t",
    }
    assert done.data == {
        "firing": {"id": rows[0].id, "sensor": "s", "trigger": "t", "key": "k"},
        "kind": "act",
        "run": None,
        "attempts": 1,
        "result": {"attempt": 1},
    }
    assert (failed.subject, failed.data["error"]) == ("firing.failed", "not this one")


async def test_a_tracked_firing_names_the_run_that_is_still_to_end(desk: Desk) -> None:
    row = a_firing(1, "argoWorkflow", resource=WORKFLOW, tracked=True)
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, row)
        await desk.ended(1)

    (event,) = await desk.told()
    assert event.data["run"] == "r-" + row.id.removeprefix("f-")


async def test_a_redriven_firing_is_told_of_and_each_of_its_deaths_is_another_event(desk: Desk) -> None:
    row = a_firing(1, bad=True, tracked=True)
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, row)
        for deaths in (2, 3):
            await desk.ended(1)
            await desk.store.write(lambda c: redrive(c, row.id, datetime.now(UTC)))
            desk.store.signals.notify("firings")
            with anyio.fail_after(10):
                while await desk.store.read(deadletters.count) < 1:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            assert await desk.store.read(lambda c: deadletters.count_about(c, row.id)) == deaths

    subjects = [event.subject for event in await desk.told()]
    assert subjects == ["firing.failed", "firing.redriven", "firing.failed", "firing.redriven", "firing.failed"]
    assert len({event.id for event in await desk.told()}) == 5


async def test_a_shadow_firing_is_written_down_and_never_acted_on(desk: Desk) -> None:
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, a_firing(1, state=FiringState.SHADOW, ordered=True), a_firing(2, ordered=True))
        rows = await desk.ended(2)

    assert [row.state for _, row in sorted(rows.items())] == [FiringState.SHADOW, FiringState.DONE]
    assert [firing_id for firing_id, _ in desk.bench.acts] == [a_firing(2).id]


# --- order and priority ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["at once", "one by one"])
async def test_ordered_firings_of_a_key_act_one_after_the_other(desk: Desk, given: str) -> None:
    rows = [a_firing(100 - n, key="ab"[n % 2], ordered=True, bad=n == 4) for n in range(30)]
    async with desk.dispatching(per_trigger=8) as dispatcher:
        if given == "at once":
            await desk.give(dispatcher, *rows)
        for row in rows if given == "one by one" else ():
            await desk.give(dispatcher, row)
        await desk.ended(30)

    acted = [firing_id for firing_id, _ in desk.bench.acts]
    for key in "ab":
        wanted = [row.id for row in rows if row.key == key]
        assert [firing_id for firing_id in acted if firing_id in wanted] == wanted


async def test_ordered_firings_of_another_key_are_not_held_up(desk: Desk) -> None:
    desk.bench.gate = anyio.Event()
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, a_firing(1, ordered=True), a_firing(2, ordered=True))
        await desk.bench.reached.wait()
        await desk.give(dispatcher, a_firing(3, "note", key="other", ordered=True))
        rows = await desk.ended(1)
        assert [row.id for row in rows.values() if row.state == FiringState.DONE] == [a_firing(3).id]
        assert rows[a_firing(2).id].next_attempt == firings.PARKED
        desk.bench.gate.set()
        await desk.ended(3)

    assert [firing_id for firing_id, _ in desk.bench.acts] == [a_firing(1).id, a_firing(2).id]


async def test_a_redriven_firing_does_not_let_two_of_its_key_act_at_once(desk: Desk) -> None:
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, a_firing(1, "note", bad=True, ordered=True))
        await desk.ended(1)
        desk.bench.gate, desk.bench.reached = anyio.Event(), anyio.Event()
        await desk.give(dispatcher, a_firing(2, ordered=True), a_firing(3, ordered=True))
        await desk.bench.reached.wait()
        await desk.store.write(lambda c: redrive(c, a_firing(1).id, datetime.now(UTC)))
        desk.store.signals.notify("firings")
        with anyio.fail_after(10):
            while (await desk.store.read(lambda c: deadletters.count_about(c, a_firing(1).id))) < 2:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert (await desk.row(a_firing(3).id)).next_attempt == firings.PARKED
        desk.bench.gate.set()
        await desk.ended(3)


async def test_a_higher_priority_is_claimed_first(desk: Desk) -> None:
    await desk.add(a_firing(1), a_firing(2, priority=5), a_firing(3, priority=-1), a_firing(4, priority=5))
    async with desk.dispatching(batch=1, held=1, per_trigger=1):
        await desk.ended(4)

    order = [int(firing_id[2:], 16) for firing_id, _ in desk.bench.acts]
    assert sorted(order[:2]) == [2, 4]
    assert order[2:] == [1, 3]


# --- taking back -----------------------------------------------------------------------------------------------------


async def test_what_has_not_acted_is_cancelled_and_told_of(desk: Desk) -> None:
    rows = [a_firing(1, ordered=True), a_firing(2, ordered=True, tracked=True), a_firing(3, ordered=True)]
    desk.bench.gate = anyio.Event()
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, *rows)
        await desk.bench.reached.wait()
        ids = [row.id for row in rows[:2]]
        cancelled = await desk.store.write(lambda c: dispatcher.cancel(c, ids))
        assert cancelled == (rows[1].id,)
        assert (await desk.row(rows[2].id)).next_attempt == firings.PARKED
        desk.bench.gate.set()
        await desk.ended(3)

    assert [firing_id for firing_id, _ in desk.bench.acts] == [rows[0].id, rows[2].id]
    (event,) = await desk.told()
    assert (event.subject, event.data["error"], event.data["run"]) == ("firing.failed", "replaced", None)


async def test_the_run_of_a_firing_that_is_taken_back_is_asked_to_stop(desk: Desk) -> None:
    row = a_firing(1, "argoWorkflow", resource=WORKFLOW, tracked=True)
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, row)
        await desk.ended(1)
        assert await desk.store.write(lambda c: dispatcher.cancel(c, [row.id, row.id, "f-unknown"])) == ()

    (run,) = await desk.store.read(lambda c: runs.of_firings(c, [row.id]))
    assert run.control == "stop"
    assert (await desk.row(row.id)).state == FiringState.DONE


async def test_a_claimed_firing_that_only_writes_is_taken_back_before_it_does(desk: Desk) -> None:
    row = a_firing(1, "note", tracked=True)
    async with desk.dispatching() as dispatcher:
        owned = await desk.store.write(lambda c: dispatcher.enlist(c, [row]))
        assert owned[0].owner == OWNER
        assert await desk.store.write(lambda c: dispatcher.cancel(c, [row.id])) == (row.id,)
        dispatcher.offer(owned)
        with anyio.fail_after(10):
            while dispatcher.held:  # noqa: ASYNC110
                await anyio.sleep(0.01)

    found = await desk.row(row.id)
    assert (found.state, found.result, found.error) == (FiringState.CANCELLED, None, "replaced")


# --- policy.k8s ------------------------------------------------------------------------------------------------------

WAITS = {"k8s": {"labels": {"workflows.argoproj.io/phase": "Succeeded"}, "backoff": {"duration": "1h", "steps": 3}}}


async def end_run(store: Store, firing_id: str, phase: str) -> None:
    def work(connection: Connection) -> None:
        now = datetime.now(UTC)
        runs.claim(connection, "runner", now, now + timedelta(hours=1), 10)
        runs.advance(connection, "runner", firing_id.replace("f-", "r-"), phase=phase, finished=now)
        firings.wake(connection, firing_id, now)

    await store.write(work)
    store.signals.notify("firings")


async def waiting(desk: Desk, firing_id: str) -> FiringRow:
    """The firing, once it waits for its run. A look at the run, in between, has it running for a moment."""
    with anyio.fail_after(10):
        while True:
            row = await desk.row(firing_id)
            if row.error is not None and row.state == FiringState.PENDING:
                return row
            await anyio.sleep(0.01)


@pytest.mark.parametrize("kind", ["argoWorkflow", "k8s"])
async def test_a_firing_is_done_when_its_run_has_the_labels(desk: Desk, kind: str) -> None:
    row = a_firing(1, kind, resource=WORKFLOW, policy=WAITS, tracked=True)
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, row)
        held = await waiting(desk, row.id)
        assert (held.state, held.attempts) == (FiringState.PENDING, 0)
        assert "waits until train-" in (held.error or "")
        await end_run(desk.store, row.id, "Succeeded")
        rows = await desk.ended(1)

    assert (rows[row.id].state, rows[row.id].attempts) == (FiringState.DONE, 1)
    (event,) = await desk.told()
    assert event.data["run"] is None


@pytest.mark.parametrize(("strict", "state"), [(True, FiringState.DEAD), (False, FiringState.DONE)])
async def test_a_run_that_ends_without_the_labels_is_an_error_only_if_asked(
    desk: Desk, strict: bool, state: str
) -> None:
    policy = {"k8s": {**WAITS["k8s"], "errorOnBackoffTimeout": strict}}
    row = a_firing(1, "argoWorkflow", resource=WORKFLOW, policy=policy, dlqTrigger={"kind": "note"})
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, row)
        await waiting(desk, row.id)
        await end_run(desk.store, row.id, "Failed")
        rows = await desk.ended(2 if strict else 1)

    assert rows[row.id].state == state
    assert "no label workflows.argoproj.io/phase=Succeeded" in json.dumps([rows[row.id].error, rows[row.id].result])


# --- manifests -------------------------------------------------------------------------------------------------------


def an_event(n: int) -> Event:
    data = {"notification": [{"s3": {"object": {"key": f"day%3D1/part+{n}.csv"}}}]}
    return Event(id=f"e{n}", source="minio", type="t", subject="put", time=NOW, data=data)


@pytest.mark.parametrize("kind", ["act", "note"])
async def test_the_manifest_is_there_before_the_act(desk: Desk, kind: str) -> None:
    some = [an_event(n) for n in range(1200)]
    seen = [SeenEvent(event, n + 1, NOW) for n, event in enumerate(some)]
    await desk.store.write(lambda c: events.add(c, seen))
    keys = tuple(event.key for event in some)
    action = {"kind": kind, "manifest": "manifests/s/f.ndjson", "retryStrategy": ONCE}
    row = FiringRow("f-1", "s", "t", "", keys, action, NOW)
    path = desk.path / "data" / "manifests" / "s" / "f.ndjson"
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, row)
        rows = await desk.ended(1)

    assert rows["f-1"].state == FiringState.DONE
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["id"] for line in lines] == [event.id for event in some]
    assert lines[7] == {
        "id": "e7",
        "source": "minio",
        "subject": "put",
        "time": lines[7]["time"],
        "key": "day=1/part 7.csv",
        "data": some[7].data,
    }
    assert [one.name for one in path.parent.iterdir()] == ["f.ndjson"]
    assert all("manifest" not in action for _, action in desk.bench.acts)


@pytest.mark.parametrize(
    ("name", "said"),
    [("../out", "lies outside"), ("/etc/passwd", "lies outside"), ("", "lies outside"), ("a\0b", "NUL"),
     ("gone", "not in the store any more")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["act", "note"])
async def test_a_manifest_that_cannot_be_is_a_dead_letter(desk: Desk, kind: str, name: str, said: str) -> None:
    async with desk.dispatching() as dispatcher:
        await desk.give(dispatcher, a_firing(1, kind, manifest=name))
        rows = await desk.ended(1)

    (row,) = rows.values()
    assert row.state == FiringState.DEAD
    assert said in (row.error or "")
    assert desk.bench.acts == []
