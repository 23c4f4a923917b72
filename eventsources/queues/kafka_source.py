"""Runs a Kafka source: a batch of records, safe on the bus, then the commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

from eventsources import daemon
from eventsources.fields import SASL
from eventsources.port import SourceContext, SourceState
from eventsources.queues.kafka import Kafka, brokers
from eventsources.queues.kafka_record import KafkaRecord, data_of
from eventsources.tls import client_context
from eventsources.trying import keep_trying
from retrain.errors import Permanent
from retrain.events import Event, JsonValue
from retrain.log import get_logger
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.queues.kafka_client import Cluster, Consumer, Plan, Polled

log = get_logger()

PROBE_S = 10.0
"""Seconds of silence after which the brokers are asked whether they are still there."""

JOIN_S = 5.0
"""Seconds for a group to hand out its partitions; a member without any after that is told so."""

CLOSING_S = 3.0
MOST = 2000
PARTITIONS = "partitions"
"""How many partitions the topic had at the very first start: what came later is read from its beginning."""


@dataclass(slots=True)
class _Batch:
    """What one poll has given, read: events, and what cannot be read as (thing, bytes, reason)."""

    events: list[Event] = field(default_factory=list[Event])
    unreadable: list[tuple[str, bytes, str]] = field(default_factory=list[tuple[str, bytes, str]])


class KafkaSource:
    """One entry of `spec.kafka`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:
        assert isinstance(spec, Kafka)
        self._name = name
        self._spec = spec
        self._context = context
        self._status = context.status
        self._note: str | None = None

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._receive)

    async def _receive(self) -> None:
        """Connect and read until the brokers are away."""
        from eventsources.queues.kafka_client import Consumer

        plan = self._plan()
        consumer = Consumer(self._cluster(), plan)
        try:
            await daemon.run_sync(consumer.open, await self._position(plan))
            await self._read(consumer)
        finally:
            with anyio.move_on_after(CLOSING_S, shield=True):
                await daemon.run_sync(consumer.close)

    async def _read(self, consumer: Consumer) -> None:
        heard = began = self._context.clock.monotonic()
        self._note = "not in the group yet"
        while True:
            polled = await daemon.run_sync(consumer.poll)
            if polled.missing:
                await self._begin(consumer, polled.missing)
            elif polled.assigned or self._context.clock.monotonic() - began > JOIN_S:
                self._say(polled)
            if polled.records:
                await self._take(polled.records)
            if polled.positions:
                await self._acknowledge(consumer, polled)
                heard = self._context.clock.monotonic()
                self._status.lag(polled.lag)
            elif self._context.clock.monotonic() - heard >= PROBE_S:
                self._status.lag(await daemon.run_sync(consumer.probe))
                heard = self._context.clock.monotonic()

    def _say(self, polled: Polled) -> None:
        """The state, where it has changed."""
        note = None if polled.assigned else "the other members of the group have all partitions"
        if polled.gone:
            note = "records were gone before they were read: retention has removed them, or the topic was made again"
            log.warning("kafka.records_gone", source=self._status.name, partitions=sorted(polled.positions))
        if self._status.state().state != "listening" or note != self._note:
            self._note = note
            self._status.listening(note)

    async def _take(self, records: list[KafkaRecord]) -> None:
        """Make all of them safe."""
        batch = await daemon.run_sync(self._batch_of, records)
        for thing, raw, reason in batch.unreadable:
            await self._context.bury(thing, raw, reason)
        await self._context.deliver(batch.events)
        if limit := self._spec.limit_events_per_second:
            await anyio.sleep(len(records) / limit)

    def _batch_of(self, records: list[KafkaRecord]) -> _Batch:
        batch, ours = _Batch(), self._context.ours
        for one in records:
            record = KafkaRecord(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, one.headers)
            try:
                data = data_of(record, self._spec.json_body, ours=ours)
            except Permanent as error:
                batch.unreadable.append((record.thing, record.value or b"", str(error)))
            else:
                batch.events.append(self._context.event(record.thing, data, time=record.time if ours else None))
        return batch

    async def _begin(self, consumer: Consumer, missing: tuple[int, ...]) -> None:
        """Go on where the store says that it was left, or begin, with partitions that the brokers know no offset of."""
        kept = await self._context.checkpoints.get(self._scope, [PARTITIONS, *map(str, missing)])
        first = kept.get(PARTITIONS)
        if not isinstance(first, int):
            first = await daemon.run_sync(consumer.partitions)
            await self._context.checkpoints.save(self._scope, {PARTITIONS: first})
        for oldest in (False, True):
            these = [one for one in missing if (self._plan().oldest or one >= first) is oldest]
            where = {one: _offset(kept.get(str(one))) for one in these}
            if where:
                positions = await daemon.run_sync(lambda w=where, o=oldest: consumer.begin(w, oldest=o))
                await self._commit(consumer, positions)

    async def _acknowledge(self, consumer: Consumer, polled: Polled) -> None:
        """Write down how far it is read; a stop waits for that."""
        with anyio.CancelScope(shield=True):
            await self._commit(consumer, polled.positions)

    async def _commit(self, consumer: Consumer, positions: Mapping[int, int]) -> None:
        """With the group's brokers, and in the store: brokers forget the offsets of topics and of idle groups."""
        await self._context.checkpoints.save(self._scope, {str(one): offset for one, offset in positions.items()})
        if self._plan().group is not None and not await daemon.run_sync(consumer.commit, positions):
            log.info("kafka.partitions_moved", source=self._status.name, partitions=sorted(positions))

    async def _position(self, plan: Plan) -> int | None:
        """Where a single partition was left; None at the first start, and with a group."""
        if plan.partition is None:
            return None
        name = str(plan.partition)
        return _offset((await self._context.checkpoints.get(self._scope, [name])).get(name))

    @property
    def _scope(self) -> str:
        return f"{self._plan().group or ''}/{self._spec.topic}"

    def _plan(self) -> Plan:
        from eventsources.queues.kafka_client import Plan

        spec, group = self._spec, self._spec.consumer_group
        name = group.group_name if group is not None else f"retrain.{self._context.source}.{self._name}"
        alone = group is None and bool(spec.partition)
        return Plan(
            topic=spec.topic,
            group=None if alone else name,
            partition=int(spec.partition) if alone else None,
            strategy=(group.rebalance_strategy if group else "") or "range",
            oldest=spec.existing == "emit" or (group is not None and group.oldest),
            # A slow source is not to hold more than it hands on within a second.
            most=min(MOST, spec.limit_events_per_second or MOST),
        )

    def _cluster(self) -> Cluster:
        """Where to connect and as whom.

        Raises:
            NotFound: a secret is not there yet.
            ConfigError: a certificate is none.
        """
        from eventsources.queues.kafka_client import Cluster

        sasl = self._spec.sasl or SASL()
        return Cluster(
            servers=tuple(brokers(self._spec.url)),
            tls=client_context(self._spec.tls, self._context),
            mechanism=(sasl.mechanism or "PLAIN") if self._spec.sasl is not None else "",
            user=self._context.read(sasl.user_secret),
            password=self._context.read(sasl.password_secret),
        )


def _offset(kept: JsonValue) -> int | None:
    return kept if isinstance(kept, int) else None
