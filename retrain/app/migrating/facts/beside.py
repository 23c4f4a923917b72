"""What happens to a source's events while both platforms run beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, cast

Entry = Mapping[str, Any]


class Beside(StrEnum):
    """Who gets an event while two platforms have the same source."""

    CALLED = "called"
    """Whom the sender calls: it goes where the Service points."""
    SHARED = "shared"
    """One of the two: they share a queue or a session that keeps what nobody has taken."""
    BOTH = "both"
    """Each of them."""


CALLED = frozenset({"webhook", "github", "gitlab", "bitbucket", "slack", "stripe", "sns"})


def _has(*names: str) -> Callable[[Entry], bool]:
    """Whether an entry says something at a path."""

    def says(entry: Entry) -> bool:
        value: Any = entry
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return bool(value)

    return says


def _always(entry: Entry) -> bool:
    del entry
    return True


SHARED: dict[str, Callable[[Entry], bool]] = {
    "sqs": _always,
    "azureQueueStorage": _always,
    "redisStream": _always,
    "kafka": _has("consumerGroup"),
    "amqp": _has("queueDeclare", "name"),
    "nats": _has("queue"),
    "pubSub": _has("subscriptionID"),
    "mqtt": _has("clientId"),
}
"""When the entries of a kind share what they read with another reader of the same manifest."""

OF_PODS = frozenset({"template", "service", "replicas", "eventBusName"})


def events_of(body: Mapping[str, Any]) -> Iterator[tuple[str, str, Beside]]:
    """Each event of an EventSource: its kind, its name, who gets it."""
    for kind, entries in cast("dict[str, Any]", body.get("spec") or {}).items():
        if kind in OF_PODS or not isinstance(entries, dict):
            continue
        for name, entry in cast("dict[str, Any]", entries).items():
            yield kind, name, _who(kind, entry)


def _who(kind: str, entry: Any) -> Beside:
    if kind in CALLED:
        return Beside.CALLED
    shares = SHARED.get(kind)
    return Beside.SHARED if shares is not None and isinstance(entry, dict) and shares(entry) else Beside.BOTH
