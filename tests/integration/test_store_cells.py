"""Cells, their members and timers in a real store; a store that an older Retrain made; decisions that grow old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

import retrain.store
from retrain.store import Store, cells, cursors, decisions, open_store, sensors
from retrain.store.cells import LIVE, PAST, CellRow, Chunk
from retrain.store.decisions import DecisionRow
from retrain.store.schema import HEAD

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def cell(key: str, *, sensor: str = "s", kind: str = "join", part: str = "t", **more: Any) -> CellRow:
    return CellRow(sensor, kind, part, key, '{"v":1}', **more)


async def keep(store: Store, *rows: CellRow, chunks: tuple[Chunk, ...] = ()) -> None:
    await store.write(lambda c: cells.save(c, rows, chunks))


async def test_a_cell_comes_back_as_it_was_and_is_gone_once_removed_with_its_members(store: Store) -> None:
    one = cell("k", due=at(5), members='["m"]', chunked=2)
    await keep(store, one, chunks=(Chunk(one.name, 0, "[1]"), Chunk(one.name, 1, "[2]")))

    assert await store.read(lambda c: cells.get(c, one.name)) == one
    assert await store.read(lambda c: cells.members(c, one.name)) == ["[1]", "[2]"]

    await store.write(lambda c: cells.remove(c, [one.name], [one.name]))
    assert await store.read(lambda c: cells.get(c, one.name)) is None
    assert await store.read(lambda c: cells.members(c, one.name)) == []


async def test_due_cells_come_in_order_of_time_each_timeline_by_itself(store: Store) -> None:
    await keep(
        store,
        cell("late", due=at(9)),
        cell("early", due=at(1)),
        cell("never"),
        cell("past", due=at(0), timeline=PAST),
        cell("still", due=at(0), timeline=None),
    )

    found = await store.read(lambda c: cells.due(c, LIVE, at(9), 10))
    assert [(when, name[3]) for when, name in found] == [(at(1), "early"), (at(9), "late")]
    assert [name[3] for _, name in await store.read(lambda c: cells.due(c, LIVE, at(9), 1))] == ["early"]
    assert await store.read(lambda c: cells.next_due(c, LIVE)) == at(1)
    assert await store.read(lambda c: cells.next_due(c, PAST)) == at(0)

    await store.write(lambda c: cells.set_timeline(c, ["s"], LIVE))
    assert await store.read(lambda c: cells.next_due(c, LIVE)) == at(0)
    assert await store.read(lambda c: cells.next_due(c, PAST)) is None


async def test_the_next_timer_is_found_without_looking_at_every_cell(store: Store) -> None:
    await keep(store, *(cell(f"k{n}", due=at(n)) for n in range(2000)))

    def plan(connection: Any) -> str:
        query = "SELECT sensor FROM sensor_cells WHERE timeline = 0 AND due <= 5 ORDER BY due LIMIT 10"
        lowest = "SELECT min(due) FROM sensor_cells WHERE timeline = 0 AND due IS NOT NULL"
        return " ".join(
            str(row) for one in (query, lowest) for row in connection.execute(text("EXPLAIN QUERY PLAN " + one))
        )

    said = await store.read(plan)
    assert said.count("ix_sensor_cells_due") == 2
    assert "SCAN" not in said
    assert "TEMP B-TREE" not in said


async def test_what_is_set_aside_stands_still_can_be_listed_and_comes_back(store: Store) -> None:
    await keep(store, cell("a", due=at(1)), cell("b", due=at(2)), cell("x", part="u", due=at(3)))
    await keep(store, cell("d", kind="seen", expires=at(9)))

    await store.write(lambda c: cells.retire(c, "s", NOW, parts=[("join", "t")]))
    assert await store.read(lambda c: cells.get(c, ("s", "join", "t", "a"))) is None
    assert await store.read(lambda c: cells.next_due(c, LIVE)) == at(3)
    assert await store.read(cells.counts) == {"s": {"join": 1, "seen": 1}}
    (left,) = await store.read(cells.retired)
    assert (left.sensor, left.part, left.cells, left.since) == ("s", "t", 2, NOW)
    assert await store.read(lambda c: cells.retired_parts(c, "s")) == [("join", "t")]

    await store.write(lambda c: cells.restore(c, "s", LIVE, parts=[("join", "t")]))
    assert await store.read(lambda c: cells.next_due(c, LIVE)) == at(1)
    assert await store.read(cells.retired) == []

    await store.write(lambda c: cells.retire(c, "s", NOW, parts=None))
    assert await store.write(lambda c: cells.forget_retired(c, at(1), 100)) != []
    assert await store.read(cells.counts) == {}


async def test_a_sensors_cells_are_read_page_by_page(store: Store) -> None:
    await keep(store, *(cell(f"k{n:02}") for n in range(25)), cell("z", kind="lane"), cell("o", sensor="other"))
    found: list[str] = []
    after = None
    while page := await store.read(lambda c, a=after: cells.of_sensor(c, "s", after=a, limit=10)):
        found += [row.key for row in page]
        after = (page[-1].kind, page[-1].part, page[-1].key)
    assert found == [f"k{n:02}" for n in range(25)] + ["z"]


async def test_cells_whose_end_has_come_are_deleted_in_pieces(store: Store) -> None:
    await keep(store, *(cell(f"k{n}", kind="seen", expires=at(n)) for n in range(10)))
    assert len(await store.write(lambda c: cells.expire(c, at(6), 4))) == 4
    assert len(await store.write(lambda c: cells.expire(c, at(6), 4))) == 3
    assert await store.write(lambda c: cells.expire(c, at(6), 4)) == []
    assert (await store.read(cells.counts))["s"] == {"seen": 3}


async def test_a_cursor_that_somebody_else_has_moved_stays_where_it_is(store: Store) -> None:
    await store.write(lambda c: cursors.save(c, "r", 5))
    seen = await store.read(lambda c: cursors.place(c, "r"))
    assert seen is not None
    moved = await store.write(lambda c: cursors.move(c, "r", seen, 7, NOW))
    assert moved is not None
    assert (moved.position, moved.now) == (7, NOW)
    assert await store.write(lambda c: cursors.move(c, "r", seen, 9, NOW)) is None
    assert await store.read(lambda c: cursors.place(c, "r")) == moved


def decided(number: int) -> DecisionRow:
    return DecisionRow(f"e{number}", "s", "a", "passed", "", None, at(number))


async def test_old_decisions_go_in_pieces_by_time_and_by_number(store: Store) -> None:
    await store.write(lambda c: decisions.add(c, [decided(n) for n in range(100)]))

    assert await store.write(lambda c: decisions.prune(c, at(30), None, most=20)) == 20
    assert await store.write(lambda c: decisions.prune(c, at(30), None, most=20)) == 10
    assert await store.write(lambda c: decisions.prune(c, at(30), None, most=20)) == 0
    assert await store.write(lambda c: decisions.prune(c, at(0), 50, most=1000)) == 20
    left = await store.read(lambda c: decisions.of_sensor(c, "s", limit=1000))
    assert [row.event_key for row in left] == [f"e{n}" for n in range(99, 49, -1)]


# --- a store that an older Retrain made ------------------------------------------------------------------------------

STATES: dict[str, Any] = {
    "live": {"joined": True, "waiting": {"t": {"a": "e1"}}},
    "behind": {"joined": False, "waiting": {}},
}


def make_old(path: Path) -> None:
    """A store at revision 0001 with rows in the tables that 0002 changes."""
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(Path(retrain.store.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for name, state in STATES.items():
            row = {"name": name, "state": orjson.dumps(state).decode()}
            connection.execute(text("INSERT INTO sensors VALUES (:name, 'd', 7, :state, 1000000)"), row)
        connection.execute(text("INSERT INTO cursors VALUES ('sensors', 9)"))
        values = "(1, 'e1', 's', 'a', 'passed', 'because', NULL, 1000000)"
        connection.execute(text(f"INSERT INTO decisions VALUES {values}"))
        names = "id, sensor, trigger, key, state, action, created, next_attempt"
        connection.execute(text(f"INSERT INTO firings ({names}) VALUES ('f-1', 's', 't', '', 'done', '{{}}', 1, 1)"))
    engine.dispose()


async def test_a_store_of_the_first_revision_is_brought_up_with_all_it_holds(tmp_path: Path) -> None:
    make_old(tmp_path / "store.db")

    async with open_store(tmp_path / "store.db") as store:
        rows = await store.read(sensors.load)
        assert {name: (row.position, row.joined, row.state) for name, row in rows.items()} == {
            name: (7, int(state["joined"]), state) for name, state in STATES.items()
        }
        place = await store.read(lambda c: cursors.place(c, "sensors"))
        assert place is not None
        assert (place.position, place.now, place.version) == (9, None, 0)
        (decision,) = await store.read(lambda c: decisions.of_event(c, "e1"))
        assert (decision.reason, decision.trigger, decision.key) == ("because", None, "")
        tracked = await store.read(lambda c: c.execute(text("SELECT tracked, priority, ordered FROM firings")).one())
        assert tuple(tracked) == (0, 0, 0)
        timer = DecisionRow(None, "s", None, "expired", "", None, NOW, "t", "k")
        await store.write(lambda c: decisions.add(c, [timer]))


async def test_the_second_revision_can_be_taken_back(tmp_path: Path) -> None:
    make_old(tmp_path / "store.db")
    async with open_store(tmp_path / "store.db"):
        pass
    engine = create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(retrain.store.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        assert connection.execute(text("SELECT count(*) FROM sensors")).scalar() == 2
        assert connection.execute(text("SELECT count(*) FROM decisions")).scalar() == 1
    engine.dispose()
    async with open_store(tmp_path / "store.db") as store:
        assert await store.read(lambda c: c.execute(text("SELECT version_num FROM alembic_version")).scalar()) == HEAD
