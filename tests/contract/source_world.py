"""A source host on a real bus and store, and ways to make the outside world do something, for tests of sources."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx2
import urllib3
from minio import Minio

from eventsources import EventSourceDocument, SourceHost, SourceSettings, SourceState, Tools
from retrain.bus import Bus, MemoryBus, Record
from retrain.clock import Clock, SystemClock
from retrain.errors import BusError, NotFound
from retrain.events import Event
from retrain.store import Store, deadletters
from retrain.store.deadletters import DeadLetter
from tests.servers.launch import MinioServer, free_port

OURS, ARGO = "retrain.dev/v1", "argoproj.io/v1alpha1"
DEADLINE_S = 45
POOL = urllib3.PoolManager(retries=False)


def document(name: str = "es", version: str = OURS, **spec: Any) -> EventSourceDocument:
    """An EventSource; `spec` is what stands under spec."""
    return EventSourceDocument.model_validate(
        {"apiVersion": version, "kind": "EventSource", "metadata": {"name": name}, "spec": spec}
    )


@dataclass
class Secrets:
    """Secrets and config maps that a test may change while a source runs."""

    values: dict[tuple[str, str], str] = field(default_factory=dict)
    configs: dict[tuple[str, str], str] = field(default_factory=dict)

    def secret(self, name: str, key: str) -> str:
        try:
            return self.values[name, key]
        except KeyError:
            raise NotFound(f"no secret {name!r} has a key {key!r}") from None

    def config(self, name: str, key: str) -> str:
        try:
            return self.configs[name, key]
        except KeyError:
            raise NotFound(f"no config map {name!r} has a key {key!r}") from None


@dataclass
class Platform:
    """The platform's side: a bus, a store, and hosts that come and go."""

    bus: Bus
    store: Store
    secrets: Secrets = field(default_factory=Secrets)
    settings: SourceSettings = field(default_factory=SourceSettings)
    kinds: dict[str, Any] | None = None
    clock: Clock = field(default_factory=SystemClock)

    @asynccontextmanager
    async def running(self, *documents: EventSourceDocument) -> AsyncGenerator[SourceHost]:
        """A host on these documents, up to the end of the block, where it must stop within five seconds."""
        tools = Tools(self.bus, self.store, self.secrets, clock=self.clock)
        host = SourceHost(documents, tools, settings=self.settings, kinds=self.kinds)
        done = anyio.Event()

        async def run(*, task_status: Any) -> None:
            try:
                await host.run(task_status=task_status)
            finally:
                done.set()

        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(DEADLINE_S):
                await tasks.start(run)
            yield host
            tasks.cancel_scope.cancel()
            with anyio.fail_after(5, shield=True):
                await done.wait()

    async def records(self, count: int = 1, deadline_s: float = DEADLINE_S) -> list[Record]:
        """All events of the log, once there are `count` at least."""
        found: list[Record] = []
        with anyio.fail_after(deadline_s):
            async with self.bus.tail(0) as batches:
                while len(found) < count:
                    found += await anext(batches)
        return found

    async def all(self) -> list[Record]:
        """All events of the log now."""
        found: list[Record] = []
        while page := await self.bus.read(found[-1].position if found else 0, limit=500):
            found += page
        return found

    async def letters(self, count: int = 1) -> list[DeadLetter]:
        """All dead letters, once there are `count` at least."""
        with anyio.fail_after(DEADLINE_S):
            while len(found := (await self.store.read(deadletters.listing)).items) < count:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        return list(found)


World = Platform


class Flaky:
    """A bus that is away when it is told so. `offered`: the ids of events that came to it meanwhile."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self.away = False
        self.refused = 0
        self.offered: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bus, name)

    async def publish(self, event: Event) -> Any:
        self._check([event])
        return await self.bus.publish(event)

    async def publish_many(self, events: Sequence[Event]) -> Any:
        self._check(events)
        return await self.bus.publish_many(events)

    def _check(self, events: Sequence[Event]) -> None:
        if self.away:
            self.refused += 1
            self.offered.update(one.id for one in events)
            raise BusError("away")


async def until(condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition that no event tells of."""
    with anyio.fail_after(deadline_s):
        while not condition():  # noqa: ASYNC110 - of what is in another program nothing tells
            await anyio.sleep(0.01)


async def state(host: SourceHost, wanted: str) -> SourceState:
    """The state of the host's only source, once it is as wanted."""
    await until(lambda: host.states()[0].state == wanted)
    return host.states()[0]


@dataclass
class Hook:
    """A webhook on a port of its own."""

    port: int = field(default_factory=free_port)
    version: str = OURS
    kind = "webhook"

    def document(self, **more: Any) -> EventSourceDocument:
        hook = {"port": str(self.port), "endpoint": "/in", "method": "POST", **more}
        return document(version=self.version, webhook={"thing": hook})

    async def post(self, path: str = "/in", **more: Any) -> httpx2.Response:
        url = f"http://127.0.0.1:{self.port}"
        async with httpx2.AsyncClient(base_url=url, timeout=DEADLINE_S, verify=False) as client:  # no TLS here
            return await client.request(more.pop("method", "POST"), path, **more)

    async def happen(self, name: str) -> None:
        (await self.post(json={"name": name}, headers={"Idempotency-Key": name})).raise_for_status()


@dataclass
class Drop:
    """A directory that files are dropped into."""

    directory: Path
    version: str = OURS
    kind = "file"

    def document(self, **more: Any) -> EventSourceDocument:
        watch = {"directory": str(self.directory), "pathRegexp": ".*"}
        return document(version=self.version, file={"thing": {"watchPathConfig": watch, "eventType": "CREATE", **more}})

    async def happen(self, name: str) -> None:
        (self.directory / name).write_bytes(os.fsencode(name))


@dataclass
class Objects:
    """A bucket that objects are put into."""

    server: MinioServer
    version: str = OURS
    bucket: str = field(default_factory=lambda: f"b-{uuid4().hex[:12]}")
    kind = "minio"

    def __post_init__(self) -> None:
        self.client.make_bucket(self.bucket)

    @property
    def client(self) -> Minio:
        server = self.server
        return Minio(
            endpoint=server.endpoint,
            access_key=server.access_key,
            secret_key=server.secret_key,
            secure=False,
            region="us-east-1",
            http_client=POOL,
        )

    def document(self, **more: Any) -> EventSourceDocument:
        source = {
            "endpoint": self.server.endpoint,
            "insecure": True,
            "bucket": {"name": self.bucket},
            "accessKey": {"name": "minio", "key": "access"},
            "secretKey": {"name": "minio", "key": "secret"},
            **more,
        }
        return document(version=self.version, minio={"thing": source})

    def secrets(self) -> Secrets:
        return Secrets({("minio", "access"): self.server.access_key, ("minio", "secret"): self.server.secret_key})

    async def happen(self, name: str) -> None:
        await anyio.to_thread.run_sync(self.put, name, name.encode())

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(self.bucket, key, io.BytesIO(content), len(content))


def bodies(records: Iterable[Record]) -> list[Any]:
    return [record.event.data for record in records]
