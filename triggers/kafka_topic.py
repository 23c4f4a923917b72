"""The `kafka` trigger: one record for each firing, done when the brokers have acknowledged it.

Where it is not upstream's: there a record counts as sent before it is, errors are only logged, and the broker's
certificate is never checked.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread

from retrain.errors import Permanent, Transient
from retrain.events import JsonValue
from triggers.addresses import check_server
from triggers.connections import Connections
from triggers.kafka_record import KafkaCluster, build_request
from triggers.port import Firing, Tools, Trigger
from triggers.tls import TlsContexts

if TYPE_CHECKING:
    from triggers.kafka_producer import KafkaConnection


class KafkaTrigger:
    """Sends records. Get one from `open_kafka_topic`."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._contexts = TlsContexts()
        self.connections: Connections[KafkaConnection] = Connections(tools.network)

    async def fire(self, firing: Firing, attempt: int) -> JsonValue:
        """Send. The result: `{"topic", "partition", "offset"}`.

        Raises:
            Transient: the brokers are away, or do not say whether they have it.
            Permanent: the action is no record, or the brokers refuse it.
        """
        del attempt  # a retry is the same record
        request = build_request(firing, self._tools.secrets, self._contexts)
        try:
            async with self.connections.use(request.cluster, lambda: self._dial(request.cluster)) as connection:
                return await connection.send(request.record)
        except (Permanent, Transient) as error:
            error.args = (request.redact(str(error)),)
            raise

    async def _dial(self, cluster: KafkaCluster) -> KafkaConnection:
        module = await anyio.to_thread.run_sync(_library)
        for host, port in cluster.servers:
            await check_server(host, port, self._tools.http.deny, self._tools.http.allow)
        return await module.dial(cluster, self._tools.network.dial_s, self._tools.network.answer_s)


def _library():
    # The client costs start-up time and memory, and most platforms have no such trigger.
    from triggers import kafka_producer

    return kafka_producer


@asynccontextmanager
async def open_kafka_topic(tools: Tools) -> AsyncGenerator[Trigger]:
    """Hold the producers of all `kafka` triggers while the platform runs."""
    trigger = KafkaTrigger(tools)
    try:
        yield trigger
    finally:
        await trigger.connections.aclose()
