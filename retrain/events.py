"""The CloudEvent 1.0, the one value that crosses from the world to a decision.

An `Event` is what was checked once at the edge: inside the house nobody checks again. `source` + `id` is its identity;
sources derive the id from the thing itself, so that a redelivery is the same event.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and its JSON and HTTP bindings.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NewType, cast
from urllib.parse import quote, unquote

import orjson

from retrain.errors import EventError

EventKey = NewType("EventKey", str)
"""`source` and `id` in 32 hex digits: what the bus dedupes by, and a short name for the pair."""

JsonValue = Any
"""Whatever JSON can say. (A recursive alias makes pyright's messages unreadable; `Any` is meant as JSON here.)"""

CONTEXT = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema")
REQUIRED = ("specversion", "id", "source", "type")
MAX_ATTRIBUTE = 4096
"""Characters of one attribute. The specification sets no bound; a header line of 8 KiB is what HTTP servers take."""

OBJECT = "retrainobject"
"""The extension attribute in which a source names the thing that an event tells of: `s3://bucket/key`, `file:///path`."""

OWN_SOURCE = "retrain"
"""The source of what the platform tells of itself."""
OWN_EVENTS = ("run.", "promotion.", "approval.", "firing.", "sensor.", "cron.")
"""Beginnings of names that tell of the platform itself. A sensor must not be able to say that a run has succeeded."""

_EXTENSION = re.compile(r"[a-z0-9]{1,64}")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?P<fraction>\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")
_JSON_TYPE = re.compile(r"\s*[^/;\s]+/(?:json|[^/;\s]+\+json)\s*(?:;.*)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_EMPTY: Mapping[str, str | int | bool] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent. `data` is JSON (any value) or bytes; None where there is none.

    `extensions` holds every attribute that the specification does not name, unchanged, so that what other systems
    added survives the way through. Two events are the same event when `key` is the same.
    """

    id: str
    source: str
    type: str
    subject: str | None = None
    time: datetime | None = None
    data: JsonValue | bytes = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    extensions: Mapping[str, str | int | bool] = field(default_factory=lambda: _EMPTY)
    # On its way an event is asked for its key many times.
    _key: EventKey | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def key(self) -> EventKey:
        """The event's identity: stable over processes and machines."""
        key = self._key
        if key is None:
            # The length keeps ("a", "b:c") and ("a:b", "c") apart.
            key = EventKey(sha256(f"{len(self.source)}:{self.source}:{self.id}".encode()).hexdigest()[:32])
            object.__setattr__(self, "_key", key)
        return key

    def with_time(self, now: datetime) -> Event:
        """The event itself if it knows its time, else one that happened `now`."""
        return self if self.time else replace(self, time=now)

    def with_extensions(self, more: Mapping[str, str | int | bool]) -> Event:
        """The event with these attributes too, where it has none of that name."""
        return replace(self, extensions={**more, **self.extensions}) if more else self

    def to_dict(self) -> dict[str, JsonValue]:
        """The structured JSON form as a dict: only attributes that are set, `data` or `data_base64` last."""
        body: dict[str, JsonValue] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
        }
        if self.subject is not None:
            body["subject"] = self.subject
        if self.time is not None:
            body["time"] = format_time(self.time)
        if self.datacontenttype is not None:
            body["datacontenttype"] = self.datacontenttype
        if self.dataschema is not None:
            body["dataschema"] = self.dataschema
        body.update(self.extensions)
        if isinstance(self.data, bytes):
            body["data_base64"] = b64encode(self.data).decode()
        elif self.data is not None:
            body["data"] = self.data
        return body

    def to_json(self) -> bytes:
        """The structured JSON form, compact."""
        return _dump(self.to_dict())

    def to_binary(self) -> tuple[dict[str, str], bytes]:
        """The HTTP binary form: `ce-` headers (values percent-encoded as the binding asks) and the body."""
        headers = {
            f"ce-{name}": quote(_header_text(value), safe=_HEADER_SAFE)
            for name, value in self.to_dict().items()
            if name not in {"data", "data_base64", "datacontenttype"}
        }
        if self.data is None:
            body = b""
        elif isinstance(self.data, bytes):
            body = self.data
        elif isinstance(self.data, str) and not is_json(self.datacontenttype):
            body = self.data.encode()
        else:
            body = _dump(self.data)
        if self.datacontenttype is not None:
            headers["content-type"] = self.datacontenttype
        elif body:
            headers["content-type"] = "application/octet-stream" if isinstance(self.data, bytes) else "application/json"
        return headers, body


def is_json(content_type: str | None) -> bool:
    """Whether a media type says JSON; no type at all does, as the specification has it."""
    return content_type is None or _JSON_TYPE.fullmatch(content_type) is not None


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC with `Z`, microseconds only where there are some."""
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return f"{utc.isoformat()[:-6]}Z"  # without +00:00


def parse_time(text: str) -> datetime:
    """RFC 3339 to an aware UTC time. Digits beyond microseconds are cut off.

    Raises:
        ValueError: it is not RFC 3339 (a zone is required), or no such day or hour exists.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no RFC 3339 time like 2026-11-20T08:15:00Z")
    if fraction := match["fraction"]:
        text = text.replace(fraction, fraction[:7], 1)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} lies outside the years 1 to 9999") from error


def from_json(body: bytes | str) -> Event:
    """Read one event in structured JSON form.

    Raises:
        EventError: it is not JSON, not an object, or an attribute is missing or wrong; the error names it.
    """
    return from_dict(_load(body))


def batch_from_json(body: bytes | str) -> list[Event]:
    """Read a batch (a JSON array of structured events). An empty one is allowed.

    Raises:
        EventError: as `from_json`, with the event's index before the attribute's name.
    """
    items = _load(body)
    if not isinstance(items, list):
        raise EventError("batch", "must be a JSON array of events")
    events: list[Event] = []
    for index, item in enumerate(cast("list[JsonValue]", items)):
        try:
            events.append(from_dict(item))
        except EventError as error:
            message = str(error).removeprefix(f"{error.attribute}: ")
            raise EventError(f"[{index}].{error.attribute}", message) from None
    return events


def from_dict(body: JsonValue) -> Event:
    """Read one event from its structured form, already parsed.

    Raises:
        EventError: not an object, or an attribute is missing or wrong; the error names it.
    """
    if not isinstance(body, dict):
        raise EventError("event", "must be a JSON object")
    fields = dict(cast("dict[str, JsonValue]", body))
    if "data" in fields and "data_base64" in fields:
        raise EventError("data_base64", "stands beside data; only one of them is allowed")
    data = fields.pop("data", None)
    if "data_base64" in fields:
        data = _decode_base64(fields.pop("data_base64"))
    return _build(fields, data)


def from_binary(headers: Iterable[tuple[str, str]], body: bytes) -> Event:
    """Read one event in HTTP binary form: `ce-` headers, content-type, body.

    A body that its content type calls JSON is parsed; any other is kept as bytes.

    Raises:
        EventError: a header is missing, twice there or wrong, or the body is not the JSON it says it is.
    """
    fields: dict[str, JsonValue] = {}
    for raw_name, raw_value in headers:
        name = raw_name.lower()
        if name == "content-type":
            fields["datacontenttype"] = raw_value
        elif name.startswith("ce-"):
            attribute = name.removeprefix("ce-")
            if attribute in fields:
                raise EventError(attribute, "is there twice")
            if attribute in {"datacontenttype", "data", "data_base64"}:
                raise EventError(attribute, "has no ce- header; use content-type and the body")
            fields[attribute] = unquote(raw_value, errors="replace")
    data: JsonValue | bytes = None
    if body:
        data = _load(body, "data") if is_json(fields.get("datacontenttype")) else body
    return _build(fields, data)


def _build(fields: dict[str, JsonValue], data: JsonValue | bytes) -> Event:
    fields = {name: value for name, value in fields.items() if value is not None}
    for name in REQUIRED:
        if name not in fields:
            raise EventError(name, "is missing")
    for name in CONTEXT:
        if name in fields:
            _check_text(name, fields[name])
    if fields["specversion"] != "1.0":
        raise EventError("specversion", f"must be '1.0', not {fields['specversion']!r}")
    return Event(
        id=fields["id"],
        source=fields["source"],
        type=fields["type"],
        subject=fields.get("subject"),
        time=_time(fields.get("time")),
        data=data,
        datacontenttype=fields.get("datacontenttype"),
        dataschema=fields.get("dataschema"),
        extensions=_extensions(fields),
    )


def _check_text(name: str, value: JsonValue) -> None:
    if not isinstance(value, str):
        raise EventError(name, f"must be a string, not {type(value).__name__}")
    if not value:
        raise EventError(name, "must not be empty")
    if len(value) > MAX_ATTRIBUTE:
        raise EventError(name, f"is longer than {MAX_ATTRIBUTE} characters")
    if _CONTROL.search(value):
        raise EventError(name, "holds control characters")


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise EventError("time", str(error)) from error


def _extensions(fields: dict[str, JsonValue]) -> Mapping[str, str | int | bool]:
    names = fields.keys() - set(CONTEXT)
    if not names:
        return _EMPTY
    for name in names:
        value = fields[name]
        if not _EXTENSION.fullmatch(name):
            raise EventError(name, "attribute names are lower-case letters and digits, 64 at most")
        if not isinstance(value, str | int | bool):
            raise EventError(name, "an extension is a string, an integer or a boolean")
        if isinstance(value, str) and value:
            _check_text(name, value)
    return MappingProxyType({name: fields[name] for name in sorted(names)})


def _decode_base64(text: JsonValue) -> bytes:
    if not isinstance(text, str):
        raise EventError("data_base64", "must be a string")
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise EventError("data_base64", "is not base64") from error


def _load(body: bytes | str, attribute: str = "event") -> JsonValue:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise EventError(attribute, f"is not JSON: {error}") from error


def _dump(value: JsonValue) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATACLASS)


_HEADER_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')


def _header_text(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
