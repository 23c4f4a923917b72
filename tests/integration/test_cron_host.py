"""CronWorkflows over a real store: one run for each tick, whatever dies in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.host.cron import CronHost
from retrain.clock import FakeClock
from retrain.errors import ConfigError
from retrain.store import Store, crons, open_store, outbox, runs

pytestmark = pytest.mark.slow  # it kills hosts

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEMPLATE = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}


def cron(name: str = "nightly", **spec: Any) -> dict[str, Any]:
    spec.setdefault("schedules", ["* * * * *"])
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": {"name": name},
        "spec": {"workflowSpec": {"entrypoint": "main", "templates": [TEMPLATE]}, **spec},
    }


class Place:
    def __init__(self, store: Store) -> None:
        self.store, self.clock = store, FakeClock(START)

    async def listed(self) -> list[runs.RunRow]:
        found = await self.store.read(lambda c: runs.listing(c, runs.RunFilter()))
        return found.items[::-1]

    async def end(self, run_id: str, phase: str) -> None:
        def work(connection: Any) -> None:
            runs.claim(connection, "me", self.clock.now(), self.clock.now(), 9, only=[run_id])
            assert runs.advance(connection, "me", run_id, phase=phase, finished=self.clock.now())
            crons.count(connection, "CronWorkflow/default/nightly", succeeded=phase == "Succeeded")

        await self.store.write(work)

    async def tick(self, host: CronHost, seconds: float = 60) -> int:
        self.clock.advance(seconds)
        return await host.look()

    async def told(self) -> list[tuple[str | None, Any]]:
        return [(event.subject, event.data) for _, event in await self.store.read(outbox.pending)]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_store(tmp_path / "store.db") as store:
        yield Place(store)


async def test_each_tick_is_one_run_with_its_name_and_is_told(place: Place) -> None:
    host = CronHost(place.store, place.clock, [cron()])
    assert await host.look() == 0
    assert [await place.tick(host) for _ in range(3)] == [1, 1, 1]
    assert await host.look() == 0

    stamps = [int(START.timestamp()) + 60 * n for n in (1, 2, 3)]
    listed = await place.listed()
    assert {row.name for row in listed} == {f"nightly-{stamp}" for stamp in stamps}
    assert {row.parent for row in listed} == {"CronWorkflow/default/nightly"}
    assert listed[0].labels["workflows.argoproj.io/cron-workflow"] == "nightly"
    assert [subject for subject, _ in await place.told()] == ["cron.fired"] * 3


async def test_two_platforms_on_one_store_make_one_run_of_a_tick(place: Place) -> None:
    hosts = [CronHost(place.store, place.clock, [cron()]) for _ in range(2)]
    for host in hosts:
        await host.look()
    place.clock.advance(60)
    for host in hosts:
        await host.look()

    assert len(await place.listed()) == 1
    assert len(await place.told()) == 1


async def test_forbid_skips_and_says_why_and_replace_ends_the_open_run(place: Place) -> None:
    host = CronHost(place.store, place.clock, [cron(concurrencyPolicy="Forbid")])
    await host.look()
    await place.tick(host)
    assert await place.tick(host) == 0
    subject, data = (await place.told())[-1]
    assert subject == "cron.skipped"
    assert data["reason"].startswith("concurrencyPolicy Forbid")

    host.apply([cron(concurrencyPolicy="Replace")])
    assert await place.tick(host) == 1
    first, second = await place.listed()
    assert (first.control, second.control) == ("terminate", None)


async def test_history_beyond_its_limits_may_be_deleted(place: Place) -> None:
    host = CronHost(place.store, place.clock, [cron(successfulJobsHistoryLimit=1, failedJobsHistoryLimit=0)])
    await host.look()
    for phase in ("Succeeded", "Succeeded", "Failed"):
        await place.tick(host)
        (row,) = [one for one in await place.listed() if one.phase in runs.OPEN]
        await place.end(row.id, phase)
    await host.look()

    gone = await place.store.read(
        lambda c: runs.expired(c, place.clock.now() + (START - START.replace(hour=11)), None, 9)
    )
    assert sorted(row.phase for row in gone) == ["Failed", "Succeeded"]


async def test_a_stop_strategy_ends_it_as_soon_as_its_runs_say_so(place: Place) -> None:
    host = CronHost(place.store, place.clock, [cron(stopStrategy={"expression": "cronworkflow.failed >= 1"})])
    await host.look()
    await place.tick(host)
    await place.end((await place.listed())[0].id, "Failed")
    await host.look()

    (state,) = await host.states()
    assert (state.phase, state.failed, state.next) == ("Stopped", 1, None)
    assert await place.tick(host) == 0
    assert len(await place.listed()) == 1


async def test_what_came_while_nobody_looked_is_caught_up_with_once_if_it_may_be(place: Place) -> None:
    for deadline, made in ((None, 0), (3600, 1)):
        document = cron(f"nightly{deadline or 0}", startingDeadlineSeconds=deadline, schedules=["*/10 * * * *"])
        await CronHost(place.store, place.clock, [document]).look()
        place.clock.advance(35 * 60)
        again = CronHost(place.store, place.clock, [document])
        assert await again.look() == made
        assert await again.look() == 0
        place.clock.advance(25 * 60)


async def test_other_times_begin_anew_and_catch_up_with_nothing(place: Place) -> None:
    document = cron(startingDeadlineSeconds=7200, schedules=["0 * * * *"])
    await CronHost(place.store, place.clock, [document]).look()
    place.clock.advance(5400)
    changed = {**document, "spec": {**document["spec"], "schedules": ["30 * * * *"]}}
    assert await CronHost(place.store, place.clock, [changed]).look() == 0


async def test_a_broken_document_changes_nothing(place: Place) -> None:
    host = CronHost(place.store, place.clock, [cron()])
    await host.look()
    with pytest.raises(ConfigError):
        host.apply([cron(schedules=["nonsense"])])
    assert await place.tick(host) == 1


KILLED = """
import sys, anyio
from pathlib import Path
from datetime import datetime, timedelta, UTC
from retrain import faults
from retrain.clock import FakeClock
from retrain.store import open_store
from pipelines.host.cron import CronHost
sys.path.insert(0, sys.argv[4])
from test_cron_host import START, cron

async def main():
    async with open_store(Path(sys.argv[1])) as store:
        clock = FakeClock(START + timedelta(seconds=float(sys.argv[2])))
        await CronHost(store, clock, [cron()]).look()

faults.arm(sys.argv[3] or None)
anyio.run(main)
"""


@pytest.mark.parametrize("fault", ["cron.before_commit", "cron.after_commit"])
async def test_a_tick_makes_one_run_through_kill_9(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "store.db"

    def look(seconds: float, armed: str) -> int:
        argv = [sys.executable, "-c", KILLED, str(path), str(seconds), armed, str(Path(__file__).parent)]
        env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        return subprocess.run(argv, timeout=60, check=False, env=env, capture_output=True).returncode

    assert look(0, "") == 0
    assert look(60.5, fault) == -signal.SIGKILL
    assert look(63, "") == 0
    async with open_store(path) as store:
        found = await store.read(lambda c: runs.listing(c, runs.RunFilter()))
        events = await store.read(outbox.pending)
    assert [row.name for row in found.items] == [f"nightly-{int(START.timestamp()) + 60}"]
    assert len(events) == 1
