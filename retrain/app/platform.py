"""The running platform: every room opened, wired and started in one place, and closed again in order.

Started downstream first (outbox, promoter, runner, dispatcher, server, sensors, sources). Stopped the other way round:
intake ends first, then what it feeds runs dry.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from socket import gethostname, socket
from typing import Any

import anyio
import anyio.to_thread
import structlog
from anyio.abc import TaskStatus

from eventsources import SourceHost, SourceSettings
from eventsources.host.source_host import Tools as SourceTools
from eventsources.host.source_host import wanted_of
from pipelines.agents.objects_store import StoreObjects, open_objects
from pipelines.kubernetes.policy import Allow
from retrain.app.access.minding import Ground as MindingGround
from retrain.app.access.minding import minded
from retrain.app.access.narrowing import seen_project, seen_promotions, seen_sensors, sees
from retrain.app.access.spaces import Spaces, space_of
from retrain.app.actions import actions
from retrain.app.admission.opening import open_admission
from retrain.app.holding import announce, hold
from retrain.app.keeping.ages import Ages
from retrain.app.keeping.keeping import Keep, Keeping
from retrain.app.keeping.measures import Measures
from retrain.app.kubernetes import Kubernetes
from retrain.app.kubernetes.part import opened
from retrain.app.operator.buses import OWN_BUS, InUse
from retrain.app.operator.choosing_bus import choose
from retrain.app.operator.looking import View
from retrain.app.operator.operator import Operator, Watch
from retrain.app.operator.operator import Platform as OperatorsPlatform
from retrain.app.operator.services import open_services
from retrain.app.outbox import OutboxPublisher
from retrain.app.parts import Parts, PartState, running
from retrain.app.plain_errors import plainly
from retrain.app.projects.catalog import bodies
from retrain.app.projects.known import Known, without_collecting
from retrain.app.projects.objects import TriggerObjects, reads_project
from retrain.app.projects.plugins import Kinds, all_kinds
from retrain.app.projects.project import Item, Project, load_project
from retrain.app.projects.reload import Reloader
from retrain.app.projects.secrets import ProjectSecrets
from retrain.app.promotions.part import PromotionGround, Promotions
from retrain.app.runs.actions import delete_action
from retrain.app.runs.crons import cron_actions
from retrain.app.runs.workshop import Ground as WorkshopGround
from retrain.app.runs.workshop import Workshop
from retrain.app.sensing import source_rows
from retrain.app.sensing.again import emit_again
from retrain.app.sensing.sensing import Sensing
from retrain.app.services import Figures, Services
from retrain.app.settings import Settings
from retrain.app.tracing import Tracing, open_sender
from retrain.bus import EmbeddedServer, NatsBus, embedded, open_nats
from retrain.clock import Clock, SystemClock
from retrain.errors import ConfigError
from retrain.serving import Server, bind
from retrain.store import Store, firings, open_store, promotions, runs
from sensors import Sensor
from sensors.host.loop import SensorHost
from sensors.host.settings import HostSettings
from sensors.host.upkeep import Keep as DecisionsKept
from triggers import Dispatcher, DispatchSettings, Tools
from triggers.kube_objects import KubeObjects
from triggers.settings import NetworkSettings

log = structlog.get_logger()

STORE = "store.db"
MANIFESTS = "manifests"
"""In the data directory: files that name the events of firings."""
DOOR = "retrain.web"
"""Who answers HTTP: a module with `make_door`. The web stands above the app, which knows it by this name only."""


@dataclass(frozen=True, slots=True)
class Start:
    """What `retrain up` was asked for. `project` and `data` are absolute. `watch`: manifests are a cluster's objects,
    and `project` has no more than the settings."""

    project: Path
    data: Path
    roles: frozenset[str]
    settings: Settings
    watch: Watch | None = None
    bus: InUse = OWN_BUS


@dataclass(frozen=True, slots=True)
class Read:
    """The project as it was read at the start, and what is remembered of its files."""

    project: Project
    known: Known


def serve(start: Start, ready: Callable[[str], None]) -> int:
    """Run the platform until a signal ends it; the exit status. `ready` gets its URL once it answers.

    A bus that is away is waited for, and said so in `/readyz`.

    Raises:
        ConfigError: a plugin is broken, the project has errors, somebody holds the data directory, or the port is
            taken.
    """
    kinds = all_kinds()
    known = Known()
    with without_collecting():
        project = Project() if start.watch is not None else read_project(start.project, known)
    # What was loaded stays: the garbage collector need not look at it again and again. What comes now may be garbage.
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 50, 100)
    _check_door(start.settings)
    options = {"use_uvloop": True}
    with hold(start.data), plainly():
        return anyio.run(_serve, start, Read(project, known), kinds, ready, backend="asyncio", backend_options=options)


def read_project(folder: Path, known: Known | None = None) -> Project:
    """The manifests of a folder. `known` remembers them for the next time.

    Raises:
        ConfigError: one of them has an error; the message has a line for each.
    """
    project = load_project([folder], known=known)
    if project.errors:
        lines = [f"{f.file}:{f.line}:{f.column}: {f.message}" for f in project.errors]
        raise ConfigError("\n".join([*lines, "nothing was started"]))
    for finding in project.findings:
        log.warning("manifest.warning", at=f"{finding.file}:{finding.line}", message=finding.message)
    return project


def _check_door(settings: Settings) -> None:
    server = settings.server
    tokens = server.token is not None or settings.access.tells_apart
    if not tokens and server.host not in {"127.0.0.1", "::1", "localhost"}:
        raise ConfigError(
            f"server.host is {server.host}: the API would be open to the network; "
            "set RETRAIN_SERVER_TOKEN, or listen on 127.0.0.1"
        )


async def _serve(start: Start, read: Read, kinds: Kinds, ready: Callable[[str], None]) -> int:
    listener = bind(start.settings.server.host, start.settings.server.port)
    async with anyio.create_task_group() as group:
        up, choosing = anyio.CancelScope(), anyio.CancelScope()
        await group.start(_watch_signals, up, choosing)
        with choosing:
            start = await _with_bus_of_cluster(start)
        if up.cancel_called:
            group.cancel_scope.cancel()
            return 0
        async with open_ground(start) as ground, running(start.settings.shutdown_s) as parts:
            operator = Operator(start.watch, ground.store, ground.clock) if start.watch is not None else None
            if operator is not None:
                read = Read(await operator.restore(), read.known)
            platform = Platform(start, read, kinds, ground, listener.getsockname()[1], operator)
            await group.start(_watch_hangup, platform.reloader)
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


async def _with_bus_of_cluster(start: Start) -> Start:
    """With the bus that the cluster's EventBus names, where a cluster says what runs."""
    if start.watch is None:
        return start
    async with opened(start.settings.kubernetes) as server:
        choice = await choose(server, start.watch.namespace, start.data, start.settings.bus)
    settings = start.settings.model_copy(update={"bus": choice.settings})
    return replace(start, settings=settings, bus=choice.in_use)


async def _bring_up(platform: Platform, parts: Parts, listener: socket) -> str:
    """Start everything; where the platform answers, once it can take events."""
    server = Server(import_module(DOOR).make_door(platform.services, platform.sources), listener)
    await platform.start_work(parts)
    # The door opens before the log is read: while the bus is away, `/readyz` says so.
    await parts.start("server", server.run, intake=True)
    await platform.start_intake(parts)
    await parts.start("project", platform.reloader.run)
    return server.url


async def _watch_signals(
    up: anyio.CancelScope, choosing: anyio.CancelScope, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """The first signal ends intake and lets work in hand finish; the second ends all at once, and loses nothing."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if up.cancel_called:
                # What was acknowledged is on disk already; the next start goes on from there. The embedded bus and the
                # steps notice by themselves that their platform is gone.
                os._exit(128 + number)
            choosing.cancel()
            up.cancel()


async def _watch_hangup(
    reloader: Reloader | Operator, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """SIGHUP asks for the project to be loaded again, as daemons have it."""
    with anyio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            reloader.ask()


@dataclass(frozen=True, slots=True)
class Ground:
    """What every part stands on."""

    bus: NatsBus
    server: EmbeddedServer | None
    store: Store
    clock: Clock
    objects: StoreObjects
    """What steps of workflows share: the project's ConfigMaps and the like, and what they write over them."""


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
        bus.explain(lambda: server.waiting_for if server is not None else None)
        clock = SystemClock()
        objects = await stack.enter_async_context(open_objects(store, clock))
        yield Ground(bus, server, store, clock, objects)


class Platform:
    """All parts of one process, built from a project and not yet started."""

    def __init__(
        self, start: Start, read: Read, kinds: Kinds, ground: Ground, port: int, operator: Operator | None = None
    ) -> None:
        project = read.project
        self.reloader = operator or Reloader(start.project, read.known, self.take)
        self._start = start
        self._project = project
        self._compiled: dict[str, tuple[Item, Sensor]] = {}
        self._kinds = kinds
        self._ground = ground
        self._owner = f"{gethostname()}-{sha256(str(start.data).encode()).hexdigest()[:10]}"
        folder = start.settings.secrets.folder
        self._secrets = ProjectSecrets(bodies(project.secrets), bodies(project.config_maps), os.environ, folder)
        allow = start.settings.sensors.allow_remote_sources
        self._objects = TriggerObjects(start.project, start.data, self._secrets, allow_remote=allow)
        self._outbox = OutboxPublisher(ground.store, ground.bus, ground.clock)
        pipelines = start.settings.pipelines
        promoting = PromotionGround(
            ground.store, ground.clock, self._secrets, start.project, start.data, self._owner, pipelines.engine
        )
        self._promotions = Promotions(promoting, {item.model.name: item.model for item in project.promotions})
        self._kubernetes = Kubernetes(start.settings.kubernetes, pipelines.engine, ground.store, ground.clock)
        self._admission = open_admission(start.settings, start.data, self._kubernetes.cluster, ground.clock)
        self._dispatcher = self._build_dispatcher()
        self._sensors = self._build_sensors()
        telemetry = start.settings.telemetry
        self._tracing = Tracing(ground.store, open_sender(telemetry.endpoint, telemetry.traces, os.environ))
        self._workshop = Workshop(
            WorkshopGround(start, ground.bus, ground.store, ground.clock, ground.objects),
            self._owner,
            traced=self._tracing.wanted,
        )
        self._workshop.take(project, self._secrets)
        self._keeping = Keeping(ground.store, ground.clock, Keep.of(start.settings.store))
        self.sources = self._build_sources(port)
        host = self._sensors if "sensors" in start.roles else None
        self._ages = Ages(ground.clock, self._look)
        self._measures = Measures(ground.store.path, ground.clock)
        self._sensing = Sensing(ground.store, host, lambda: seen_sensors(self._project.sensors))
        self._spaces = Spaces(
            ground.store, lambda: self._project.sensors, lambda: self._promotions.documents, self._sensing.held
        )
        self.services = self._build_services()
        if operator is not None:
            view = View(lambda: self.sources.states() if self.sources else [], self._sensing, self._promotions.state)
            operator.bind(OperatorsPlatform(self._kubernetes.cluster, self.take, self._refusals, view))
            doors = open_services(start.settings.kubernetes, self._kubernetes.cluster, operator.moves)
            operator.settlers["EventSource"] = doors.settle
            operator.settlers["EventBus"] = start.bus.settle

    async def start_work(self, parts: Parts) -> None:
        """Start what works from the store alone, downstream first."""
        roles = self._start.roles
        await self._take_back()
        await parts.start("connection to the cluster", self._kubernetes.hold)
        await parts.start("traces", self._tracing.run)
        await parts.start("ages", self._ages.run)
        await parts.start("measures", self._measures.run)
        await parts.start("outbox", self._outbox.run)
        await parts.start("keeping", self._keeping.run)
        if self._admission is not None:
            await parts.start("admission webhook", self._admission.run)
        if "runner" in roles:
            await parts.start("promoter", self._promotions.run)
            await parts.start("cluster", self._kubernetes.run)
            await self._workshop.start_work(parts)
        if "sensors" in roles:
            await parts.start("dispatcher", self._dispatcher.run)
            if self._objects.remote is not None:
                await parts.start("objects of triggers", self._objects.remote.run)

    async def start_intake(self, parts: Parts) -> None:
        """Start what needs the bus: the sensors once they have their place in the log, then the sources."""
        if "sensors" in self._start.roles:
            await parts.start("sensors", self._sensors.run)
        if "runner" in self._start.roles:
            await self._workshop.start_intake(parts)
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

    # --- another version of the project ---------------------------------------------------------------------------

    async def take(self, project: Project) -> list[str]:
        """Run this project from now on; notes for people. What is the same as before is not touched.

        Raises:
            ConfigError: something in it cannot be run. Nothing has changed.
            Transient: the sensors cannot be changed now. Nothing has changed.
        """
        documents = [item.model for item in project.event_sources]
        wanted_of(documents)
        self._workshop.check(project)
        sensors = await anyio.to_thread.run_sync(self._compile, project)
        if "sensors" in self._start.roles:
            await self._objects.settle(project)
            await self._sensors.apply(sensors)
        self._secrets.replace(bodies(project.secrets), bodies(project.config_maps))
        self._workshop.take(project, self._secrets)
        await self._promotions.take({item.model.name: item.model for item in project.promotions})
        if self.sources is not None:
            await self.sources.apply(documents)
        self._project = project
        log.info("project.taken", sensors=len(sensors), sources=len(documents), promotions=len(project.promotions))
        return []

    def _refusals(self, project: Project) -> dict[str, str]:
        """Why sensors of a project cannot be run, by the place of their documents. Blocking."""
        sources, found = self._objects.of(project), dict[str, str]()
        for item in project.sensors:
            known = self._compiled.get(item.model.name)
            if known is not None and known[0] is item and not reads_project(item.model):
                continue
            try:
                Sensor(item.model, manifests=str(self._start.data / MANIFESTS), sources=sources)
            except ConfigError as error:
                found[item.document.file] = str(error)
        return found

    # --- building ------------------------------------------------------------------------------------------------

    def _build_dispatcher(self) -> Dispatcher:
        ground = self._ground
        services = self._start.settings.triggers
        tools = Tools(
            secrets=self._secrets,
            clock=ground.clock,
            promotions=self._promotions.of,
            resolve=self._promotions.resolve,
            data=self._start.data,
            network=NetworkSettings(slack_url=services.slack_url, aws_url=services.aws_url),
            engine=self._start.settings.pipelines.engine,
            workflows=self._kubernetes.creator,
            objects=KubeObjects(self._kubernetes.chosen, self._kubernetes.namespace),
            allow=Allow(self._start.settings.kubernetes.allow),
            space_of=self._space_of,
        )
        many = self._start.settings.sensors.concurrency
        settings = DispatchSettings(per_trigger=many, in_all=4 * many)
        return Dispatcher(self._ground.store, self._owner, self._kinds.triggers, tools=tools, settings=settings)

    def _space_of(self, sensor: str) -> str:
        """The namespace of a sensor of a cluster; files say of each object where it is to be."""
        item = self._compiled.get(sensor) if self._start.watch is not None else None
        return space_of(item[0].document.body) if item is not None else ""

    def _build_sensors(self) -> SensorHost:
        ground = self._ground
        sensors = self._compile(self._able(self._project))
        group, store = self._start.settings.sensors, self._start.settings.store
        keep = DecisionsKept(decisions_for=timedelta(days=store.decisions_days), decisions=store.decisions_rows)
        settings = HostSettings(max_depth=group.max_depth, keep=keep)
        return SensorHost(ground.bus, ground.store, ground.clock, sensors, sink=self._dispatcher, settings=settings)

    def _able(self, project: Project) -> Project:
        """Of what ran on a cluster before: what can run now. The operator says what is lacking, and waits for it."""
        if self._start.watch is None:
            return project
        refused = self._refusals(project)
        for place, reason in refused.items():
            log.warning("operator.cannot_start", object=place, reason=reason)
        return replace(project, sensors=tuple(one for one in project.sensors if one.document.file not in refused))

    def _compile(self, project: Project) -> list[Sensor]:
        """The project's sensors; the very same as before where the document is.

        Raises:
            ConfigError: one of them cannot be compiled.
        """
        manifests, known = str(self._start.data / MANIFESTS), self._compiled
        sources = self._objects.of(project)
        compiled: dict[str, tuple[Item, Sensor]] = {}
        for item in project.sensors:
            name: str = item.model.name
            if name in known and known[name][0] is item and not reads_project(item.model):
                compiled[name] = known[name]
            else:
                compiled[name] = item, Sensor(item.model, manifests=manifests, sources=sources)
        self._compiled = compiled
        return [sensor for _, sensor in compiled.values()]

    def _build_sources(self, port: int) -> SourceHost | None:
        if "sources" not in self._start.roles:
            return None
        ground = self._ground
        settings = SourceSettings(
            project=self._start.project, host=self._start.settings.server.host, platform_port=port
        )
        tools = SourceTools(ground.bus, ground.store, self._secrets, ground.clock, self._owner)
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
            states=self._ages.states,
            measures=self._measures,
            slots=self._workshop.runner.in_use,
            sources=lambda: self._source_rows() if sees() is None else [],
            sensing=self._sensing,
            promotions=lambda: seen_promotions(self._promotions.documents),
            manifests=lambda: seen_project(self._project),
            figures=self._figures,
            workflow_metrics=self._workshop.runner.metrics,
            actions=minded(
                {
                    **actions(
                        ground.store,
                        ground.clock,
                        self._promotions,
                        self._start.data,
                        self._workshop.artifacts,
                        self._kubernetes.cluster,
                    ),
                    "runs.delete": delete_action(
                        self._workshop.retention, ground.store, ground.clock, self._kubernetes.cluster
                    ),
                    **cron_actions(self._workshop.crons),
                    "events.again": partial(emit_again, ground.store, ground.bus, ground.clock),
                    "firings.approve": partial(self._sensing.answer, granted=True),
                    "firings.reject": partial(self._sensing.answer, granted=False),
                    "project.reload": self.reloader.reload,
                },
                MindingGround(ground.store, ground.clock, self._spaces),
            ),
        )

    # --- what it says of itself ----------------------------------------------------------------------------------

    def _look(self) -> list[PartState]:
        """For `/readyz`: each part, and what it waits for."""
        ground, roles = self._ground, self._start.roles
        waits = (ground.server.waiting_for if ground.server else None) or ground.bus.waiting_for
        found = [PartState("bus", waits is None, waits, vital=True)]
        trouble = self.reloader.trouble
        found.append(PartState("project", trouble is None, trouble))
        found += self.reloader.states() if isinstance(self.reloader, Operator) else []
        found.append(PartState("outbox", self._outbox.failing is None, self._outbox.failing))
        found.append(PartState("keeping", self._keeping.trouble is None, self._keeping.trouble))
        if self._tracing.wanted:
            found.append(PartState("traces", self._tracing.trouble is None, self._tracing.trouble))
        found += [self._admission.state()] if self._admission is not None else []
        if "sensors" in roles:
            host = self._sensors.state()
            found.append(PartState("sensors", host.ready, host.waiting_for))
            found.append(PartState("dispatcher", ready=True))
            if (remote := self._objects.remote) is not None:
                found.append(PartState("objects of triggers", remote.waiting_for is None, remote.waiting_for))
        if "runner" in roles:
            found += self._workshop.states() + self._kubernetes.states()
            for name, state in self._promotions.state().items():
                reason = state["reason"] or None
                found.append(PartState(f"promotion {name}", reason is None, reason))
        for one in self.sources.states() if self.sources else []:
            found.append(PartState(f"source {one.name}", one.state in {"listening", "standby"}, one.waiting_for))
        return found

    def _source_rows(self) -> list[dict[str, Any]]:
        return [source_rows.row(one) for one in self.sources.states()] if self.sources else []

    def _figures(self) -> Figures:
        ledger, now = self._sensors.ledger, self._sensors.state().now
        return Figures(dict(ledger.outcomes), ledger.ticks, now)
