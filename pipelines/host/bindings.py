"""Submits workflows for events, as WorkflowEventBindings say: a thin reader of the log with its own place in it.

One transaction holds the runs of a batch of events, what could not be submitted (as dead letters, with the reason), and
the place in the log. Run ids follow from binding and event, so that no event makes two runs, through any crash. Events
from before the first binding are nobody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, cast

import anyio
from anyio.abc import TaskStatus
from sqlalchemy import Connection

from pipelines.host.binding import Binding, compile_binding, run_id, workflow_of
from pipelines.host.queue import RunRequest, submit
from pipelines.spec import normalize
from retrain import faults
from retrain.bus import Bus, Record
from retrain.clock import Clock
from retrain.errors import BusError, ConfigError, Transient
from retrain.events import Event, JsonValue
from retrain.log import get_logger
from retrain.store import Store, cursors, deadletters
from retrain.store.deadletters import DeadLetter
from retrain.store.runs import Engine

SOURCE = "workflow-events"
"""The source of events that come by `POST /api/v1/events/{namespace}/{discriminator}`."""
CURSOR = "bindings"
RETRY_S = 1.0
STRIDE = 5000
"""Positions after which the place in the log is saved though nothing was for a binding."""

log = get_logger()


class BindingHost:
    """The WorkflowEventBindings of a platform."""

    name = "bindings"

    def __init__(
        self,
        bus: Bus,
        store: Store,
        clock: Clock,
        documents: Iterable[Mapping[str, Any]] = (),
        *,
        engine: Engine = "local",
    ) -> None:
        """`documents` are WorkflowEventBinding manifests, `engine` works on runs that do not say who is to.

        Raises:
            ConfigError: an expression cannot be read.
        """
        self._bus = bus
        self._store = store
        self._clock = clock
        self._engine: Engine = engine
        self._bindings = _compiled(documents, engine)
        self._changed = anyio.Event()
        self.trouble: str | None = None

    def apply(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """These from now on.

        Raises:
            ConfigError: an expression cannot be read; nothing has changed.
        """
        self._bindings = _compiled(documents, self._engine)
        self._changed.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read until cancelled."""
        # Its place is known before any event is taken in, or the first one could be missed.
        after = await self._begin()
        task_status.started()
        while True:
            try:
                if not self._bindings:
                    self._changed = anyio.Event()
                    await self._changed.wait()
                    after = await self._to_the_end()
                after = await self._read(after)
            except (BusError, Transient) as error:
                self.trouble = str(error)
                log.warning("bindings.waiting", reason=str(error))
                await anyio.sleep(RETRY_S)

    async def _begin(self) -> int:
        while True:
            try:
                known = await self._store.read(lambda c: cursors.load(c, CURSOR))
                return known if known is not None and self._bindings else await self._to_the_end()
            except (BusError, Transient) as error:
                self.trouble = str(error)
                await anyio.sleep(RETRY_S)

    async def _to_the_end(self) -> int:
        last = (await self._bus.bounds()).last
        await self._store.write(lambda c: cursors.save(c, CURSOR, last))
        self.trouble = None
        return last

    async def _read(self, after: int) -> int:
        """Read on until there is no binding any more; the place then."""
        saved = after
        async with self._bus.tail(after) as batches:
            async for records in batches:
                self.trouble = None
                if not self._bindings:
                    return after
                wanted = [one for one in records if one.event.source == SOURCE]
                after = records[-1].position
                if wanted or after - saved >= STRIDE:
                    await self._settle(wanted, after)
                    saved = after
        return after

    async def _settle(self, records: Sequence[Record], position: int) -> None:
        now = self._clock.now()
        found = [one for record in records for one in self._decide(record.event)]

        def work(connection: Connection) -> None:
            letters: list[DeadLetter] = []
            for binding, event, manifest in found:
                reason = manifest if isinstance(manifest, str) else _submitted(connection, binding, event, manifest)
                if reason:
                    letters.append(_letter(binding, event, reason, now))
                    log.warning("binding.failed", binding=binding.name, event_id=event.id, reason=reason)
            deadletters.add(connection, letters)
            cursors.save(connection, CURSOR, position)
            faults.point("binding.before_commit")

        await self._store.write(work)
        faults.point("binding.after_commit")
        if found:
            self._store.signals.notify("runs")

    def _decide(self, event: Event) -> list[tuple[Binding, Event, dict[str, Any] | str]]:
        """For each binding that the event is for: its Workflow, or why there is none."""
        data = event.data
        if not isinstance(data, dict):
            return []
        found: list[tuple[Binding, Event, dict[str, Any] | str]] = []
        for binding in self._bindings:
            if binding.namespace and data.get("namespace") != binding.namespace:
                continue
            try:
                manifest = workflow_of(binding, cast("Mapping[str, JsonValue]", data), event.key)
            except ConfigError as error:
                found.append((binding, event, str(error)))
                continue
            if manifest is not None:
                found.append((binding, event, manifest))
        return found


def check_bindings(documents: Iterable[Mapping[str, Any]]) -> None:
    """
    Raises:
        ConfigError: an expression cannot be read.
    """
    _compiled(documents)


def _compiled(documents: Iterable[Mapping[str, Any]], engine: Engine = "local") -> tuple[Binding, ...]:
    return tuple(replace(compile_binding(normalize(document)), engine=engine) for document in documents)


def _submitted(connection: Connection, binding: Binding, event: Event, manifest: dict[str, Any]) -> str:
    """Why the run could not be written down; empty if it is there."""
    labels: Mapping[str, str] = {**manifest["metadata"]["labels"], "retrain.dev/event": event.id}
    depth = event.extensions.get("retraindepth", 0)
    request = RunRequest(
        run_id(binding, event.key),
        None,
        manifest,
        labels,
        depth=int(depth),
        parent=f"Event/{event.key}",
        engine=binding.engine,
    )
    try:
        submit(connection, request)
    except ConfigError as error:
        return str(error)
    return ""


def _letter(binding: Binding, event: Event, reason: str, now: Any) -> DeadLetter:
    letter_id = "b-" + sha256(f"{binding.namespace}/{binding.name}@{event.key}".encode()).hexdigest()[:20]
    origin = f"WorkflowEventBinding/{binding.name}"
    return DeadLetter(letter_id, "event", origin, reason, event.to_json(), now)
