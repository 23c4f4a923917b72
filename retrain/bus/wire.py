"""An event as the bytes that lie in the log: CloudEvents structured JSON."""

from __future__ import annotations

from retrain.errors import EventError, Permanent
from retrain.events import CONTEXT, MAX_ATTRIBUTE, Event, from_json

LEVELS = 253
"""Levels of nesting of an event's data. The JSON writer takes 254, and the event around the data is one of them."""


def encode(event: Event, max_bytes: int) -> bytes:
    """The event's bytes.

    Raises:
        Permanent: they are more than `max_bytes`, its data is nothing that JSON can say, or an attribute is none that a
            CloudEvent may have: a reader would have to skip it.
    """
    try:
        body = event.to_json()
    except (TypeError, ValueError) as error:
        why = f"its data is nested deeper than {LEVELS} levels" if "Recursion" in str(error) else str(error)
        raise Permanent(f"event {event.id!r} of {event.source!r} cannot be written as JSON: {why}") from error
    if not _plain(event):
        try:
            from_json(body)
        except EventError as error:
            raise Permanent(f"event {event.id!r} of {event.source!r} could not be read again: {error}") from error
    if len(body) > max_bytes:
        raise Permanent(
            f"event {event.id!r} of {event.source!r} has {len(body)} bytes; the bus takes {max_bytes} at most. "
            "Publish a reference to the data, or raise the server's max_payload"
        )
    return body


def _plain(event: Event) -> bool:
    """Whether the attributes are fine at first sight, which nearly all are; else the slow check decides."""
    texts = (event.id, event.source, event.type, event.subject, event.datacontenttype, event.dataschema)
    return all(text is None or (0 < len(text) <= MAX_ATTRIBUTE and text.isprintable()) for text in texts) and all(
        _plain_extension(name, value) for name, value in event.extensions.items()
    )


def _plain_extension(name: str, value: str | int | bool) -> bool:
    named_well = len(name) <= 64 and name.isascii() and name.isalnum() and name == name.lower() and name not in CONTEXT
    if isinstance(value, str):
        return named_well and len(value) <= MAX_ATTRIBUTE and value.isprintable()
    return named_well and type(value) in {int, bool}


def decode(body: bytes) -> Event:
    """The event in a message.

    Raises:
        EventError: it is none; somebody else wrote to our log.
    """
    return from_json(body)
