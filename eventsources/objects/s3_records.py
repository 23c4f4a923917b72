"""Object versions as notifications and listings of S3 tell of them, and the one id that both lead to. Pure.

In a bucket with versions the version's id names it. Without versions a notification does not say when the object was
last modified, and a listing does not know the sequencer: so the source looks up the object once for each notification,
and etag and time of modification (to the second, which is what that look-up tells) make the id. The same bytes written
again a second later are a new version; twice within one second they are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from urllib.parse import quote, unquote_plus

from retrain.events import JsonValue, format_time

CREATED = "s3:ObjectCreated:"
REMOVED = "s3:ObjectRemoved:"
PUT = "s3:ObjectCreated:Put"
MULTIPART = "s3:ObjectCreated:CompleteMultipartUpload"
DELETE = "s3:ObjectRemoved:Delete"
MARKER = "s3:ObjectRemoved:DeleteMarkerCreated"
_MAYBE_ENCODED = re.compile(r"[A-Za-z0-9\-_.~%+]*")
NO_VERSION = "null"
"""What S3 calls the version of an object in a bucket without versions."""

TEST = "s3:TestEvent"
"""What S3 sends when a rule is new."""


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

    @property
    def stamp(self) -> str:
        """What tells one version of an object from another; see the head of this file."""
        if self.version:
            return f"v:{self.version}"
        return f"e:{self.etag}:{int(self.modified.timestamp()) if self.modified else 0}"


@dataclass(frozen=True, slots=True)
class Notice:
    """One record of a notification: which object, what happened, and the record as it came.

    `decoded` is the object's key if the server may have URL-encoded what stands in the record; None if it is plain.
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

    @property
    def removes(self) -> bool:
        """Whether a listing will not show the object any more that it once may have shown."""
        return self.event_name.startswith(REMOVED) and not self.version.version


def read_notice(record: JsonValue, *, encoded: bool = False) -> Notice | None:
    """A record of a notification; None if it is not one that tells of an object.

    `encoded`: keys are URL-encoded, with `+` for a space, as queues and webhooks get them. In streams of MinIO they are
    plain today, and were encoded up to 2020.
    """
    try:
        thing = record["s3"]["object"]
        key, version = str(thing["key"]), str(thing.get("versionId") or "")
        return Notice(
            event_name=prefixed(str(record["eventName"])),
            version=ObjectVersion(
                bucket=str(record["s3"]["bucket"]["name"]),
                key=unquote_plus(key) if encoded else key,
                etag=str(thing.get("eTag") or "").strip('"'),
                version="" if version == NO_VERSION else version,
                size=int(thing.get("size") or 0),
            ),
            sequencer=str(thing.get("sequencer") or ""),
            record=cast("dict[str, JsonValue]", record),
            decoded=None if encoded else _decoded(key),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def _decoded(key: str) -> str | None:
    decoded = unquote_plus(key)
    return decoded if decoded != key and _MAYBE_ENCODED.fullmatch(key) else None


def prefixed(event_name: str) -> str:
    """AWS leaves `s3:` out in its records, and wants it in its rules."""
    return event_name if event_name.startswith("s3:") else f"s3:{event_name}"


def version_thing(version: ObjectVersion) -> str:
    """What names an object version that a listing shows (see above)."""
    return _thing(version, version.stamp)


def passing_thing(notice: Notice) -> str:
    """What names something that no listing shows: an access, a removal, a version that is replaced already."""
    what = notice.event_name.removeprefix("s3:")
    return _thing(notice.version, f"{what}:{notice.version.etag}:{notice.sequencer}")


def removal_thing(bucket: str, key: str, stamp: str) -> str:
    """What names the removal of an object that was known; `stamp` is that of the version that went."""
    return _thing(ObjectVersion(bucket, key), f"removed:{stamp}")


def _thing(version: ObjectVersion, rest: str) -> str:
    return f"{version.bucket}/{quote(version.key)}:{quote(rest, safe=':')}"


def record_of(version: ObjectVersion, by: str, happened: str = "") -> dict[str, JsonValue]:
    """The record that a notification of this version would have had, as far as a listing tells.

    `by` is who tells: `minio:s3` or `aws:s3`. Who wrote the object and from where is not known afterwards; those fields
    are empty. Neither is in which of S3's ways it was made: what was not uploaded in parts is a Put here.
    """
    name = happened or version.happened
    thing: dict[str, JsonValue] = {"key": version.key}
    if not name.startswith(REMOVED):
        thing |= {"size": version.size, "eTag": version.etag}
    if version.version:
        thing["versionId"] = version.version
    return {
        "eventVersion": "2.0",
        "eventSource": by,
        "awsRegion": "",
        "eventTime": format_time(version.modified) if version.modified else "",
        "eventName": name.removeprefix("s3:") if by == "aws:s3" else name,
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


def data_of(record: dict[str, JsonValue], key: str, *, plain: bool) -> dict[str, JsonValue]:
    """The event's data: `{"notification": [record]}`. `plain`: with the object's own key."""
    if plain:
        s3 = record["s3"]
        record = {**record, "s3": {**s3, "object": {**s3["object"], "key": key}}}
    return {"notification": [record]}


def wants(patterns: Sequence[str], event_name: str) -> bool:
    """Whether one of the patterns (`s3:ObjectCreated:*`) means an event."""
    return any(
        event_name.startswith(pattern[:-1]) if pattern.endswith("*") else event_name == pattern for pattern in patterns
    )


def is_notification(message: JsonValue) -> bool:
    """Whether a message of a queue or webhook is one that S3 or MinIO sends, if only to say that it will send some."""
    return isinstance(message, dict) and (isinstance(message.get("Records"), list) or message.get("Event") == TEST)


def notices_of(message: JsonValue) -> Iterator[Notice]:
    """The notices in one message, `{"Records": [...]}` with encoded keys; none in a test event."""
    for record in message.get("Records") or ():
        notice = read_notice(record, encoded=True)
        if notice is not None:
            yield notice
