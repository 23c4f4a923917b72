"""What is old goes, what led to a promotion stays whole, and nothing is left that refers to nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, text

from pipelines.artifacts.opening import open_artifacts
from pipelines.host.retention import Keep as RunsKept
from pipelines.host.retention import Retention
from retrain.app.keeping.keeping import Keep, Keeping
from retrain.app.looking.trace import trace
from retrain.clock import FakeClock
from retrain.errors import Refused
from retrain.events import Event
from retrain.store import Store, cells, deadletters, decisions, events, firings, open_store, promotions, runs
from retrain.store.cells import CellRow
from retrain.store.deadletters import DeadLetter
from retrain.store.decisions import DecisionRow
from retrain.store.firings import FiringRow, FiringState
from retrain.store.forgetting import pages
from retrain.store.promotions import PromotionRow
from retrain.store.runs import RunRow
from retrain.store.tables import event_refs, firing_events, to_microseconds
from retrain.store.tables import events as event_table
from retrain.store.tables import firings as firing_table
from retrain.store.tables import promotions as promotion_table
from retrain.store.tables import runs as run_table

NOW = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
OLD = NOW - timedelta(days=400)
KEEP = Keep()

DANGLING = (
    "SELECT count(*) FROM firing_events f WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.key = f.event_key)",
    "SELECT count(*) FROM firing_events f WHERE NOT EXISTS (SELECT 1 FROM firings g WHERE g.id = f.firing_id)",
    "SELECT count(*) FROM event_refs r WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.key = r.event_key)",
    "SELECT count(*) FROM decisions d WHERE event_key IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM events e WHERE e.key = d.event_key)",
    "SELECT count(*) FROM runs r WHERE firing_id IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM firings f WHERE f.id = r.firing_id)",
    "SELECT count(*) FROM promotions p WHERE firing_id IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM firings f WHERE f.id = p.firing_id)",
    "SELECT count(*) FROM promotions p WHERE run_id IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = p.run_id)",
    "SELECT count(*) FROM nodes n WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = n.run_id)",
)


@dataclass
class History:
    """What happened, in order; each thing a bit later than the one before. Picks name earlier things."""

    at: datetime
    events: list[str] = field(default_factory=list)
    firings: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    promotions: list[str] = field(default_factory=list)
    number: int = 0

    def name(self, kind: str) -> str:
        self.number += 1
        return f"{kind}-{self.number}"

    def event(self, connection: Connection, cause: str | None = None) -> str:
        extensions: dict[str, Any] = {"retrainobject": f"s3://lake/{self.number}"}
        if cause is not None:
            extensions["retraincause"] = cause
        event = Event(id=self.name("e"), source="s", type="t", extensions=extensions)
        events.add(connection, [events.SeenEvent(event, self.number, self.at)])
        decisions.add(connection, [DecisionRow(event.key, "s", "d", "passed", "", None, self.at)])
        self.events.append(event.key)
        return event.key

    def fire(self, connection: Connection, keys: list[str], state: FiringState = FiringState.DONE) -> str:
        row = FiringRow(self.name("f"), "s", "t", "", tuple(dict.fromkeys(keys)), {}, self.at, state=state)
        firings.add(connection, [row])
        self.firings.append(row.id)
        return row.id

    def run(self, connection: Connection, firing: str | None, parent: str | None = None, over: bool = True) -> str:
        id_ = self.name("r")
        phase, finished = ("Succeeded", self.at) if over else ("Running", None)
        row = RunRow(id_, id_, "w", {}, {}, self.at, firing_id=firing, phase=phase, parent=parent, finished=finished)
        if runs.submit(connection, [row]):  # a firing has one run at most
            runs.save_nodes(connection, id_, {"n": {"phase": phase}})
            self.runs.append(id_)
        return id_

    def promote(self, connection: Connection, firing: str, run: str | None) -> str:
        id_ = self.name("p")
        row = PromotionRow(id_, id_, "m", "prod", {}, self.at, self.at, self.at, "committed", firing_id=firing)
        promotions.propose(connection, row)
        if run is not None:
            words = {"run": run, "id": id_}
            connection.execute(text("UPDATE promotions SET run_id = :run WHERE id = :id"), words)
        self.promotions.append(id_)
        return id_


def ancestors(connection: Connection, promotion: str) -> set[tuple[str, str]]:
    """All that led to a promotion, looked up from below: the other way round than `lineage` does it."""
    row = connection.execute(select(promotion_table).where(promotion_table.c.id == promotion)).one()
    found: set[tuple[str, str]] = set()
    todo = [("firing", row.firing_id), ("run", row.run_id)]
    while todo:
        kind, id_ = todo.pop()
        if id_ is None or (kind, id_) in found:
            continue
        found.add((kind, id_))
        if kind == "firing":
            query = select(firing_events.c.event_key).where(firing_events.c.firing_id == id_)
            todo += [("event", key) for key in connection.execute(query).scalars()]
        elif kind == "event":
            cause = connection.execute(select(event_table.c.cause).where(event_table.c.key == id_)).scalar()
            todo += [({"f": "firing", "r": "run"}[cause[0]], cause)] if cause and cause[0] in "fr" else []
        else:
            run = connection.execute(select(run_table).where(run_table.c.id == id_)).one()
            word, _, key = (run.parent or "").partition("/")
            todo += [("firing", run.firing_id), ({"Event": "event", "Workflow": "run"}.get(word, "run"), key or None)]
    return found


def there(connection: Connection, thing: tuple[str, str]) -> bool:
    table, column = {
        "event": (event_table, event_table.c.key),
        "firing": (firing_table, firing_table.c.id),
        "run": (run_table, run_table.c.id),
    }[thing[0]]
    return connection.execute(select(func.count()).select_from(table).where(column == thing[1])).scalar_one() == 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["event", "event", "told", "fire", "fire", "run", "bound", "child", "promote"]),
        st.integers(0, 9),
        st.integers(0, 9),
        st.integers(0, 20),
        st.booleans(),
    ),
    min_size=5,
    max_size=60,
)


def happen(connection: Connection, steps: list[tuple[str, int, int, int, bool]]) -> History:
    """Let it all happen; picks count from the newest, so that chains grow long."""
    past = History(NOW - timedelta(days=600))

    def pick(things: list[str], back: int) -> str | None:
        return things[-1 - back % len(things)] if things else None

    for kind, one, two, days, over in steps:
        past.at = min(NOW, past.at + timedelta(days=days))
        event, firing, run = pick(past.events, one), pick(past.firings, one), pick(past.runs, one)
        if kind == "event":
            past.event(connection)
        elif kind == "told":
            past.event(connection, run if over else firing)
        elif kind == "fire" and event:
            second = pick(past.events, two)
            past.fire(connection, [event, second or event], FiringState.DONE if over else FiringState.PENDING)
        elif kind == "run" and firing:
            past.run(connection, None if one % 3 == 0 else firing, over=over)
        elif kind == "bound" and event:
            past.run(connection, None, f"Event/{event}")
        elif kind == "child" and run:
            past.run(connection, None, f"Workflow/{run}", over=over)
        elif kind == "promote" and firing:
            past.promote(connection, firing, pick(past.runs, two) if over else None)
    return past


def keepers(store: Store, folder: Path, clock: FakeClock, keep: Keep = KEEP) -> tuple[Keeping, Retention]:
    artifacts = open_artifacts(folder / "data", {})
    kept = RunsKept(runs=timedelta(days=90))
    return Keeping(store, clock, keep, rest=0.0), Retention(store, clock, folder / "data", artifacts, kept)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that is migrated, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "store.db"

    async def make() -> None:
        async with open_store(path):
            pass

    anyio.run(make)
    return path


@pytest.mark.slow
@settings(max_examples=15, phases=(Phase.generate,), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_no_chain_of_a_promotion_is_cut_and_nothing_dangles(
    steps: list[tuple[str, int, int, int, bool]], empty: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    shutil.copy(empty, folder / "store.db")

    async def check() -> None:
        async with open_store(folder / "store.db") as store:
            past = await store.write(lambda c: happen(c, steps))
            needed = await store.read(lambda c: {one: ancestors(c, one) for one in past.promotions})
            keeping, retention = keepers(store, folder, FakeClock(NOW))
            for _ in range(3):
                await retention.look()
                await keeping.round()

            def look(connection: Connection) -> None:
                for things in needed.values():
                    assert all(there(connection, thing) for thing in things)
                for query in DANGLING:
                    assert connection.execute(text(query)).scalar_one() == 0, query
                _check_gone(connection, set().union(*needed.values()))

            await store.read(look)

    anyio.run(check)
    shutil.rmtree(folder)


def _check_gone(connection: Connection, needed: set[tuple[str, str]]) -> None:
    """Old things that are over are there only where something needs them or refers to them."""
    over = (run_table.c.phase == "Succeeded", run_table.c.finished < NOW - timedelta(days=90))
    assert {("run", one) for one in connection.execute(select(run_table.c.id).where(*over)).scalars()} <= needed
    old = (event_table.c.received < NOW - timedelta(days=365),)
    used = set(connection.execute(select(firing_events.c.event_key)).scalars())
    used |= {one.partition("/")[2] for one in connection.execute(select(run_table.c.parent)).scalars() if one}
    assert set(connection.execute(select(event_table.c.key).where(*old)).scalars()) <= used


async def test_the_trace_of_a_promotion_is_the_same_after_years(tmp_path: Path) -> None:
    def live(connection: Connection) -> str:
        past = History(OLD)
        object_ = past.event(connection)
        etl = past.run(connection, past.fire(connection, [object_]))
        train = past.run(connection, past.fire(connection, [past.event(connection, etl)]))
        return past.promote(connection, past.fire(connection, [past.event(connection, train)]), train)

    async with open_store(tmp_path / "store.db") as store:
        promotion = await store.write(live)
        before = await store.read(lambda c: trace(c, promotion).to_json())
        keeping, retention = keepers(store, tmp_path, FakeClock(NOW))

        assert await retention.look() == 0
        assert not any((await keeping.round()).values())
        assert await store.read(lambda c: trace(c, promotion).to_json()) == before
        kinds = [node["kind"] for node in before["nodes"]]
        assert (kinds.count("run"), kinds.count("firing"), kinds.count("object")) == (2, 3, 3)


async def test_a_run_that_led_to_a_promotion_is_not_deleted_by_its_own_time_to_live_nor_by_hand(tmp_path: Path) -> None:
    def chain(connection: Connection) -> str:
        past = History(NOW - timedelta(days=1))
        first = past.run(connection, past.fire(connection, [past.event(connection)]))
        second = past.fire(connection, [past.event(connection, first)])
        past.promote(connection, second, None)
        runs.let_expire(connection, first, NOW - timedelta(hours=1))
        return first

    async with open_store(tmp_path / "store.db") as store:
        run = await store.write(chain)
        _, retention = keepers(store, tmp_path, FakeClock(NOW))

        assert await retention.look() == 0
        row = await store.read(lambda c: runs.get(c, run))
        assert row is not None
        with pytest.raises(Refused, match="a promotion came of it"):
            await retention.delete(row)


async def test_events_that_a_window_still_waits_with_stay(tmp_path: Path) -> None:
    def waiting(connection: Connection) -> list[str]:
        past = History(OLD)
        keys = [past.event(connection) for _ in range(4)]
        stamp = to_microseconds(OLD)
        near, far = f'[["d","{keys[0]}",{stamp},null,0]]', f'[["d","{keys[1]}",{stamp},null,0]]'
        rows = [
            CellRow("s", "join", "t", "k", '{"v":1}', members=near, chunked=1),
            CellRow("s", "silence", "d", "", f'{{"v":1,"last":"{keys[2]}","since":1,"due":null}}'),
        ]
        cells.save(connection, rows, [cells.Chunk(("s", "join", "t", "k"), 0, far)])
        return keys

    async with open_store(tmp_path / "store.db") as store:
        keys = await store.write(waiting)
        keeping, _ = keepers(store, tmp_path, FakeClock(NOW))
        gone = await keeping.round()

        assert gone["events"] == 1
        left = await store.read(lambda c: set(c.execute(select(event_table.c.key)).scalars()))
        assert left == set(keys[:3])


async def test_a_firing_that_died_stays_with_its_letter(tmp_path: Path) -> None:
    def died(connection: Connection) -> None:
        past = History(OLD)
        firing = past.fire(connection, [past.event(connection)], FiringState.DEAD)
        letter = DeadLetter(f"d-{firing.removeprefix('f-')}-1a", "firing", "s/t", "no", b"{}", OLD)
        deadletters.add(connection, [letter])

    async with open_store(tmp_path / "store.db") as store:
        await store.write(died)
        clock = FakeClock(NOW)
        forever, _ = keepers(store, tmp_path, clock, Keep(deadletters=None))
        a_year, _ = keepers(store, tmp_path, clock)

        assert not any((await forever.round()).values())
        gone = await a_year.round()
        assert (gone["deadletters"], gone["firings"], gone["events"]) == (1, 1, 1)


async def test_room_goes_back_to_the_file_system(tmp_path: Path) -> None:
    def many(connection: Connection) -> None:
        seen = [
            events.SeenEvent(Event(id=str(n), source="s", type="t", data="x" * 300), n, OLD) for n in range(1, 4001)
        ]
        events.add(connection, seen)

    async with open_store(tmp_path / "store.db") as store:
        await store.write(many)
        before = await store.read(pages)
        keeping, _ = keepers(store, tmp_path, FakeClock(NOW))
        gone = await keeping.round()
        after = await store.read(pages)

        assert gone["events"] == 4000
        assert gone["pages"] > 0
        assert before.shrinks
        assert after.all < before.all / 2
        assert await store.read(lambda c: c.execute(select(func.count()).select_from(event_refs)).scalar_one()) == 0


async def test_what_is_set_to_for_ever_stays(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.db") as store:
        await store.write(lambda c: History(OLD).event(c))
        keeping, _ = keepers(store, tmp_path, FakeClock(NOW), Keep(None, None, None, None, None))

        assert not any((await keeping.round()).values())
        assert await store.read(partial(events.count)) == 1
