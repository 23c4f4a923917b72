"""Spans from the store's rows: which trace a thing belongs to, what is noted of it, and what becomes of what cannot be
sent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from sqlalchemy import text

from retrain.app.tracing.collecting import spans_of
from retrain.app.tracing.part import Tracing
from retrain.app.tracing.sender import open_sender
from retrain.app.tracing.span import Span
from retrain.errors import ConfigError
from retrain.events import Event
from retrain.store import Store, events, firings, runs, span_feed, traces
from retrain.store.events import SeenEvent
from retrain.store.firings import FiringRow, FiringState
from retrain.store.runs import RunRow
from retrain.telemetry.ids import span_id, trace_id

NOW = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
FIRST = Event(id="1", source="shop", type="t", subject="features", time=NOW)
LAST = Event(id="2", source="shop", type="t", subject="labels", time=NOW)


def firing(*seen: Event) -> FiringRow:
    keys = tuple(str(one.key) for one in seen)
    return FiringRow("f-1", "join", "train", "", keys, {"kind": "workflow"}, NOW, state=FiringState.PENDING)


def told(run: str) -> Event:
    more = {"retraincause": run, "retraindepth": 1}
    return Event(id=f"{run}.succeeded", source="retrain", type="t", subject="run.succeeded", time=NOW, extensions=more)


async def keep(store: Store, *seen: Event) -> None:
    first = 1 + (await store.read(events.count))
    rows = [SeenEvent(one, first + n, NOW, one.key) for n, one in enumerate(seen)]
    await store.write(lambda c: events.add(c, rows))


async def trace_of(store: Store, kind: traces.Kind, name: str) -> traces.Traced:
    return (await store.read(lambda c: traces.trace_ids(c, [(kind, name)])))[kind, name]


async def noted(store: Store) -> list[tuple[str, str]]:
    return [(one.kind, one.ref) for one in await store.read(lambda c: span_feed.oldest(c, 1000))]


async def a_chain(store: Store) -> None:
    """Two events, the firing of both, its run, and the event that tells of its end."""
    await keep(store, FIRST, LAST)
    row = RunRow("r-1", "train-1", "train", {"spec": {}}, {}, NOW, firing_id="f-1")
    await store.write(lambda c: firings.add(c, [firing(LAST, FIRST)]))
    await store.write(lambda c: runs.submit(c, [row]))
    await keep(store, told("r-1"))


async def test_what_an_event_leads_to_belongs_to_its_trace_and_the_newest_one_leads(store: Store) -> None:
    await a_chain(store)
    mine = traces.Traced(trace_id("event", LAST.key))
    for kind, name in (("firing", "f-1"), ("run", "r-1"), ("event", told("r-1").key)):
        assert await trace_of(store, kind, name) == mine  # pyright: ignore[reportArgumentType]
    assert await trace_of(store, "event", FIRST.key) == traces.Traced(trace_id("event", FIRST.key))


async def test_many_are_looked_up_together_as_they_are_one_by_one(store: Store) -> None:
    await a_chain(store)
    refs: list[traces.Ref] = [("run", "r-1"), ("firing", "f-1"), ("event", FIRST.key), ("promotion", "none")]
    together = await store.read(lambda c: traces.trace_ids(c, refs))
    assert together == {ref: await trace_of(store, *ref) for ref in refs}
    assert together["promotion", "none"].id == trace_id("promotion", "none")


async def test_nobody_else_can_say_that_an_event_tells_of_a_run(store: Store) -> None:
    await a_chain(store)
    lie = replace(told("r-1"), source="shop")
    await keep(store, lie)
    assert (await trace_of(store, "event", lie.key)).id == trace_id("event", lie.key)


async def test_a_firing_is_linked_to_its_other_events(store: Store) -> None:
    await a_chain(store)
    spans = await store.read(lambda c: spans_of(c, [span_feed.Over(1, "firing", "f-1")]))
    whole = next(one for one in spans if one.name == "firing train")
    assert whole.parent == span_id("decision", LAST.key, "join")
    assert whole.links == ((trace_id("event", FIRST.key), span_id("event", FIRST.key)),)


async def test_what_becomes_over_is_noted_while_somebody_wants_it_and_no_longer(store: Store) -> None:
    await store.write(lambda c: span_feed.want(c, wanted=True))
    await a_chain(store)
    finished = {"phase": "Succeeded", "finished": NOW}
    await store.write(lambda c: runs.claim(c, "me", NOW, NOW + timedelta(days=1), 5))
    await store.write(lambda c: runs.advance(c, "me", "r-1", message="", **finished))
    assert await noted(store) == [
        ("event", FIRST.key),
        ("event", LAST.key),
        ("event", told("r-1").key),
        ("run", "r-1"),
    ]
    await keep(store, FIRST)
    assert len(await noted(store)) == 4, "an event that is known is not noted again"

    await store.write(lambda c: span_feed.want(c, wanted=False))
    await keep(store, Event(id="3", source="shop", type="t"))
    assert await noted(store) == []


async def test_of_too_many_the_oldest_are_given_up(store: Store) -> None:
    await store.write(lambda c: span_feed.want(c, wanted=True))
    await keep(store, *(Event(id=str(n), source="shop", type="t") for n in range(10)))
    assert await store.write(lambda c: span_feed.trim(c, 4)) == 6
    assert len(await noted(store)) == 4


class Sender:
    """A receiver in memory that takes nothing at first."""

    def __init__(self, refuse: int) -> None:
        self.taken: list[Span] = []
        self._refuse = refuse
        self.full = anyio.Event()

    def send(self, spans: Sequence[Span]) -> bool:
        self._refuse -= 1
        if self._refuse >= 0:
            return False
        self.taken += spans
        anyio.from_thread.run_sync(self.full.set)
        return True

    def close(self) -> None:
        pass


async def test_what_was_not_taken_is_sent_again_and_one_that_is_broken_costs_only_itself(store: Store) -> None:
    await store.write(lambda c: span_feed.want(c, wanted=True))
    await a_chain(store)
    await store.write(lambda c: c.execute(text("UPDATE events SET body = '{' WHERE id = '1'")))
    sender = Sender(refuse=1)
    async with anyio.create_task_group() as group:
        with anyio.fail_after(30):
            await group.start(Tracing(store, sender).run)
            await sender.full.wait()
        group.cancel_scope.cancel()
    names = [one.name for one in sender.taken]
    assert "receive shop/labels" in names
    assert "receive shop/features" not in names


@pytest.mark.parametrize(
    ("endpoint", "wanted", "environ", "sends"),
    [
        (None, None, {}, False),
        (None, None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:1"}, True),
        (None, None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:1/v1/traces"}, True),
        ("http://x:1", None, {}, True),
        ("http://x:1", False, {}, False),
        ("http://x:1", None, {"OTEL_SDK_DISABLED": "true"}, False),
        ("http://x:1", True, {"OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_spans_are_sent_where_an_endpoint_is_named(
    endpoint: str | None, wanted: bool | None, environ: dict[str, str], sends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    sender = open_sender(endpoint, wanted, environ)
    assert (sender is not None) == sends
    if sender is not None:
        sender.close()


def test_an_exporter_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="zipkin"):
        open_sender(None, True, {"OTEL_TRACES_EXPORTER": "zipkin"})
