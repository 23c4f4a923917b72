"""The `nats` trigger: one message for each firing, done when the server has it.

Where it is not upstream's: there a message counts as sent once it stands in the client's buffer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from retrain.errors import Permanent, Transient
from retrain.events import JsonValue
from triggers.addresses import check_server
from triggers.connections import Connections
from triggers.nats_message import PORT, NatsServer, build_request
from triggers.port import Firing, Tools, Trigger
from triggers.tls import TlsContexts

if TYPE_CHECKING:
    from triggers.nats_connection import NatsConnection


class NatsTrigger:
    """Publishes messages. Get one from `open_nats_subject`."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._contexts = TlsContexts()
        self.connections: Connections[NatsConnection] = Connections(tools.network)

    async def fire(self, firing: Firing, attempt: int) -> JsonValue:
        """Publish. The result: `{"subject", "bytes"}`, and `{"stream", "sequence"}` where a stream has it.

        Raises:
            Transient: the server is away, or takes nothing now.
            Permanent: the action is no message, or the server refuses it.
        """
        del attempt  # a retry is the same message
        request = build_request(firing, self._tools.secrets, self._contexts)
        try:
            async with self.connections.use(request.server, lambda: self._dial(request.server)) as connection:
                return await connection.publish(request.message)
        except (Permanent, Transient) as error:
            error.args = (request.redact(str(error)),)
            raise

    async def _dial(self, server: NatsServer) -> NatsConnection:
        # The client costs start-up time and memory, and most platforms have no such trigger.
        from triggers.nats_connection import dial

        for url in map(urlsplit, server.urls):
            await check_server(url.hostname or "", url.port or PORT, self._tools.http.deny, self._tools.http.allow)
        return await dial(server, self._tools.network.dial_s, self._tools.network.answer_s)


@asynccontextmanager
async def open_nats_subject(tools: Tools) -> AsyncGenerator[Trigger]:
    """Hold the connections of all `nats` triggers while the platform runs."""
    trigger = NatsTrigger(tools)
    try:
        yield trigger
    finally:
        await trigger.connections.aclose()
