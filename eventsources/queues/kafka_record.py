"""What a Kafka record becomes: its id and its data, upstream's and ours. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from eventsources.bodies import body_of
from eventsources.gotime import go_time
from retrain.events import JsonValue, format_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """One record. `timestamp` in milliseconds, -1 where it has none; `value` None is a tombstone."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, bytes | None]] = ()

    @property
    def thing(self) -> str:
        """What no other record is named. A topic that was made again counts its offsets anew, hence the timestamp."""
        return f"{self.topic}/{self.partition}/{self.offset}@{self.timestamp}"

    @property
    def time(self) -> datetime | None:
        """When its producer, or the broker, says that it was written."""
        return EPOCH + timedelta(milliseconds=self.timestamp) if self.timestamp >= 0 else None


def data_of(record: KafkaRecord, json_body: bool | None, *, ours: bool) -> dict[str, JsonValue]:
    """The data of its event. `offset` is of retrain.dev/v1, where `timestamp` is RFC 3339; upstream's is Go's.

    The body of a tombstone is null.

    Raises:
        Permanent: the body must be JSON, and is not.
    """
    body: dict[str, JsonValue] = {"body": None}
    if record.value is not None:
        body = body_of(record.value, json_body, ours=ours)
    data: dict[str, JsonValue] = {
        "topic": record.topic,
        "key": _text(record.key),
        "partition": record.partition,
        "timestamp": _timestamp(record.time, ours=ours),
        "headers": {key: _text(value) for key, value in record.headers},
    }
    return data | ({"offset": record.offset} if ours else {}) | body


def _text(raw: bytes | None) -> str:
    return raw.decode("utf-8", "replace") if raw else ""


def _timestamp(time: datetime | None, *, ours: bool) -> str:
    if ours:
        return format_time(time) if time is not None else ""
    return go_time(time)
