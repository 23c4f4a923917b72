"""The running platform: every room opened, wired and started in one place, and closed again in order.

Started downstream first (outbox, promoter, runner, dispatcher, server, sensors, sources). Stopped the other way round:
intake ends first, then what it feeds runs dry.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from socket import gethostname, socket
from typing import Any

import anyio
import structlog
from anyio.abc import TaskStatus

from deploy import Promoter
from deploy import Settings as PromoterSettings
from deploy import place as place_git
from eventsources import SourceHost, SourceSettings
from eventsources.host import Tools as SourceTools
from pipelines.executor import Limits
from pipelines.leaf import Surroundings, passed_on
from pipelines.plan import Catalog
from pipelines.runner import Runner, RunnerOptions
from retrain.app.actions import actions
from retrain.app.holding import announce, hold
from retrain.app.outbox import OutboxPublisher
from retrain.app.parts import Parts, PartState, running
from retrain.app.plain_errors import plainly
from retrain.app.plugins import Kinds, all_kinds
from retrain.app.project import Item, Project, load_project
from retrain.app.secrets import ProjectSecrets
from retrain.app.services import Services
from retrain.app.settings import Settings
from retrain.bus import EmbeddedServer, NatsBus, embedded, open_nats
from retrain.clock import Clock, SystemClock
from retrain.errors import ConfigError
from retrain.serving import Server, bind
from retrain.store import Store, firings, open_store, promotions, runs
from sensors import Sensor, SensorDocument
from sensors.host import HostSettings, SensorHost
from triggers import Dispatcher, DispatchSettings, Tools

log = structlog.get_logger()

STORE = "store.db"
DOOR = "retrain.web"
"""Who answers HTTP: a module with `make_door`. The web stands above the app, which knows it by this name only."""


@dataclass(frozen=True, slots=True)
class Start:
    """What `retrain up` was asked for. `project` and `data` are absolute."""

    project: Path
    data: Path
    roles: frozenset[str]
    settings: Settings


def serve(start: Start, ready: Callable[[str], None]) -> int:
    """Run the platform until a signal ends it; the exit status. `ready` gets its URL once it answers.

    A bus that is away is waited for, and said so in `/readyz`.

    Raises:
        ConfigError: a plugin is broken, the project has errors, somebody holds the data directory, or the port is
            taken.
    """
    kinds = all_kinds()
    project = read_project(start.project)
    _check_door(start.settings)
    with hold(start.data), plainly():
        return anyio.run(_serve, start, project, kinds, ready, backend="asyncio", backend_options={"use_uvloop": True})


def read_project(folder: Path) -> Project:
    """The manifests of a folder.

    Raises:
        ConfigError: one of them has an error; the message has a line for each.
    """
    project = load_project([folder])
    if project.errors:
        lines = [f"{f.file}:{f.line}:{f.column}: {f.message}" for f in project.errors]
        raise ConfigError("\n".join([*lines, "nothing was started"]))
    for finding in project.findings:
        log.warning("manifest.warning", at=f"{finding.file}:{finding.line}", message=finding.message)
    return project


def _check_door(settings: Settings) -> None:
    server = settings.server
    if server.token is None and server.host not in {"127.0.0.1", "::1", "localhost"}:
        raise ConfigError(
            f"server.host is {server.host}: the API would be open to the network; "
            "set RETRAIN_SERVER_TOKEN, or listen on 127.0.0.1"
        )


async def _serve(start: Start, project: Project, kinds: Kinds, ready: Callable[[str], None]) -> int:
    listener = bind(start.settings.server.host, start.settings.server.port)
    async with anyio.create_task_group() as group:
        up = anyio.CancelScope()
        await group.start(_watch_signals, up)
        async with open_ground(start) as ground, running(start.settings.shutdown_s) as parts:
            platform = Platform(start, project, kinds, ground, listener.getsockname()[1])
            with up:
                url = await _bring_up(platform, parts, listener)
                announce(start.data, url)
                log.info("platform.up", url=url, roles=sorted(start.roles), data=str(start.data))
                ready(url)
                await anyio.sleep_forever()
            log.info("platform.stopping")
            platform.services.closing.set()
        log.info("platform.down")
        group.cancel_scope.cancel()
    return 0


async def _bring_up(platform: Platform, parts: Parts, listener: socket) -> str:
    """Start everything; where the platform answers, once it can take events."""
    server = Server(import_module(DOOR).make_door(platform.services, platform.sources), listener)
    await platform.start_work(parts)
    # The door opens before the log is read: while the bus is away, `/readyz` says so.
    await parts.start("server", server.run, intake=True)
    await platform.start_intake(parts)
    return server.url


async def _watch_signals(up: anyio.CancelScope, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
    """The first signal ends intake and lets work in hand finish; the second ends all at once, and loses nothing."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if up.cancel_called:
                # What was acknowledged is on disk already; the next start goes on from there. The embedded bus and the
                # steps notice by themselves that their platform is gone.
                os._exit(128 + number)
            up.cancel()


@dataclass(frozen=True, slots=True)
class Ground:
    """What every part stands on."""

    bus: NatsBus
    server: EmbeddedServer | None
    store: Store
    clock: Clock


@asynccontextmanager
async def open_ground(start: Start) -> AsyncGenerator[Ground]:
    """The store and the bus, the embedded one unless another is set.

    Raises:
        ConfigError: the store is another program's, or the bus's url or credentials cannot be used.
    """
    settings = start.settings.bus
    async with AsyncExitStack() as stack:
        path = start.data / STORE
        store = await stack.enter_async_context(open_store(path, synchronous=start.settings.store.synchronous))
        server = None
        url = settings.url
        if url is None:
            server = await stack.enter_async_context(embedded(start.data / "bus", settings))
            url, settings = server.url, server.settings
        bus = await stack.enter_async_context(open_nats(url, settings, patient=True))
        yield Ground(bus, server, store, SystemClock())


class Platform:
    """All parts of one process, built from a project and not yet started."""

    def __init__(self, start: Start, project: Project, kinds: Kinds, ground: Ground, port: int) -> None:
        self._start = start
        self._project = project
        self._kinds = kinds
        self._ground = ground
        self._owner = f"{gethostname()}-{sha256(str(start.data).encode()).hexdigest()[:10]}"
        self._secrets = ProjectSecrets(_bodies(project.secrets), _bodies(project.config_maps), os.environ)
        self._outbox = OutboxPublisher(ground.store, ground.bus, ground.clock)
        self._promoter = self._build_promoter()
        self._dispatcher = self._build_dispatcher()
        self._sensors = self._build_sensors()
        self._runner = self._build_runner()
        self.sources = self._build_sources(port)
        self.services = self._build_services()

    async def start_work(self, parts: Parts) -> None:
        """Start what works from the store alone, downstream first."""
        roles = self._start.roles
        await self._take_back()
        await parts.start("outbox", self._outbox.run)
        if "runner" in roles:
            await parts.start("promoter", self._promoter.run)
            await parts.start("runner", self._runner.run)
        if "sensors" in roles:
            await parts.start("dispatcher", self._dispatcher.run)

    async def start_intake(self, parts: Parts) -> None:
        """Start what needs the bus: the sensors once they have their place in the log, then the sources."""
        if "sensors" in self._start.roles:
            await parts.start("sensors", self._sensors.run)
        if self.sources is not None:
            await parts.start("sources", self.sources.run, intake=True)

    async def _take_back(self) -> None:
        """What this process's dead predecessor held is ours at once: the data directory's lock says that it is dead."""
        owner = self._owner

        def work(connection: Any) -> None:
            firings.release(connection, owner)
            runs.release(connection, owner)
            promotions.release(connection, owner)

        await self._ground.store.write(work)

    # --- building ------------------------------------------------------------------------------------------------

    def _build_promoter(self) -> Promoter:
        documents = {item.model.name: item.model for item in self._project.promotions}
        where = place_git(self._start.data, self._start.project, os.environ)
        settings = PromoterSettings(owner=self._owner)
        return Promoter(self._ground.store, documents, where, clock=self._ground.clock, settings=settings)

    def _build_dispatcher(self) -> Dispatcher:
        tools = Tools(secrets=self._secrets, clock=self._ground.clock, promotions=self._promotion)
        many = self._start.settings.sensors.concurrency
        settings = DispatchSettings(per_trigger=many, in_all=4 * many)
        return Dispatcher(self._ground.store, self._owner, self._kinds.triggers, tools=tools, settings=settings)

    def _promotion(self, name: str) -> Any:
        from retrain.errors import NotFound

        document = self._promoter.documents.get(name)
        if document is None:
            raise NotFound(f"there is no Promotion {name!r} in this project")
        return document

    def _build_sensors(self) -> SensorHost:
        ground = self._ground
        sensors = [Sensor(item.model) for item in self._project.sensors]
        settings = HostSettings(max_depth=self._start.settings.sensors.max_depth)
        return SensorHost(ground.bus, ground.store, ground.clock, sensors, sink=self._dispatcher, settings=settings)

    def _build_runner(self) -> Runner:
        settings = self._start.settings.pipelines
        catalog = Catalog.of([*_bodies(self._project.workflow_templates), *_bodies(self._project.config_maps)])
        around = Surroundings(self._start.project, self._start.data, passed_on(os.environ), self._references())
        limits = Limits(grace_s=settings.grace_s)
        if settings.max_steps is not None:
            limits = Limits(slots=settings.max_steps, grace_s=settings.grace_s)
        options = RunnerOptions(max_runs=settings.max_runs, lease_s=settings.lease_s, limits=limits, owner=self._owner)
        return Runner(self._ground.store, self._ground.clock, around, lambda: catalog, options)

    def _references(self) -> dict[tuple[str, str], dict[str, str]]:
        """Secrets and ConfigMaps of the project, as steps may refer to them."""
        found = {("Secret", name): values for name, values in self._secrets.secrets().items()}
        return {**found, **{("ConfigMap", name): values for name, values in self._secrets.configs().items()}}

    def _build_sources(self, port: int) -> SourceHost | None:
        if "sources" not in self._start.roles:
            return None
        ground = self._ground
        settings = SourceSettings(
            project=self._start.project, host=self._start.settings.server.host, platform_port=port
        )
        tools = SourceTools(ground.bus, ground.store, self._secrets, ground.clock)
        documents = [item.model for item in self._project.event_sources]
        return SourceHost(documents, tools, settings=settings, kinds=self._kinds.sources)

    def _build_services(self) -> Services:
        ground = self._ground
        return Services(
            settings=self._start.settings,
            project=self._start.project,
            data=self._start.data,
            store=ground.store,
            bus=ground.bus,
            clock=ground.clock,
            states=self.states,
            sources=self._source_rows,
            sensors=self._sensor_rows,
            actions=actions(ground.store, ground.clock, self._promoter, self._start.data),
        )

    # --- what it says of itself ----------------------------------------------------------------------------------

    def states(self) -> list[PartState]:
        """For `/readyz`: each part, and what it waits for."""
        ground, roles = self._ground, self._start.roles
        waits = (ground.server.waiting_for if ground.server else None) or ground.bus.waiting_for
        found = [PartState("bus", waits is None, waits, vital=True)]
        found.append(PartState("outbox", self._outbox.failing is None, self._outbox.failing))
        if "sensors" in roles:
            host = self._sensors.state()
            found.append(PartState("sensors", host.ready, host.waiting_for))
            found.append(PartState("dispatcher", ready=True))
        if "runner" in roles:
            found.append(PartState("runner", ready=True))
            for name, state in self._promoter.state().items():
                trouble = state["reason"] or None
                found.append(PartState(f"promotion {name}", trouble is None, trouble))
        for one in self.sources.states() if self.sources else []:
            found.append(PartState(f"source {one.name}", one.state == "listening", one.waiting_for))
        return found

    def _source_rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for one in self.sources.states() if self.sources else []:
            source, _, event = one.name.partition("/")
            rows.append(
                {
                    "source": source,
                    "event": event,
                    "kind": one.kind,
                    "state": one.state,
                    "since": one.since.isoformat().replace("+00:00", "Z"),
                    "waitingFor": one.waiting_for,
                    "note": one.note,
                    "lastEvent": one.last_event.isoformat().replace("+00:00", "Z") if one.last_event else None,
                    "received": one.received,
                    "errors": one.errors,
                }
            )
        return rows

    def _sensor_rows(self) -> list[dict[str, Any]]:
        return [self._sensor_row(item) for item in self._project.sensors]

    def _sensor_row(self, item: Item) -> dict[str, Any]:
        document: SensorDocument = item.model
        waiting = self._sensors.waiting(document.name) if "sensors" in self._start.roles else []
        return {
            "name": document.name,
            "file": item.document.file,
            "line": item.document.line,
            "dependencies": [one.name for one in document.spec.dependencies],
            "triggers": [one.template.name for one in document.spec.triggers if one.template],
            "waiting": [
                {"trigger": w.trigger, "key": w.key, "have": list(w.have), "need": list(w.need)} for w in waiting
            ],
        }


def _bodies(items: tuple[Item, ...]) -> list[dict[str, Any]]:
    return [item.document.body for item in items]
