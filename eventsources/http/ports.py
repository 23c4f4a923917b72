"""The ports that webhooks are served on: the platform's own, and one small server for each port that manifests name."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from eventsources.host.settings import SourceSettings
from eventsources.http.door import WebhookApp
from retrain.errors import ConfigError
from retrain.log import get_logger
from retrain.serving import Server, bind

log = get_logger()


class Identity(Protocol):
    """What a port shows over TLS; see `serving_tls`. Two that are equal are the same."""

    def context(self) -> ssl.SSLContext: ...
    def load_into(self, context: ssl.SSLContext) -> None: ...


@dataclass(slots=True)
class Port:
    """One port that is served. `app` has the endpoints of all who share it."""

    app: WebhookApp
    identity: Identity | None = None
    tls: ssl.SSLContext | None = None
    users: int = 0
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)

    def show(self, identity: Identity | None) -> None:
        """Show another certificate to whoever connects from now on.

        Raises:
            ConfigError: it is no certificate with its key; the old one stays.
        """
        if identity is not None and self.tls is not None and identity != self.identity:
            identity.load_into(self.tls)
            self.identity = identity
            log.info("webhook.certificate_changed")


class Ports:
    """Applications by port. A port is opened by its first user and closed after its last; servers run in `tasks`."""

    def __init__(self, tasks: TaskGroup, settings: SourceSettings, platform: WebhookApp) -> None:
        self._tasks = tasks
        self._settings = settings
        self._platform = Port(platform)
        self._open: dict[int, Port] = {}

    @asynccontextmanager
    async def open(self, number: int | None, identity: Identity | None = None) -> AsyncGenerator[Port]:
        """A port (None: the platform's), served as long as the block runs, over TLS where `identity` says so.

        Raises:
            ConfigError: the port cannot be opened now, or is served with another identity.
        """
        if number is None or number == self._settings.platform_port:
            if identity is not None:
                raise ConfigError("the platform's own port speaks no TLS; give the endpoint a port of its own")
            yield self._platform
            return
        port = self._open.get(number) or self._start(number, identity)
        if port.identity != identity:
            raise ConfigError(f"port {number} is served with another certificate, or without one, for another endpoint")
        port.users += 1
        try:
            yield port
        finally:
            port.users -= 1
            if not port.users:
                await self._stop(number, port)

    def _start(self, number: int, identity: Identity | None) -> Port:
        tls = identity.context() if identity is not None else None
        port = Port(WebhookApp(), identity, tls)
        server = Server(port.app, bind(self._settings.host, number), drain_s=self._settings.stop_s / 2, tls=tls)
        self._open[number] = port
        self._tasks.start_soon(self._serve, port, server, name=f"webhooks on port {number}")
        log.info("webhook.port_opened", host=self._settings.host, port=number, tls=tls is not None)
        return port

    async def _serve(self, port: Port, server: Server) -> None:
        try:
            with port.scope:
                await server.run()
        finally:
            port.ended.set()

    async def _stop(self, number: int, port: Port) -> None:
        del self._open[number]
        port.scope.cancel()
        # Shielded: the port must be free for its next user, and requests in hand end within the server's grace.
        with anyio.move_on_after(self._settings.stop_s, shield=True):
            await port.ended.wait()
        log.info("webhook.port_closed", port=number)
