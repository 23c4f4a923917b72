"""The store's promises: writes are whole, ordered and durable; writers never collide; old programs keep off."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Connection, create_engine

from retrain.errors import ConfigError, Transient
from retrain.events import Event
from retrain.store import cursors, events, firings, open_store, runs
from retrain.store.firings import FiringRow, FiringState, Settled
from retrain.store.runs import RunRow
from retrain.store.schema import HEAD
from retrain.store.tables import metadata

NOW = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)


def _event(number: int) -> events.SeenEvent:
    return events.SeenEvent(Event(id=str(number), source="s", type="t"), number, NOW)


def _firing(number: int) -> FiringRow:
    return FiringRow(f"f-{number}", "s", "t", "", (f"e{number}", "e0"), {"kind": "log"}, NOW)


async def test_a_write_that_was_awaited_is_seen_by_the_next_read(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.db") as store:
        await store.write(lambda c: cursors.save(c, "sensors", 7))

        assert await store.read(lambda c: cursors.load(c, "sensors")) == 7


async def test_an_error_in_one_write_undoes_only_that_one(tmp_path: Path) -> None:
    def broken(connection: Connection) -> None:
        cursors.save(connection, "broken", 1)
        raise ValueError("no")

    async with open_store(tmp_path / "store.db") as store:
        errors: list[Exception] = []

        async def write(work: object) -> None:
            try:
                await store.write(work)  # type: ignore[arg-type]
            except ValueError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(write, lambda c, n=number: cursors.save(c, f"good{n}", n))
                group.start_soon(write, broken)

        kept = [await store.read(lambda c, n=n: cursors.load(c, f"good{n}")) for n in range(20)]
        assert kept == list(range(20))
        assert len(errors) == 20
        assert await store.read(lambda c: cursors.load(c, "broken")) is None


async def test_an_event_is_kept_once_and_found_by_key_id_and_ref(tmp_path: Path) -> None:
    event = Event(id="x", source="s", type="t", data={"a": 1}, extensions={"retrainobject": "s3://b/d/k"})
    seen = events.SeenEvent(event, 3, NOW)
    async with open_store(tmp_path / "store.db") as store:
        await store.write(lambda c: events.add(c, [seen]))
        await store.write(lambda c: events.add(c, [events.SeenEvent(seen.event, 9, NOW)]))

        key = seen.event.key
        assert await store.read(lambda c: events.positions(c, [key])) == {key: 3}
        for name in (key, "x", "s3://b/d/k", "d/k"):
            assert await store.read(lambda c, n=name: events.find(c, n)) == [key]
        assert await store.read(lambda c: events.get_many(c, [key, "nobody"])) == {key: seen.event}


async def test_lists_are_read_page_by_page_newest_first(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.db") as store:
        await store.write(lambda c: events.add(c, [_event(n) for n in range(1, 6)]))
        await store.write(lambda c: firings.add(c, [_firing(n) for n in range(5)]))

        first = await store.read(lambda c: events.listing(c, events.EventFilter(), limit=3))
        rest = await store.read(lambda c: events.listing(c, events.EventFilter(), cursor=first.next, limit=3))
        assert [one.position for one in (*first.items, *rest.items)] == [5, 4, 3, 2, 1]
        assert rest.next is None

        page = await store.read(lambda c: firings.listing(c, firings.FiringFilter(), limit=4))
        last = await store.read(lambda c: firings.listing(c, firings.FiringFilter(), cursor=page.next))
        assert [one.id for one in (*page.items, *last.items)] == ["f-4", "f-3", "f-2", "f-1", "f-0"]
        assert page.items[0].events == ("e4", "e0")
        with pytest.raises(ConfigError, match="cursor 'x' is none that a list gave"):
            await store.read(lambda c: firings.listing(c, firings.FiringFilter(), cursor="x"))


async def test_a_firing_is_claimed_by_one_until_its_lease_runs_out(tmp_path: Path) -> None:
    later = NOW.replace(minute=20)
    async with open_store(tmp_path / "store.db") as store:
        await store.write(lambda c: firings.add(c, [_firing(1)]))

        mine = await store.write(lambda c: firings.claim(c, "me", NOW, later))
        none = await store.write(lambda c: firings.claim(c, "you", NOW, later))
        yours = await store.write(lambda c: firings.claim(c, "you", later.replace(minute=21), later))
        late = Settled("f-1", FiringState.DONE, 1)
        await store.write(lambda c: firings.settle(c, "me", [late]))

        assert [one.id for one in mine] == ["f-1"]
        assert none == []
        assert [one.id for one in yours] == ["f-1"]
        row = await store.read(lambda c: firings.get(c, "f-1"))
        assert row is not None
        assert row.state == FiringState.RUNNING  # the one whose lease was over had no say any more


async def test_a_run_is_submitted_once_for_a_firing(tmp_path: Path) -> None:
    row = RunRow("r-1", "digits-abc", "digits", {"kind": "Workflow"}, {}, NOW, firing_id="f-1")
    async with open_store(tmp_path / "store.db") as store:
        assert await store.write(lambda c: runs.submit(c, [row])) == 1
        assert await store.write(lambda c: runs.submit(c, [row])) == 0
        assert await store.write(lambda c: runs.advance(c, "me", "r-1", phase="Running")) is False

        (claimed,) = await store.write(lambda c: runs.claim(c, "me", NOW, NOW.replace(minute=16), 5))
        assert claimed.id == "r-1"
        assert await store.write(lambda c: runs.advance(c, "me", "r-1", phase="Succeeded", finished=NOW)) is True
        assert await store.write(lambda c: runs.advance(c, "me", "r-1", phase="Failed")) is False


WRITER = """
import sys, anyio
from pathlib import Path
from retrain.store import cursors, open_store

async def main(path, name):
    async with open_store(Path(path)) as store:
        for number in range(1, 101):
            await store.write(lambda c: cursors.save(c, name, number))

anyio.run(main, *sys.argv[1:])
"""


async def test_eight_processes_write_at_once_and_none_is_locked_out(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, f"w{n}"], stderr=subprocess.PIPE)  # noqa: ASYNC220
        for n in range(8)
    ]
    failures = [writer.communicate()[1].decode() for writer in writers]

    assert [writer.returncode for writer in writers] == [0] * 8, failures
    async with open_store(path) as store:
        assert [await store.read(lambda c, n=n: cursors.load(c, f"w{n}")) for n in range(8)] == [100] * 8


async def test_an_older_program_refuses_a_newer_store_by_name(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with open_store(path) as store:
        await store.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(ConfigError, match=f"schema is revision 9999, and this Retrain knows up to {HEAD}"):
        async with open_store(path):
            pass


async def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("these are my notes, please keep them" * 100)

    with pytest.raises(ConfigError, match="is not a Retrain store"):
        async with open_store(path):
            pass
    assert path.read_text().startswith("these are my notes")


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.db") as store:
        pass
    with pytest.raises(Transient, match="closed"):
        await store.write(lambda c: cursors.save(c, "x", 1))


async def test_the_migrations_make_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    import retrain.store

    path = tmp_path / "store.db"
    async with open_store(path):
        pass
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        # Alembic cannot compare an index that runs downwards; that it is there is seen below.
        skip = {"ix_locks_queue"}
        opts = {"compare_type": False, "include_object": lambda _o, name, *_rest: name not in skip}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []
        there = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'index'").scalars()
        assert skip <= set(there)
    engine.dispose()

    config = Config()
    config.set_main_option("script_location", str(Path(retrain.store.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]
