"""Object versions as MinIO's notifications and listings tell of them, and the one id that both lead to. Pure.

In a bucket with versions the version's id names it. Without versions a notification does not say when the object was
last modified, and a listing does not know the sequencer: so the source looks up the object once for each notification,
and etag and time of modification (to the second, which is what that look-up tells) make the id. The same bytes written
again a second later are a new version; twice within one second they are one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import cast
from urllib.parse import quote, unquote_plus

from retrain.events import JsonValue, format_time

MAX_ID = 1024
CREATED = "s3:ObjectCreated:"
REMOVED = "s3:ObjectRemoved:"
PUT = "s3:ObjectCreated:Put"
MULTIPART = "s3:ObjectCreated:CompleteMultipartUpload"
MARKER = "s3:ObjectRemoved:DeleteMarkerCreated"
_MAYBE_ENCODED = re.compile(r"[A-Za-z0-9\-_.~%+]*")
NO_VERSION = "null"
"""What S3 calls the version of an object in a bucket without versions."""


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of one object. `modified` is None where a notification has not been looked up."""

    bucket: str
    key: str
    etag: str = ""
    version: str = ""
    modified: datetime | None = None
    size: int = 0
    marker: bool = False
    latest: bool = True

    @property
    def happened(self) -> str:
        """What a listing lets one guess about how it came to be. Only an upload in parts has a `-` in its etag."""
        if self.marker:
            return MARKER
        return MULTIPART if "-" in self.etag else PUT

    @property
    def url(self) -> str:
        """What traces call the object."""
        return f"s3://{self.bucket}/{quote(self.key)}"


@dataclass(frozen=True, slots=True)
class Notice:
    """One record of a notification: which object, what happened, and the record as it came.

    `decoded` is the object's key if the server has URL-encoded it; None if it has not for sure. Streams of today's
    MinIO carry plain keys (webhooks and queues get them encoded); old servers encoded them in streams, too.
    """

    event_name: str
    version: ObjectVersion
    sequencer: str
    record: dict[str, JsonValue]
    decoded: str | None = None

    @property
    def lasting(self) -> bool:
        """Whether a listing may show what it tells of: an object that was made, or a version's delete marker."""
        return self.event_name.startswith(CREATED) or (self.event_name == MARKER and bool(self.version.version))


def read_notice(record: JsonValue) -> Notice | None:
    """A record of a notification; None if it is not one that tells of an object."""
    try:
        thing = record["s3"]["object"]
        version = str(thing.get("versionId") or "")
        return Notice(
            event_name=_with_prefix(str(record["eventName"])),
            version=ObjectVersion(
                bucket=str(record["s3"]["bucket"]["name"]),
                key=str(thing["key"]),
                etag=str(thing.get("eTag") or "").strip('"'),
                version="" if version == NO_VERSION else version,
                size=int(thing.get("size") or 0),
            ),
            sequencer=str(thing.get("sequencer") or ""),
            record=cast("dict[str, JsonValue]", record),
            decoded=_decoded(str(thing["key"])),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def _decoded(key: str) -> str | None:
    decoded = unquote_plus(key)
    return decoded if decoded != key and _MAYBE_ENCODED.fullmatch(key) else None


def _with_prefix(event_name: str) -> str:
    return event_name if event_name.startswith("s3:") else f"s3:{event_name}"


def version_id(event_name: str, version: ObjectVersion) -> str:
    """The id of an object version that a listing shows (see above), for the entry named `event_name`."""
    if version.version:
        return _id(event_name, version, f"v:{version.version}")
    modified = version.modified.timestamp() if version.modified else 0
    return _id(event_name, version, f"e:{version.etag}:{int(modified)}")


def passing_id(event_name: str, notice: Notice) -> str:
    """The id of something that no listing shows: a removal, an access, a version that is replaced already."""
    what = notice.event_name.removeprefix("s3:")
    return _id(event_name, notice.version, f"{what}:{notice.version.etag}:{notice.sequencer}")


def _id(event_name: str, version: ObjectVersion, rest: str) -> str:
    text = f"{quote(event_name)}:{version.bucket}/{quote(version.key)}:{quote(rest, safe=':')}"
    return text if len(text) <= MAX_ID else f"{quote(event_name)[:64]}:{sha256(text.encode()).hexdigest()}"


def record_of(version: ObjectVersion) -> dict[str, JsonValue]:
    """The record that a notification of this version would have had, as far as a listing tells.

    Who wrote it and from where is not known afterwards; those fields are empty. Neither is in which of S3's ways it was
    made: what was not uploaded in parts is a Put here.
    """
    thing: dict[str, JsonValue] = {"key": version.key}
    if not version.marker:
        thing |= {"size": version.size, "eTag": version.etag}
    if version.version:
        thing["versionId"] = version.version
    return {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": format_time(version.modified) if version.modified else "",
        "eventName": version.happened,
        "userIdentity": {"principalId": ""},
        "requestParameters": {},
        "responseElements": {},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "Config",
            "bucket": {
                "name": version.bucket,
                "ownerIdentity": {"principalId": ""},
                "arn": f"arn:aws:s3:::{version.bucket}",
            },
            "object": thing,
        },
        "source": {"host": "", "port": "", "userAgent": "retrain (found by listing)"},
    }


def data_of(record: dict[str, JsonValue], key: str, metadata: dict[str, str], *, plain: bool) -> dict[str, JsonValue]:
    """The event's data: `{"notification": [record], "metadata"?}`. `plain`: with the object's own key."""
    if plain:
        s3 = record["s3"]
        record = {**record, "s3": {**s3, "object": {**s3["object"], "key": key}}}
    data: dict[str, JsonValue] = {"notification": [record]}
    if metadata:
        data["metadata"] = metadata
    return data


def wants(patterns: Sequence[str], event_name: str) -> bool:
    """Whether one of the patterns (`s3:ObjectCreated:*`) means an event."""
    return any(
        event_name.startswith(pattern[:-1]) if pattern.endswith("*") else event_name == pattern for pattern in patterns
    )
