"""The dispatcher and kinds that only write to the store: exactly once, many in one transaction."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Connection, func, select

from retrain.errors import Permanent
from retrain.events import JsonValue
from retrain.store import Store, checkpoints, deadletters, firings, open_store
from retrain.store.firings import FiringRow, FiringState
from retrain.store.tables import checkpoints as table
from triggers import Dispatcher, DispatchSettings, Firing, StoreTrigger, Tools

pytestmark = pytest.mark.integration

OWNER = "me"


class Note:
    """A third party's kind: writes one row, then refuses if it is told to."""

    topic = "notes"

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue:
        checkpoints.save(connection, "notes", {firing.id: now.isoformat()})
        if firing.action.get("bad"):
            raise Permanent("not this one")
        if firing.action.get("buggy"):
            raise KeyError("oh")
        return {"noted": firing.id}


@asynccontextmanager
async def open_note(_tools: Tools) -> AsyncGenerator[StoreTrigger]:
    yield Note()


@asynccontextmanager
async def dispatching(path: Path, settings: DispatchSettings | None = None) -> AsyncIterator[tuple[Store, Dispatcher]]:
    async with open_store(path / "store.db") as store:
        dispatcher = Dispatcher(store, OWNER, {"note": open_note}, settings=settings)
        async with anyio.create_task_group() as group:
            await group.start(dispatcher.run)
            yield store, dispatcher
            group.cancel_scope.cancel()


def a_firing(n: int, **action: JsonValue) -> FiringRow:
    body = {"kind": "note"} | action
    return FiringRow(f"f-{n:020x}", "s", "note", "", (f"{n:032x}",), body, datetime.now(UTC))


def notes(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


async def all_ended(store: Store, count: int) -> dict[str, int]:
    with anyio.fail_after(30):
        while True:
            counts = await store.read(firings.counts)
            if counts.get("done", 0) + counts.get("dead", 0) >= count:
                return counts
            await anyio.sleep(0.01)


async def test_a_thousand_firings_that_come_at_once_are_all_written_down_once(tmp_path: Path) -> None:
    async with dispatching(tmp_path) as (store, dispatcher):
        rows = [a_firing(n) for n in range(1000)]
        dispatcher.offer(await store.write(lambda c: dispatcher.enlist(c, rows)))

        counts = await all_ended(store, 1000)

        assert counts == {"done": 1000}
        assert await store.read(notes) == 1000
        assert await store.signals.wait("notes", 0)


async def test_what_a_refused_firing_wrote_is_undone_and_the_others_stand(tmp_path: Path) -> None:
    async with dispatching(tmp_path) as (store, dispatcher):
        buggy = a_firing(4, buggy=True, retryStrategy={"steps": 1})
        rows = [a_firing(1), a_firing(2, bad=True), a_firing(3), buggy]
        dispatcher.offer(await store.write(lambda c: dispatcher.enlist(c, rows)))

        counts = await all_ended(store, 4)

        assert counts == {"done": 2, "dead": 2}
        assert await store.read(notes) == 2
        reasons = {letter.reason for letter in (await store.read(deadletters.listing)).items}
        assert reasons == {"not this one", "KeyError in the trigger's code (attempt 1 of 1)"}


async def test_a_firing_of_a_dead_process_waits_for_its_lease_and_our_own_does_not(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.db") as store:
        now = datetime.now(UTC)
        states = {"owner": "other", "lease_until": now + timedelta(hours=1)}
        theirs = FiringRow(**{**_fields(a_firing(1)), "state": FiringState.RUNNING, **states})
        expired = FiringRow(**{**_fields(a_firing(2)), **states, "lease_until": now - timedelta(seconds=1)})
        ours = FiringRow(**{**_fields(a_firing(3)), **states, "owner": OWNER})
        await store.write(lambda c: firings.add(c, [theirs, expired, ours]))

    async with dispatching(tmp_path) as (store, _):
        await all_ended(store, 2)
        left = await store.read(lambda c: firings.get(c, theirs.id))

    assert left is not None
    assert (left.state, left.owner) == ("running", "other")


async def test_what_this_process_holds_stays_its_own_for_longer_than_a_lease(tmp_path: Path) -> None:
    """A second process on the same store must not act on what the first one still works on."""
    gate = anyio.Event()
    seen: list[str] = []

    class Slow:
        async def fire(self, firing: Firing, attempt: int) -> JsonValue:
            seen.append(firing.id)
            await gate.wait()
            return None

    @asynccontextmanager
    async def open_slow(_tools: Tools) -> AsyncGenerator[Slow]:
        yield Slow()

    settings = DispatchSettings(lease_s=6, poll_s=0.05)  # a busy machine renews it late
    async with open_store(tmp_path / "store.db") as store, anyio.create_task_group() as group:
        first, second = (Dispatcher(store, name, {"slow": open_slow}, settings=settings) for name in ("a", "b"))
        await group.start(first.run)
        row = FiringRow(**{**_fields(a_firing(1)), "action": {"kind": "slow"}})
        first.offer(await store.write(lambda c: first.enlist(c, [row])))
        await group.start(second.run)

        with anyio.fail_after(60):  # it holds the firing for longer than it once said
            first_end = await _lease_end(store, row.id)
            while await _lease_end(store, row.id) < first_end + timedelta(seconds=settings.lease_s):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        gate.set()
        await all_ended(store, 1)
        group.cancel_scope.cancel()

    assert seen == [row.id]


async def _lease_end(store: Store, firing: str) -> datetime:
    found = await store.read(lambda c: firings.get(c, firing))
    assert found is not None
    assert found.lease_until is not None, "nobody holds it"
    return found.lease_until


def _fields(row: FiringRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in FiringRow.__dataclass_fields__}
