"""What S3-shaped payloads tell of an object, however they travelled: MinIO's stream, a webhook, SQS, SNS, EventBridge.

AWS encodes keys as in a URL, and so does MinIO in webhooks and queues; its streams carry plain keys today, and carried
encoded ones before. Our own source knows the key for sure and says it in an attribute, which wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import quote, unquote, unquote_plus

import orjson

from retrain.events import MAX_ATTRIBUTE, OBJECT, Event, JsonValue
from sensors.filtering.content import Content, ContentError

MAX_INNER = 256 * 1024
"""Characters of a message inside of a message. SNS and SQS take so much at most."""

_ENCODED = re.compile(r"[A-Za-z0-9\-_.~%+*/]*", re.ASCII)
_ENCODED_BY_MINIO = re.compile(r"[A-Za-z0-9\-_.~%+*]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class S3Object:
    """What happened to which object. `size` in bytes. What the payload does not tell is "" or None."""

    bucket: str
    key: str
    etag: str = ""
    size: int | None = None
    version: str = ""
    event_name: str = ""

    @property
    def url(self) -> str:
        """What tools for S3 take."""
        return f"s3://{self.bucket}/{self.key}"


def s3_object(content: Content) -> S3Object | None:
    """The object that an event tells of: the first, if it tells of several. None if its data is not S3-shaped.

    A transform may have made another shape of the data; then the event's own is read.
    """
    found = _first(_decoded(content)) or _first(content.event.data)
    return None if found is None else _as_the_source_says(found, content.event)


def _decoded(content: Content) -> JsonValue:
    try:
        return content.value
    except ContentError:
        return None


def _as_the_source_says(found: S3Object, event: Event) -> S3Object:
    url, beginning = event.extensions.get(OBJECT), f"s3://{found.bucket}/"
    # One as long as an attribute may be was cut off.
    if not isinstance(url, str) or not url.startswith(beginning) or len(url) >= MAX_ATTRIBUTE:
        return found
    return replace(found, key=unquote(url.removeprefix(beginning)))


def _first(data: Any) -> S3Object | None:
    return next((found for record in _records(data) if (found := _read(record)) is not None), None)


def _records(data: Any) -> Iterator[Any]:
    """What may be a record, wherever the kinds of EventSource put them."""
    if not isinstance(data, dict):
        return
    fields = cast("dict[str, Any]", data)
    notification, body = fields.get("notification"), fields.get("body")
    if isinstance(notification, dict):  # StorageGRID
        notification = _records_of(cast("dict[str, Any]", notification).get("Message"))
    yield from _listed(notification)
    yield from _records_of(fields)
    if isinstance(body, dict):
        inner = cast("dict[str, Any]", body)
        yield from _records_of(inner)
        yield from _records_of(_parsed(inner.get("Message")))  # SNS
        yield _from_event_bridge(inner.get("detail"))


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _records_of(value: Any) -> list[Any]:
    return _listed(cast("dict[str, Any]", value).get("Records")) if isinstance(value, dict) else []


def _parsed(text: Any) -> Any:
    if not isinstance(text, str) or len(text) > MAX_INNER:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _from_event_bridge(detail: Any) -> Any:
    """EventBridge's detail in the shape of a record. It does not encode keys."""
    match detail:
        case {"bucket": {"name": str()} as bucket, "object": {"key": str(key)} as thing}:
            renamed = {"eTag": thing.get("etag"), "versionId": thing.get("version-id"), "size": thing.get("size")}
            return {"s3": {"bucket": bucket, "object": {**renamed, "key": quote(key, safe="/")}}}
        case _:
            return None


def _read(record: Any) -> S3Object | None:
    match record:
        case {"s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key)} as thing}}:
            size, version = thing.get("size"), thing.get("versionId")
            return S3Object(
                bucket=bucket,
                key=_decode(key, minio=record.get("eventSource") == "minio:s3"),
                etag=_text(thing.get("eTag")).strip('"'),
                size=size if type(size) is int else None,
                version="" if version == "null" else _text(version),
                event_name=_text(record.get("eventName")),
            )
        case _:
            return None


def _decode(key: str, *, minio: bool) -> str:
    """The object's own key. MinIO encodes all or nothing, AWS everything but `/`."""
    encoded = _ENCODED_BY_MINIO if minio else _ENCODED
    return unquote_plus(key) if encoded.fullmatch(key) else key


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
