"""What people may do to CronWorkflows over a real store: suspend, resume, run now; and what is shown of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.host.cron import CronHost
from retrain.clock import FakeClock
from retrain.errors import ConfigError, NotFound, Refused
from retrain.store import Store, crons, open_store, runs

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PARENT = "CronWorkflow/default/nightly"


def cron(name: str = "nightly", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    template = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}
    workflow = {"entrypoint": "main", "arguments": {"parameters": [{"name": "n", "value": "1"}]}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"schedules": ["* * * * *"], "workflowSpec": {**workflow, "templates": [template]}, **spec},
    }


class Place:
    def __init__(self, store: Store) -> None:
        self.store, self.clock = store, FakeClock(START)

    def host(self, *documents: dict[str, Any]) -> CronHost:
        return CronHost(self.store, self.clock, documents or [cron()])

    async def ticks(self, host: CronHost, many: int = 1) -> list[int]:
        made: list[int] = []
        for _ in range(many):
            self.clock.advance(60)
            made.append(await host.look())
        return made

    async def runs(self) -> list[runs.RunRow]:
        return await self.store.read(lambda c: runs.children(c, PARENT))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_store(tmp_path / "store.db") as store:
        yield Place(store)


async def test_what_a_person_suspends_stays_so_through_restart_and_reload_until_it_is_resumed(place: Place) -> None:
    host = place.host()
    await host.look()
    state = await host.suspend("nightly", None, "ada")
    assert (state.suspended_by, state.next) == ("ada", None)
    assert await place.ticks(host) == [0]

    again = place.host()
    again.apply([cron(schedules=["*/1 * * * *"], concurrencyPolicy="Forbid")])
    assert await place.ticks(again, 2) == [0, 0]
    (state,) = await again.states()
    assert state.suspended_by == "ada"
    assert state.skipped == (place.clock.now(), "the CronWorkflow is suspended by ada")

    state = await again.resume("nightly", None)
    assert state.suspended_by is None
    assert state.next is not None
    assert state.next > place.clock.now()
    assert await again.look() == 0, "nothing of the past is caught up with"
    assert await place.ticks(again) == [1]
    (state,) = await again.states()
    assert (state.message, state.skipped is not None) == ("", True)


async def test_to_suspend_twice_is_to_suspend_once_and_whoever_was_first_is_named(place: Place) -> None:
    host = place.host()
    await host.suspend("nightly", None, "ada")
    assert (await host.suspend("nightly", None, "bob")).suspended_by == "ada"
    await host.resume("nightly", None)
    assert (await host.resume("nightly", None)).suspended_by is None


async def test_what_the_document_suspends_is_resumed_there(place: Place) -> None:
    host = place.host(cron(suspend=True))
    assert (await host.states())[0].suspended_by == "its document"
    with pytest.raises(Refused, match=r"spec\.suspend"):
        await host.resume("nightly", None)
    await host.suspend("nightly", None, "ada")

    host.apply([cron()])
    assert (await host.states())[0].suspended_by == "ada"


async def test_a_run_that_somebody_starts_has_the_crons_name_labels_and_parameters(place: Place) -> None:
    host = place.host(cron(suspend=True))
    place.clock.advance(0.4)
    first = await host.start("nightly", None, {"n": "7"})
    second = await host.start("nightly", None, {})

    at = int(START.timestamp())
    assert [first.name, second.name] == [f"nightly-{at}", f"nightly-{at + 1}"]
    rows = {row.name: row for row in await place.runs()}
    assert rows[first.name].labels["workflows.argoproj.io/cron-workflow"] == "nightly"
    assert rows[first.name].manifest["spec"]["arguments"]["parameters"] == [{"name": "n", "value": "7"}]  # type: ignore[index]
    assert (await host.states())[0].active == (first.name, second.name)
    state, shown = await host.show("nightly", None)
    assert {run.name for run in shown} == {first.name, second.name}
    assert state.last is None, "no tick of its own became a run"


async def test_a_run_that_somebody_starts_takes_no_ticks_place_and_counts_for_the_policy(place: Place) -> None:
    host = place.host(cron(concurrencyPolicy="Forbid"))
    await host.look()
    place.clock.advance(60)
    started = await host.start("nightly", None, {})
    assert await host.look() == 0
    state, _ = await host.show("nightly", None)
    assert state.message.startswith("concurrencyPolicy Forbid: 1 of its runs")

    host.apply([cron()])
    assert await place.ticks(host) == [1]
    assert started.id in {row.id for row in await place.runs()}
    assert len(await place.runs()) == 2


async def test_a_workflow_that_cannot_be_submitted_is_not_started(place: Place) -> None:
    broken = cron()
    broken["spec"]["workflowSpec"]["templates"][0] = {"name": "main", "plugin": {"x": {}}}
    with pytest.raises(ConfigError):
        await place.host(broken).start("nightly", None, {})
    assert await place.runs() == []


async def test_a_name_that_is_nowhere_or_in_several_namespaces_is_refused(place: Place) -> None:
    host = place.host(cron(), cron(namespace="other"))
    with pytest.raises(NotFound, match="crons list"):
        await host.suspend("nachts", None, "ada")
    with pytest.raises(ConfigError, match="default, other"):
        await host.suspend("nightly", None, "ada")

    await host.suspend("nightly", "other", "ada")
    assert [state.suspended for state in await host.states()] == [False, True]


async def test_ends_are_counted_and_a_cron_of_the_past_is_not_shown(place: Place) -> None:
    host = place.host(cron(), cron("hourly", schedules=["0 * * * *"]))
    await host.look()

    def work(connection: Any) -> None:
        for succeeded in (True, True, False):
            crons.count(connection, PARENT, succeeded=succeeded)

    await place.store.write(work)
    hourly, nightly = await host.states()
    assert (nightly.succeeded, nightly.failed, nightly.schedules) == (2, 1, ("* * * * *",))
    assert (hourly.name, hourly.next) == ("hourly", START.replace(hour=13))
    host.apply([cron()])
    assert [state.name for state in await host.states()] == ["nightly"]
