"""One producer for a Kafka cluster, for the `kafka` trigger. Imported when the first such firing acts.

The client has a thread of its own and may block, so it is called from worker threads; what gathers for a topic while
one call is on its way goes with the next. Its word that a record is stored comes back on that thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaConfigurationError, KafkaError, KafkaTimeoutError
from kafka.net.compat import KafkaNetClient

from retrain.errors import Permanent, RetrainError, Transient
from retrain.events import JsonValue
from triggers.kafka_record import KafkaCluster, KafkaRecord

MAX_RECORD = 8 * 1024 * 1024
"""Bytes of one record. A broker takes 1 MiB unless it is told otherwise, and says so."""
CLOSING_S = 3.0
AGAIN = ("BrokerNotAvailableError", "NoBrokersAvailable", "UnknownError", "OutOfOrderSequenceNumberError")
"""Errors that the client takes for final, and that another attempt may not meet."""

OF_ONE_RECORD = (
    "InvalidTopicError",
    "KafkaTimeoutError",
    "MessageSizeTooLargeError",
    "RecordListTooLargeError",
    "TopicAuthorizationFailedError",
)
"""Errors after which the client is as good as before."""
PROTOCOLS = {
    (False, False): "PLAINTEXT",
    (False, True): "SASL_PLAINTEXT",
    (True, False): "SSL",
    (True, True): "SASL_SSL",
}
"""By whether there is TLS, and a login."""

# It logs every failed try, many a second while a broker is away. What matters comes back as an error of a firing.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class _Sending:
    """A record on its way; `ended` is set once `stored` or `error` is known."""

    record: KafkaRecord
    ended: anyio.Event = field(default_factory=anyio.Event)
    stored: Any = None
    error: BaseException | None = None


@dataclass(eq=False, slots=True)
class _Topic:
    """Records of one topic that the client has not been given yet."""

    lock: anyio.Lock = field(default_factory=anyio.Lock)
    waiting: list[_Sending] = field(default_factory=list[_Sending])


class KafkaConnection:
    """Sends records. Get one from `dial`."""

    def __init__(self, producer: KafkaProducer, cluster: KafkaCluster, answer_s: float) -> None:
        self._producer = producer
        self._cluster = cluster
        self._answer_s = answer_s
        self._topics: dict[str, _Topic] = {}
        self._mailbox = _Mailbox()
        self._threads = anyio.CapacityLimiter(4)
        self._closed = False

    @property
    def lost(self) -> bool:
        return self._closed

    async def aclose(self) -> None:
        self._closed = True
        await anyio.to_thread.run_sync(self._producer.close, CLOSING_S)

    async def send(self, record: KafkaRecord) -> dict[str, JsonValue]:
        """Send, and wait until the brokers have it. The result: `{"topic", "partition", "offset"}`.

        Raises:
            Permanent: the brokers refuse it.
            Transient: they are away, or do not say in time whether they have it.
        """
        sending = _Sending(record)
        try:
            # The client gives up by itself, and says why; this is for one that says nothing.
            with anyio.fail_after(2 * self._answer_s + 5):
                await self._hand_over(sending)
                await sending.ended.wait()
        except TimeoutError:
            self._closed = True  # its thread is dead or stuck: the next firing gets another
            raise Transient(f"kafka {self._cluster.where}: no word about the record") from None
        if sending.error is not None:
            # After some errors the client numbers its records wrongly for ever, and every later one fails too.
            self._closed |= type(sending.error).__name__ not in OF_ONE_RECORD
            raise _translated(sending.error, self._cluster) from sending.error
        return {
            "topic": sending.stored.topic,
            "partition": sending.stored.partition,
            "offset": sending.stored.offset,
        }

    async def _hand_over(self, sending: _Sending) -> None:
        """Give the client what has gathered for the topic. Whoever waited for the lock mostly finds its own given."""
        topic = self._topics.setdefault(sending.record.topic, _Topic())
        topic.waiting.append(sending)
        try:
            # Each topic for itself: the client waits for one that it does not know.
            async with topic.lock:
                if sending not in topic.waiting:
                    return
                batch, topic.waiting = topic.waiting, []
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self._send_all, batch, limiter=self._threads)
        finally:
            if sending in topic.waiting:
                topic.waiting.remove(sending)
            if not topic.waiting and not topic.lock.statistics().tasks_waiting:
                self._topics.pop(sending.record.topic, None)

    def _send_all(self, batch: list[_Sending]) -> None:
        """Runs in a worker thread. Waits for the topic's partitions once at most, not once for each record."""
        unknown: KafkaTimeoutError | None = None
        for one in batch:
            if unknown is not None:
                self._mailbox.put(one, None, unknown)
                continue
            record = one.record
            try:
                future = self._producer.send(record.topic, record.value, record.key, record.headers)
            except Exception as error:  # noqa: BLE001 - of this record alone; `send` sorts it
                unknown = error if isinstance(error, KafkaTimeoutError) else unknown
                self._mailbox.put(one, None, error)
            else:
                future.add_callback(partial(self._mailbox.put, one, error=None))
                future.add_errback(partial(self._mailbox.put, one, None))


class _Mailbox:
    """Brings ends of records from the client's thread to the event loop, many with one call."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended: deque[_Sending] = deque()
        self._rung = False

    def put(self, sending: _Sending, stored: Any, error: BaseException | None) -> None:
        sending.stored, sending.error = stored, error
        self._ended.append(sending)
        if not self._rung:
            self._rung = True
            self._call(self._empty)

    def _call(self, work: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:
            log.debug("trigger.kafka_late", records=len(self._ended))  # the platform has ended meanwhile

    def _empty(self) -> None:
        self._rung = False
        while self._ended:
            self._ended.popleft().ended.set()


async def dial(cluster: KafkaCluster, dial_s: float, answer_s: float) -> KafkaConnection:
    """Connect to the cluster.

    Raises:
        Permanent: the login or the configuration is refused.
        Transient: no broker answers.
    """
    try:
        producer = await anyio.to_thread.run_sync(_connect, cluster, dial_s, answer_s, abandon_on_cancel=True)
    except KafkaTimeoutError as error:
        # The client tries until its time is over, whatever the brokers say, and a refused login looks like a lost one.
        refused = ", or they refuse the login" if cluster.mechanism else ""
        secured = ", or their certificates are not trusted" if cluster.tls is not None else ""
        raise Transient(f"kafka {cluster.where}: no broker answers{refused}{secured}") from error
    except (KafkaError, OSError) as error:
        raise _translated(error, cluster) from error
    return KafkaConnection(producer, cluster, answer_s)


def _connect(cluster: KafkaCluster, dial_s: float, answer_s: float) -> KafkaProducer:
    """Runs in a worker thread."""
    clients: list[Any] = []

    def open_client(**config: Any) -> KafkaNetClient:
        clients.append(KafkaNetClient(**config))
        return clients[0]

    try:
        return KafkaProducer(**_options(cluster, dial_s, answer_s), kafka_client=open_client)
    except BaseException:
        # A producer that finds no broker forgets its client, with the sockets open.
        for client in clients:
            client.close()
        raise


def _options(cluster: KafkaCluster, dial_s: float, answer_s: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": [f"{host}:{port}" for host, port in cluster.servers],
        "client_id": "retrain",
        "security_protocol": PROTOCOLS[cluster.tls is not None, bool(cluster.mechanism)],
        "acks": cluster.acks,
        # With it a retry of the client's own is not a second record; it needs every replica's word.
        "enable_idempotence": cluster.acks == -1,
        "compression_type": "gzip" if cluster.compress else None,
        "bootstrap_timeout_ms": int(dial_s * 800),  # less than what the dial is given: it can say more
        "max_block_ms": int(dial_s * 1000),
        "request_timeout_ms": int(answer_s * 500),
        "delivery_timeout_ms": int(answer_s * 1000),
        "max_request_size": MAX_RECORD,
        "metrics_enabled": False,
    }
    if cluster.mechanism:
        options["sasl_mechanism"] = cluster.mechanism
        options["sasl_plain_username"] = cluster.user
        options["sasl_plain_password"] = cluster.password
    if cluster.tls is not None:
        options["ssl_context"] = cluster.tls
        options["ssl_check_hostname"] = cluster.tls.check_hostname
    return options


def _translated(error: BaseException, cluster: KafkaCluster) -> RetrainError:
    if isinstance(error, RetrainError):
        return error
    name = type(error).__name__
    said = f"kafka {cluster.where}: {_first_line(error) or name}"
    final = isinstance(error, KafkaConfigurationError | TypeError | ValueError) or (
        isinstance(error, KafkaError) and not error.retriable and name not in AGAIN
    )
    return Permanent(said) if final else Transient(said)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300]
