"""Notifications of Cloud Storage, and the order of what they tell. Pure.

They come in any order: a delete may come before the upload that it ends. The order of what happened to one object is
that of its generations, and within one that of its life.

Source: https://cloud.google.com/storage/docs/pubsub-notifications
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson

from eventsources.objects.gcs import FINALIZE
from retrain.errors import EventError, Permanent
from retrain.events import JsonValue, parse_time

REMEMBERED = 100_000
_LIFE = {FINALIZE: 0, "OBJECT_METADATA_UPDATE": 1, "OBJECT_ARCHIVE": 2, "OBJECT_DELETE": 3}
Rank = tuple[int, int, int]
"""Generation, what happened to it, and the generation of its metadata."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened to one generation of one object. `thing`: its description as JSON, None where it is not sent."""

    bucket: str
    name: str
    generation: int
    happened: str
    time: datetime | None
    thing: JsonValue | None
    overwrote: str = ""
    overwritten_by: str = ""

    @property
    def rank(self) -> Rank:
        return self.generation, _LIFE.get(self.happened, len(_LIFE)), self._metageneration

    @property
    def _metageneration(self) -> int:
        told = self.thing.get("metageneration") if isinstance(self.thing, dict) else None
        return int(told) if isinstance(told, (str, int)) and str(told).isdecimal() else 0

    @property
    def id(self) -> str:
        """What happened, named by itself: a notification that is sent twice is one event."""
        text = f"{self.bucket}/{quote(self.name)}#{self.generation}:{self.happened}"
        changes = self.happened == "OBJECT_METADATA_UPDATE"
        return f"{text}:{self._metageneration}" if changes else text

    @property
    def url(self) -> str:
        """What traces call the object."""
        return f"gs://{self.bucket}/{quote(self.name)}"


def read_notice(attributes: Mapping[str, str], raw: bytes) -> Notice:
    """A message of a topic that a bucket notifies.

    Raises:
        Permanent: it is none.
    """
    try:
        generation = attributes["objectGeneration"]
        return Notice(
            bucket=attributes["bucketId"],
            name=attributes["objectId"],
            generation=int(generation),
            happened=attributes["eventType"],
            time=parse_time(attributes["eventTime"]) if "eventTime" in attributes else None,
            thing=_described(attributes, raw),
            overwrote=attributes.get("overwroteGeneration", ""),
            overwritten_by=attributes.get("overwrittenByGeneration", ""),
        )
    except KeyError as error:
        raise Permanent(f"it is no notification of Cloud Storage: it has no attribute {error}") from error
    except (ValueError, EventError) as error:
        raise Permanent(f"it is no notification of Cloud Storage: {error}") from error


def _described(attributes: Mapping[str, str], raw: bytes) -> JsonValue | None:
    return orjson.loads(raw) if attributes.get("payloadFormat") == "JSON_API_V1" and raw else None


def data_of(notice: Notice, *, superseded: bool) -> dict[str, JsonValue]:
    """The data of its event. Generations are text: JSON's numbers are too short for them."""
    thing: Any = notice.thing if isinstance(notice.thing, dict) else {}
    size = str(thing.get("size", ""))
    data: dict[str, JsonValue] = {
        "bucket": notice.bucket,
        "key": notice.name,
        "generation": str(notice.generation),
        "eventType": notice.happened,
        "superseded": superseded,
        "size": int(size) if size.isdecimal() else None,
        "contentType": thing.get("contentType", ""),
        "object": notice.thing,
    }
    if notice.overwrote:
        data["overwroteGeneration"] = notice.overwrote
    if notice.overwritten_by:
        data["overwrittenByGeneration"] = notice.overwritten_by
    return data


class Newest:
    """The newest that is known of each object: of the last REMEMBERED ones that something happened to."""

    def __init__(self) -> None:
        self._ranks: OrderedDict[tuple[str, str], Rank] = OrderedDict()

    def supersedes(self, notice: Notice) -> bool:
        """Whether something newer of its object is known already; else this is the newest now."""
        key = notice.bucket, notice.name
        known = self._ranks.get(key)
        if known is not None and known > notice.rank:
            return True
        self._ranks[key] = notice.rank
        self._ranks.move_to_end(key)
        if len(self._ranks) > REMEMBERED:
            self._ranks.popitem(last=False)
        return False
