"""Keeps sources running: each in its own task, restarted when it crashes, replaced when its manifest changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import getpid
from secrets import token_hex
from socket import gethostname
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup, TaskStatus

from eventsources.host.delivery import Delivery, StoredCheckpoints
from eventsources.host.leases import Leases
from eventsources.host.settings import SourceSettings
from eventsources.http.door import WebhookApp
from eventsources.http.ports import Ports
from eventsources.kinds import KINDS
from eventsources.port import Kind, Secrets, Source, SourceContext
from eventsources.spec import EventSourceDocument, check
from eventsources.status import SourceState, Status
from retrain.bus import Bus
from retrain.clock import Clock, SystemClock
from retrain.errors import ConfigError
from retrain.store import Store

log = structlog.get_logger()

SETTLE_S = 5.0
"""Seconds that `apply` waits for new sources to listen or to say what they lack."""

STEADY_S = 60.0
"""A source that ran so long is started again at once after a crash."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the app hands to the host."""

    bus: Bus
    store: Store
    secrets: Secrets
    clock: Clock = field(default_factory=SystemClock)
    holder: str = field(default_factory=lambda: f"{gethostname()}-{getpid()}-{token_hex(4)}")
    """Who this process is to other replicas. The same after a restart where that is sure to have ended the last one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry of an EventSource that is to run. Two that are equal need no restart."""

    source: str
    kind: str
    event_name: str
    spec: Any
    ours: bool
    alone: bool

    @property
    def name(self) -> str:
        return f"{self.source}/{self.event_name}"


@dataclass(slots=True)
class _Unit:
    wanted: Wanted
    status: Status
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)


class SourceHost:
    """The sources of one process. `webhooks` is the application for endpoints without a port of their own."""

    def __init__(
        self,
        documents: Iterable[EventSourceDocument],
        tools: Tools,
        *,
        settings: SourceSettings | None = None,
        kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        self.webhooks = WebhookApp()
        self._settings = settings or SourceSettings()
        self._tools = tools
        self._clock = tools.clock
        self._kinds = KINDS if kinds is None else kinds
        self._first = wanted_of(documents)
        self._units: dict[str, _Unit] = {}
        self._tasks: TaskGroup | None = None
        self._ports: Ports | None = None
        self._changing = anyio.Lock()
        self._leases = Leases(tools.store, tools.clock, tools.holder, lasts_s=self._settings.lease_s)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the sources until cancelled; then each has `stop_s` seconds to finish what it has in hand."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._leases.run, name="leases of sources")
            self._ports = Ports(tasks, self._settings, self.webhooks)
            try:
                await self._change(self._first)
                task_status.started()
                await anyio.sleep_forever()
            finally:
                self._tasks = None

    async def apply(self, documents: Iterable[EventSourceDocument]) -> None:
        """Run these from now on instead. What did not change keeps running untouched.

        Returns when the new ones listen or have said what they wait for, after SETTLE_S at the latest.

        Raises:
            ConfigError: a document is wrong, or two have one name; nothing was changed.
        """
        await self._change(wanted_of(documents))

    def states(self) -> list[SourceState]:
        """How every source is doing, by name."""
        return [self._units[name].status.state() for name in sorted(self._units)]

    async def _change(self, wanted: Mapping[str, Wanted]) -> None:
        unknown = {one.kind for one in wanted.values()} - self._kinds.keys()
        if unknown:
            raise ConfigError(f"no kind of source is named {sorted(unknown)[0]!r}; there are {sorted(self._kinds)}")
        async with self._changing:
            old = [unit for name, unit in self._units.items() if wanted.get(name) != unit.wanted]
            for unit in old:
                unit.scope.cancel()
            for unit in old:
                await unit.ended.wait()
                del self._units[unit.wanted.name]
            new = [self._start(one) for name, one in wanted.items() if name not in self._units]
        with anyio.move_on_after(SETTLE_S):
            for unit in new:
                await unit.status.settled.wait()

    def _start(self, wanted: Wanted) -> _Unit:
        if self._tasks is None:
            raise ConfigError("the host of the sources is not running")
        unit = _Unit(wanted, Status(wanted.kind, wanted.name, self._clock))
        self._units[wanted.name] = unit
        self._tasks.start_soon(self._keep_running, unit, name=f"source {wanted.name}")
        return unit

    async def _keep_running(self, unit: _Unit) -> None:
        try:
            with unit.scope:
                if getattr(self._kinds[unit.wanted.kind], "shared", False):
                    await self._restart(unit)
                else:
                    work = partial(self._restart, unit)
                    await self._leases.while_held(f"source/{unit.wanted.name}", partial(_idle, unit.status), work)
        finally:
            unit.status.stopped()
            unit.ended.set()

    async def _restart(self, unit: _Unit) -> None:
        """Run a source until cancelled, again and again if it crashes."""
        delay = self._settings.restart_min_s
        while True:
            started = self._clock.monotonic()
            await self._run_once(unit)
            if self._clock.monotonic() - started > STEADY_S:
                delay = self._settings.restart_min_s
            await anyio.sleep(delay)
            delay = min(delay * 2, self._settings.restart_max_s)

    async def _run_once(self, unit: _Unit) -> None:
        wanted = unit.wanted
        try:
            source = self._build(unit)
            log.info("source.started", source=wanted.name, kind=wanted.kind)
            await source.run(task_status=anyio.TASK_STATUS_IGNORED)
            reason = "it ended by itself"
        # The one place where a source's crash ends: its siblings and the platform go on.
        except Exception as error:
            reason = f"it crashed: {type(error).__name__}: {error}"
            log.exception("source.crashed", source=wanted.name, kind=wanted.kind)
        unit.status.failed(reason)
        unit.status.waiting(f"a new start; {reason}")

    def _build(self, unit: _Unit) -> Source:
        assert self._ports is not None
        wanted = unit.wanted
        kind = self._kinds[wanted.kind]
        delivery = Delivery(self._tools.bus, self._tools.store, self._clock, unit.status, wanted.spec)
        context = SourceContext(
            source=wanted.source,
            name=wanted.event_name,
            type=getattr(kind, "type", wanted.kind),
            ours=wanted.ours,
            alone=wanted.alone,
            emit=delivery.emit,
            deliver=delivery.deliver,
            bury=delivery.bury,
            known=delivery.known,
            checkpoints=StoredCheckpoints(self._tools.store, f"{wanted.kind}:{wanted.name}"),
            secrets=self._tools.secrets,
            clock=self._clock,
            status=unit.status,
            ports=self._ports,
            project=self._settings.project,
            metadata=getattr(wanted.spec, "metadata", {}),
        )
        return kind(wanted.event_name, wanted.spec, context)


def _idle(status: Status, trouble: str | None) -> None:
    if trouble is None:
        status.standby()
    else:
        status.failed(f"the store: {trouble}")
        status.waiting(f"the store: {trouble}")


def wanted_of(documents: Iterable[EventSourceDocument]) -> dict[str, Wanted]:
    """The entries of all documents by `EventSource/event`.

    Raises:
        ConfigError: a document has an error, or two have one name.
    """
    wanted: dict[str, Wanted] = {}
    sources: set[str] = set()
    for document in documents:
        for problem in check(document):
            if problem.severity == "error":
                raise ConfigError(f"EventSource {document.name!r}: {problem.message}")
        if document.name in sources:
            raise ConfigError(f"two EventSources are named {document.name!r}; events could not be told apart")
        sources.add(document.name)
        written = document.spec
        entries = [(kind, name, spec) for kind in written.runnable for name, spec in written.entries(kind).items()]
        for kind, name, spec in entries:
            one = Wanted(document.name, kind, name, spec, document.ours, alone=len(entries) == 1)
            wanted[one.name] = one
    return wanted
