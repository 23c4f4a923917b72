"""Messages from the stream to records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog
from nats.aio.msg import Msg

from retrain.bus.port import Record
from retrain.bus.wire import decode
from retrain.errors import EventError

log = structlog.get_logger()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORT_REPLY = 9
"""Tokens of a delivery's reply subject before domains and accounts were put into it."""


class Decoder:
    """Decodes, and counts what somebody else put into our stream that is no event. Such messages stop nobody."""

    def __init__(self) -> None:
        self.skipped = 0

    def record(self, position: int, received: datetime, message: Msg) -> Record | None:
        """The record, or None where the message is no CloudEvent (logged with its position)."""
        try:
            return Record(position, decode(message.data), received)
        except EventError as error:
            self.skipped += 1
            subject = (message.headers or {}).get("Nats-Subject", message.subject)
            log.warning("bus.not_an_event", position=position, subject=subject, reason=str(error))
            return None


def delivery(reply: str) -> tuple[int, int, datetime]:
    """Position, number within its consumer, and time of arrival: what a delivered message's reply subject says.

    Source: https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-15.md
    """
    tokens = reply.split(".")
    offset = 5 if len(tokens) == _SHORT_REPLY else 7
    return int(tokens[offset]), int(tokens[offset + 1]), from_ns(int(tokens[offset + 2]))


def from_ns(nanoseconds: int) -> datetime:
    """Nanoseconds since 1970 to a time, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
