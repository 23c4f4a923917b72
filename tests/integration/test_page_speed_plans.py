"""No view and no answer walks through a table that grows: every query that any of them asks, by SQLite's own plan.

What each may ask for is what `bench.page` measures on a million events; here a small store has the same tables.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, event, literal, select

from bench.filling import Names, fill
from bench.views import paths
from retrain.app.looking import queries
from retrain.app.sensing.answers import decisions_page
from retrain.store import events, firings, open_store, run_search
from retrain.store.database import reading
from retrain.store.decisions import DecisionFilter
from retrain.store.events import EventFilter
from retrain.store.firings import FiringFilter
from retrain.store.run_search import RunSearch
from retrain.store.windows import begins
from tests.integration.page_house import House, house

GROWING = (
    *("events", "event_refs", "decisions", "firings", "firing_events", "runs", "nodes", "run_edges"),
    *("approvals", "deadletters", "audit", "sensor_cells", "sensor_members"),
)
"""Promotions are not among them: people look at each, and a thousand are read in milliseconds."""
SCAN = re.compile(r"SCAN (\w+)(.*)")
COUNTED = {"/metrics"}
"""Counts of everything, which a scraper asks for twice a minute and nobody waits for."""
ELSEWHERE = (
    "a log",
    "crons",
    "a sensor",
    "a source",
    "two runs compared",
    "what a run",
    "a run again",
    "a model",
    "health",
)
"""What needs a platform that works: it is asked for below it."""
Asked = dict[str, tuple[str, Any]]


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[House, Names]]:
    place: Path = tmp_path_factory.mktemp("full")

    def make() -> Names:
        return fill(place / "store.db", 3000, 400, 60, 90, 3000)

    names = await anyio.to_thread.run_sync(make)
    async with house(place) as home:
        yield home, names


@contextmanager
def listened() -> Generator[Asked]:
    """All that is asked of the database meanwhile."""
    asked: Asked = {}

    def hear(_connection: Any, _cursor: Any, statement: str, words: Any, *_rest: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            asked[statement] = (statement, words)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def walks(plan: Sequence[str], statement: str) -> list[str]:
    """The steps of a plan that go through all of a table that grows.

    One that goes along an index in the order that is asked for, and ends at a bound, does not.
    """
    bounded = "LIMIT" in statement and not any("USE TEMP B-TREE FOR ORDER BY" in step for step in plan)
    found: list[str] = []
    for step in plan:
        scan = SCAN.match(step)
        if scan and scan[1] in GROWING and not ("USING" in scan[2] and bounded):
            found.append(step)
    return found


async def wrong(home: House, asked: Asked) -> list[str]:
    def look(connection: Connection) -> list[str]:
        found: list[str] = []
        for statement, words in asked.values():
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", words)
            plan = [str(row[3]) for row in rows]
            found += [f"{step}: {statement} {words}"[:1500] for step in walks(plan, statement)]
        return found

    return await home.store.read(look)


async def asked_by_all(home: House, names: Names) -> dict[str, Asked]:
    found: dict[str, Asked] = {}
    async with home.visitor() as client:
        for what, path in paths(names).items():
            if what in COUNTED:
                continue
            with listened() as asked:
                answer = await client.get(path)
            assert answer.status_code in {200, 303} or _elsewhere(what), f"{path}: {answer.status_code} {answer.text}"
            found[what] = asked
    with listened() as asked:
        await _sensor(home)
    return {**found, "a sensor": asked}


def _elsewhere(what: str) -> bool:
    return what.removeprefix("/ui/").removeprefix("/api/v1/").startswith(ELSEWHERE)


async def _sensor(home: House) -> None:
    for which in (
        DecisionFilter(),
        DecisionFilter("error"),
        DecisionFilter(key="nothing"),
        DecisionFilter("error", before=99),
    ):
        await home.services.ask(decisions_page, "train-1", which, None, 50)
    await home.services.ask(queries.sensor_memory, "train-1")


async def test_no_view_walks_through_a_table_that_grows(world: tuple[House, Names]) -> None:
    home, names = world
    problems: dict[str, list[str]] = {}
    for what, asked in (await asked_by_all(home, names)).items():
        for problem in await wrong(home, asked):
            problems.setdefault(problem, []).append(what)

    assert not problems, "\n".join(f"{views[:3]}: {one}" for one, views in problems.items())


async def test_statistics_change_no_list_s_way(world: tuple[House, Names]) -> None:
    """Who has run ANALYZE, on a store that was small then, is as well off."""
    home, names = world
    await home.store.write(lambda c: c.exec_driver_sql("ANALYZE"))

    problems = [one for asked in (await asked_by_all(home, names)).values() for one in await wrong(home, asked)]

    assert not problems, "\n".join(sorted(set(problems)))


def test_all_pages_together_are_the_whole_list_whatever_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that stops at its bound and goes on behind it finds each once, newest first."""
    fill(tmp_path / "store.db", 2000, 300, 20, 20, 2000)
    monkeypatch.setattr(events, "LOOKED_AT", 37)
    monkeypatch.setattr(events, "READ", 23)
    monkeypatch.setattr(events, "DECIDED", 41)
    monkeypatch.setattr(run_search, "LOOKED_AT", 19)
    monkeypatch.setattr(run_search, "READ", 17)
    with reading(tmp_path / "store.db") as connection:
        for which in (
            EventFilter(type="dev.retrain.webhook.1"),
            EventFilter(text="orders-0"),
            EventFilter(outcome="error"),
            EventFilter(source="lake-0", type="com.amazonaws.s3.objectcreated.put"),
            EventFilter(source="lake-0"),
            EventFilter(subject="orders-0"),
            EventFilter(source="lake-0", subject="orders-0", text="r"),
        ):
            assert _all_events(connection, which) == _expected(connection, which)
        for search in (RunSearch(words=("model-3",)), RunSearch(phases=("Failed", "Error")), RunSearch(prefix="o")):
            assert _all_runs(connection, search) == _expected_runs(connection, search)


def _all_events(connection: Connection, which: EventFilter) -> list[int]:
    found: list[int] = []
    cursor: str | None = None
    while True:
        page = events.listing(connection, which, cursor=cursor, limit=7)
        found += [one.position for one in page.items]
        if page.next is None:
            return found
        assert page.searched is None or len(page.items) < 7
        cursor = page.next


def _expected(connection: Connection, which: EventFilter) -> list[int]:
    terms = [f"{name} = :{name}" for name in ("source", "subject", "type") if getattr(which, name)]
    if which.text:
        terms.append("body LIKE '%' || :text || '%'")
    if which.outcome:
        terms.append("key IN (SELECT event_key FROM decisions WHERE outcome = :outcome)")
    query = f"SELECT position FROM events WHERE {' AND '.join(terms)} ORDER BY position DESC"
    words = {name: value for name, value in asdict(which).items() if value is not None}
    return [row[0] for row in connection.exec_driver_sql(query, words)]


def _all_runs(connection: Connection, which: RunSearch) -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = run_search.search(connection, which, cursor=cursor, limit=7)
        found += [one.id for one in page.items]
        if page.next is None:
            return found
        cursor = page.next


def _expected_runs(connection: Connection, which: RunSearch) -> list[str]:
    text = which.words[0] if which.words else ""
    phases = ",".join(f"'{one}'" for one in which.phases or ("Succeeded", "Failed", "Error", "Running"))
    query = (
        f"SELECT id FROM runs WHERE (labels LIKE '%{text}%' OR manifest LIKE '%{text}%') AND phase IN ({phases}) "
        f"AND substr(name, 1, 1) = '{which.prefix or 'x'}' ORDER BY created DESC, id DESC"
    )
    if which.prefix is None:
        query = query.replace("AND substr(name, 1, 1) = 'x' ", "")
    return [row[0] for row in connection.exec_driver_sql(query)]


@given(prefix=st.text(min_size=1, max_size=4), texts=st.lists(st.text(max_size=6), max_size=8))
def test_a_beginning_is_a_range(prefix: str, texts: list[str]) -> None:
    """All that begins so lies in it; and nothing else, but behind the letters after which Unicode has surrogates."""
    for one in (*texts, *(prefix + one for one in texts)):
        query = select(begins(literal(one), prefix))
        found = bool(MEMORY.execute(query).scalar())
        assert found or not one.startswith(prefix)
        assert not found or one.startswith(prefix) or ord(prefix[-1]) >= 0xD7FF


async def test_many_of_one_moment_are_walked_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound among rows of the same time neither loses one nor stays where it is."""
    monkeypatch.setattr(firings, "LOOKED_AT", 5)
    now = datetime(2026, 11, 20, tzinfo=UTC)
    async with open_store(tmp_path / "store.db") as store:
        rows = [firings.FiringRow(f"f-{n:03}", "s", "t", "a" if n % 9 else "b", (), {}, now) for n in range(60)]
        await store.write(lambda c: firings.add(c, rows))
        found: list[str] = []
        cursor: str | None = None
        for _ in range(100):
            page = await store.read(lambda c, at=cursor: firings.listing(c, FiringFilter(key="b"), cursor=at, limit=2))
            found += [one.id for one in page.items]
            cursor = page.next
            if cursor is None:
                break

    assert found == [f"f-{n:03}" for n in reversed(range(60)) if n % 9 == 0]


MEMORY = create_engine("sqlite://").connect()
