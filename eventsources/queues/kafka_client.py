"""One consumer of a Kafka topic: its blocking calls, one at a time. Imported when a source connects.

The library has a thread of its own that keeps the membership of a group alive. Its automatic commits and its policies
for lost offsets are off: a commit follows what is safe, and an offset that is gone leads to the oldest record there is.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from kafka import KafkaConsumer
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    KafkaTimeoutError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.net.compat import KafkaNetClient
from kafka.structs import OffsetAndMetadata, TopicPartition

from retrain.errors import Transient

POLL_MS = 1000
"""A poll returns as soon as there is a record; without one it lasts so long, and no stop has to wait longer."""

DIAL_MS, ANSWER_MS = 5000, 10_000
PROTOCOLS = {
    (False, False): "PLAINTEXT",
    (False, True): "SASL_PLAINTEXT",
    (True, False): "SSL",
    (True, True): "SASL_SSL",
}
"""By whether there is TLS, and a login."""

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
}
MOVED = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
"""What a commit says when the partitions have gone to another member meanwhile: it reads the records again."""

# It logs every failed try, many a second while a broker is away. What matters is in the source's state.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where and who. `mechanism` empty: no login."""

    servers: tuple[str, ...]
    tls: ssl.SSLContext | None = None
    mechanism: str = ""
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def where(self) -> str:
        return ",".join(self.servers)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read: a topic by a group, or one partition of it. `oldest`: what was never read is read whole.

    `most`: records of one poll.
    """

    topic: str
    group: str | None
    partition: int | None
    strategy: str = "range"
    oldest: bool = False
    most: int = 2000


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll gave. `positions`: the next offset of each partition read, to be committed once all is safe.

    `missing`: partitions that the brokers know no offset of, and that wait for `begin`. `gone`: an offset was no more.
    """

    records: list[Any] = field(default_factory=list[Any])
    positions: Mapping[int, int] = field(default_factory=dict[int, int])
    assigned: int = 0
    lag: int | None = None
    missing: tuple[int, ...] = ()
    gone: bool = False


class Consumer:
    """A consumer in a group, or of one partition. Every call blocks; `close` may come from any thread, at any time."""

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self._cluster = cluster
        self._plan = plan
        self._lock = threading.Lock()
        self._client: KafkaNetClient | None = None
        self._consumer: Any = None
        self._closed = False

    def open(self, position: int | None = None) -> None:
        """Connect. `position`: the offset to read a single partition from; None as the plan says.

        Raises:
            Transient: no broker answers, the login is refused, or there is no such topic or partition.
        """
        with self._translated(), self._lock:
            self._consumer = KafkaConsumer(**self._options(), kafka_client=self._keep_client)
            partitions = self._consumer.partitions_for_topic(self._plan.topic)
            if not partitions:
                raise Transient(f"kafka {self._cluster.where}: there is no topic {self._plan.topic!r}")
            if self._plan.partition is None:
                self._consumer.subscribe([self._plan.topic])
                return
            if self._plan.partition not in partitions:
                said = f"topic {self._plan.topic!r} has no partition {self._plan.partition}, only {len(partitions)}"
                raise Transient(f"kafka {self._cluster.where}: {said}")
            only = TopicPartition(self._plan.topic, self._plan.partition)
            self._consumer.assign([only])
            if position is not None:
                self._consumer.seek(only, position)

    def poll(self) -> Polled:
        """The next records, at most `plan.most`; none after POLL_MS without any.

        Raises:
            Transient: as `open`.
        """
        with self._translated(), self._lock:
            if self._closed:
                return Polled()
            try:
                found = self._consumer.poll(timeout_ms=POLL_MS, max_records=self._plan.most)
            except NoOffsetForPartitionError as error:
                return Polled(missing=tuple(one.partition for one in error.args[0]), assigned=self._assigned())
            except OffsetOutOfRangeError as error:
                # Retention has removed it, or the topic was made again: the oldest record there is comes next.
                self._consumer.seek_to_beginning(*error.args[0])
                return Polled(positions=self._positions(error.args[0]), assigned=self._assigned(), gone=True)
            positions = self._positions(found)
            records = [record for part in found.values() for record in part]
            return Polled(records, positions, self._assigned(), self._lag(self._highwaters()))

    def commit(self, positions: Mapping[int, int]) -> bool:
        """Write down how far the group has read; whether it did. False: the partitions belong to another member now.

        Raises:
            Transient: the brokers are away.
        """
        offsets = {
            TopicPartition(self._plan.topic, partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in positions.items()
        }
        with self._translated(), self._lock:
            try:
                self._consumer.commit(offsets, timeout_ms=ANSWER_MS)
            except MOVED:
                return False
            return True

    def probe(self) -> int | None:
        """How many records wait; asks the brokers, and so finds out whether they are there.

        Raises:
            Transient: they are not, or the topic is gone.
        """
        with self._translated(), self._lock:
            mine = self._consumer.assignment()
            every = [
                TopicPartition(self._plan.topic, one) for one in self._consumer.partitions_for_topic(self._plan.topic)
            ]
            if not every:
                raise Transient(f"kafka {self._cluster.where}: there is no topic {self._plan.topic!r}")
            return self._lag(self._consumer.end_offsets(sorted(mine or every), timeout_ms=ANSWER_MS))

    def close(self) -> None:
        """Leave the group and close the connections. Closing twice is once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._consumer is not None:
                self._consumer.close(autocommit=False, timeout_ms=1000)
            elif self._client is not None:
                # A consumer that finds no broker forgets its client, with the sockets open.
                self._client.close()

    def begin(self, partitions: Mapping[int, int | None], *, oldest: bool) -> dict[int, int]:
        """Where to go on with partitions that have no offset: at the one given, if it is still theirs.

        Those without one begin with the oldest record, or with what comes next. The result is to be committed at once:
        else a record that comes between this start and the first commit would be skipped by the next start.

        Raises:
            Transient: as `open`.
        """
        with self._translated(), self._lock:
            these = {TopicPartition(self._plan.topic, one): offset for one, offset in partitions.items()}
            ends = self._consumer.end_offsets(list(these), timeout_ms=ANSWER_MS)
            for one, offset in these.items():
                if offset is not None and offset <= ends[one]:
                    self._consumer.seek(one, offset)
                elif offset is not None or oldest:
                    self._consumer.seek_to_beginning(one)
                else:
                    self._consumer.seek(one, ends[one])
            return self._positions(these)

    def partitions(self) -> int:
        """How many partitions the topic has."""
        with self._translated(), self._lock:
            return len(self._consumer.partitions_for_topic(self._plan.topic))

    def _positions(self, partitions: Iterable[TopicPartition]) -> dict[int, int]:
        return {one.partition: self._consumer.position(one, timeout_ms=ANSWER_MS) for one in partitions}

    def _assigned(self) -> int:
        return len(self._consumer.assignment())

    def _highwaters(self) -> dict[TopicPartition, int | None]:
        return {one: self._consumer.highwater(one) for one in self._consumer.assignment()}

    def _lag(self, ends: Mapping[TopicPartition, int | None]) -> int | None:
        """How far the positions are behind the ends; None while a position is unknown."""
        behind = 0
        for one in self._consumer.assignment():
            # `position` would ask the brokers where none is known yet.
            state = self._consumer._subscription.assignment[one].position
            if state is None:
                return None
            # Nothing was fetched of a partition without an end: as far as is known, nothing waits there.
            behind += max(0, (ends.get(one) or 0) - state.offset)
        return behind

    def _keep_client(self, **config: Any) -> KafkaNetClient:
        self._client = KafkaNetClient(**config)
        return self._client

    def _translated(self) -> _Translated:
        return _Translated(self._cluster, self._refused)

    def _refused(self) -> bool:
        """Whether a broker has refused the login: the library goes on trying, and says that nobody answers."""
        return bool(getattr(getattr(self._client, "_manager", None), "_auth_failures", None))

    def _options(self) -> dict[str, Any]:
        cluster, plan = self._cluster, self._plan
        options: dict[str, Any] = {
            "bootstrap_servers": list(cluster.servers),
            "client_id": "retrain",
            "group_id": plan.group,
            "security_protocol": PROTOCOLS[cluster.tls is not None, bool(cluster.mechanism)],
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "allow_auto_create_topics": False,
            # What a transaction has taken back did not happen.
            "isolation_level": "read_committed",
            "partition_assignment_strategy": (ASSIGNORS[plan.strategy],),
            "max_poll_records": plan.most,
            # So long the partitions of a member that was killed belong to nobody.
            "session_timeout_ms": 10_000,
            "metadata_max_age_ms": 30_000,
            "bootstrap_timeout_ms": DIAL_MS,
            "request_timeout_ms": ANSWER_MS,
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


class _Translated:
    """Turns the library's errors into Transient, with the cluster's address and without what was sent."""

    def __init__(self, cluster: Cluster, refused: Callable[[], bool]) -> None:
        self._cluster = cluster
        self._refused = refused

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, KafkaError | OSError):
            return
        raise Transient(f"kafka {self._cluster.where}: {self._reason(error)}") from error

    def _reason(self, error: BaseException) -> str:
        if self._refused():
            return "the brokers refuse the login"
        if isinstance(error, KafkaTimeoutError):
            secured = ", or their certificates are not trusted" if self._cluster.tls is not None else ""
            return f"no broker answers{secured}"
        said = str(cast("object", error)).strip().partition("\n")[0][:300]
        return said or type(error).__name__
