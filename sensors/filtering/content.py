"""An event as filters and parameters read it: its data and its context as JSON text, made once and only if asked for.

The texts are byte for byte those that Argo Events would have made.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import orjson

from retrain.errors import ConfigError
from retrain.events import Event, JsonValue


class ContentError(ConfigError):
    """The event's data is no JSON."""


class Content:
    """One event's texts. `made`: the data that a transform made, as JSON text. Not shared between threads."""

    __slots__ = ("_context", "_data", "event", "tree")

    def __init__(self, event: Event, made: str | None = None) -> None:
        self.event = event
        self.tree: JsonValue = None if made is not None or isinstance(event.data, bytes) else event.data
        """The data as it was read already; None where only its text is at hand."""
        self._data = made
        self._context: str | None = None

    @property
    def data(self) -> str:
        """The data as JSON text; no data is `null`.

        Raises:
            ContentError: the data is bytes that are no JSON.
        """
        if self._data is None:
            self._data = _data_text(self.event.data)
        return self._data

    @property
    def value(self) -> JsonValue:
        """The data, to be read only.

        Raises:
            ContentError: as `data`.
        """
        return orjson.loads(self.data) if self.tree is None else self.tree

    @property
    def context(self) -> str:
        """The attributes as JSON text, those that the event's author added last."""
        if self._context is None:
            self._context = orjson.dumps(_attributes(self.event) | dict(self.event.extensions)).decode()
        return self._context

    @property
    def whole(self) -> str:
        """The event in the form that Argo Events hands on: the context, and the data's text in base64."""
        data = b64encode(self.data.encode()).decode()
        return orjson.dumps({"context": _attributes(self.event), "data": data}).decode()


def content_type(event: Event) -> str:
    """The media type of the data; what names none is JSON."""
    return event.datacontenttype or "application/json"


def _data_text(data: JsonValue | bytes) -> str:
    if not isinstance(data, bytes):
        return orjson.dumps(data).decode()
    try:
        orjson.loads(data)
        return data.decode()
    except ValueError as error:
        raise ContentError("the event's data is no JSON") from error


def _attributes(event: Event) -> dict[str, JsonValue]:
    return {
        "id": event.id,
        "source": event.source,
        "specversion": "1.0",
        "type": event.type,
        "datacontenttype": content_type(event),
        "subject": event.subject or "",
        "time": _seconds(event.time),
    }


def _seconds(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
