"""The ports that webhooks are served on: the platform's own, and one small server for each port that manifests name."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import structlog
from anyio.abc import TaskGroup

from eventsources.host.settings import SourceSettings
from eventsources.http.door import WebhookApp
from retrain.serving import Server, bind

log = structlog.get_logger()


@dataclass(slots=True)
class _Open:
    app: WebhookApp
    users: int = 0
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)


class Ports:
    """Applications by port. A port is opened by its first user and closed after its last; servers run in `tasks`."""

    def __init__(self, tasks: TaskGroup, settings: SourceSettings, platform: WebhookApp) -> None:
        self._tasks = tasks
        self._settings = settings
        self._platform = platform
        self._open: dict[int, _Open] = {}

    @asynccontextmanager
    async def open(self, port: int | None) -> AsyncGenerator[WebhookApp]:
        """The application of a port (None: the platform's), served as long as the block runs.

        Raises:
            ConfigError: the port cannot be opened now.
        """
        if port is None or port == self._settings.platform_port:
            yield self._platform
            return
        entry = self._open.get(port) or self._start(port)
        entry.users += 1
        try:
            yield entry.app
        finally:
            entry.users -= 1
            if not entry.users:
                await self._stop(port, entry)

    def _start(self, port: int) -> _Open:
        entry = _Open(WebhookApp())
        server = Server(entry.app, bind(self._settings.host, port), drain_s=self._settings.stop_s / 2)
        self._open[port] = entry
        self._tasks.start_soon(self._serve, entry, server, name=f"webhooks on port {port}")
        log.info("webhook.port_opened", host=self._settings.host, port=port)
        return entry

    async def _serve(self, entry: _Open, server: Server) -> None:
        try:
            with entry.scope:
                await server.run()
        finally:
            entry.ended.set()

    async def _stop(self, port: int, entry: _Open) -> None:
        del self._open[port]
        entry.scope.cancel()
        # Shielded: the port must be free for its next user, and requests in hand end within the server's grace.
        with anyio.move_on_after(self._settings.stop_s, shield=True):
            await entry.ended.wait()
        log.info("webhook.port_closed", port=port)
