"""What a NATS message becomes: its data, upstream's and ours. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from eventsources.bodies import body_of
from retrain.events import JsonValue

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MESSAGE_ID = "Nats-Msg-Id"
STATUS, DESCRIPTION = "Status", "Description"


@dataclass(frozen=True, slots=True)
class NatsMessage:
    """One message. `reply` is where an answer goes: for JetStream, the acknowledgement."""

    subject: str
    reply: str
    raw: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message lies in a stream. `nanoseconds`: when it came there, since 1970. `pending`: behind it."""

    stream: str
    sequence: int
    nanoseconds: int
    pending: int

    @property
    def thing(self) -> str:
        """What no other message is named. A stream that was made again counts anew, hence the time."""
        return f"{self.stream}/{self.sequence}@{self.nanoseconds}"

    @property
    def time(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.nanoseconds // 1000)


def place_of(reply: str) -> Place | None:
    """What the address of a JetStream acknowledgement says; None where it is another address.

    Source: https://docs.nats.io/nats-concepts/jetstream (`$JS.ACK`, with nine or with at least eleven tokens).
    """
    tokens = reply.split(".")
    if tokens[:2] != ["$JS", "ACK"] or (len(tokens) != 9 and len(tokens) < 11):
        return None
    if len(tokens) > 9:
        tokens = tokens[:2] + tokens[4:]  # domain and account stand before the stream
    return Place(tokens[2], int(tokens[5]), int(tokens[7]), int(tokens[8]))


def data_of(message: NatsMessage, json_body: bool | None, *, ours: bool) -> dict[str, JsonValue]:
    """The data of its event.

    Raises:
        Permanent: the body must be JSON, and is not.
    """
    data: dict[str, JsonValue] = {"subject": message.subject}
    if message.headers:
        data["header"] = {name: [value] for name, value in message.headers.items()}
    return data | body_of(message.raw, json_body, ours=ours)
