"""What an SQS message is and becomes: its data, what SNS and EventBridge have wrapped, and S3's notifications. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, cast
from urllib.parse import quote

import orjson

from eventsources.bodies import body_of
from retrain.events import JsonValue

Envelope = Literal["", "sns", "eventbridge"]

S3 = ("aws.s3", "minio:s3", "aws:s3")
_HAPPENED = {
    "PutObject": "ObjectCreated:Put",
    "POST Object": "ObjectCreated:Post",
    "CopyObject": "ObjectCreated:Copy",
    "CompleteMultipartUpload": "ObjectCreated:CompleteMultipartUpload",
}
"""EventBridge's `reason` of an `Object Created`, and the event that S3 itself tells."""


@dataclass(frozen=True, slots=True)
class SqsMessage:
    """One message. `receipt` is what deletes it; `group` its FIFO group, empty in other queues.

    `attributes`: the sender's, as AWS gives them: by name, `{DataType, StringValue?, BinaryValue?}`.
    """

    id: str
    body: str
    receipt: str
    sent: datetime | None = None
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    group: str = ""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """What a message's body carries. `text`: the innermost; `body`: that as JSON, None if it is not JSON.

    `envelope`: who wrapped it; `sns`: what SNS says of it (topic, id, subject, time), without the message.
    """

    text: str
    body: JsonValue | None
    envelope: Envelope = ""
    sns: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


def message_of(raw: Mapping[str, Any]) -> SqsMessage:
    """A message as boto3 gives it."""
    system: Mapping[str, str] = raw.get("Attributes", {})
    sent = system.get("SentTimestamp")
    return SqsMessage(
        id=raw["MessageId"],
        body=raw.get("Body", ""),
        receipt=raw["ReceiptHandle"],
        sent=datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else None,
        attributes=raw.get("MessageAttributes", {}),
        group=system.get("MessageGroupId", ""),
    )


def data_of(message: SqsMessage, json_body: bool | None, *, ours: bool, unwraps: bool) -> dict[str, JsonValue] | None:
    """The data of its event; None for a test event of S3, where messages are unwrapped.

    Raises:
        Permanent: the body must be JSON, and is not.
    """
    data: dict[str, JsonValue] = {"messageId": message.id, "messageAttributes": _attributes(message.attributes)}
    text = message.body
    if unwraps and ours:
        found = unwrap(text)
        if is_test(found.body):
            return None
        text = found.text
        data |= {"sns": found.sns} if found.sns else {}
        data |= {"group": message.group} if message.group else {}
    return data | body_of(text.encode("utf-8", "surrogatepass"), json_body, ours=ours)


def _attributes(given: Mapping[str, Mapping[str, Any]]) -> JsonValue:
    """As upstream's library writes them: all members, null where they say nothing; null where there are none."""
    if not given:
        return None
    return {
        name: {
            "BinaryListValues": None,
            "BinaryValue": _binary(value.get("BinaryValue")),
            "DataType": value.get("DataType"),
            "StringListValues": None,
            "StringValue": value.get("StringValue"),
        }
        for name, value in given.items()
    }


def _binary(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


# --- envelopes -------------------------------------------------------------------------------------------------------


def unwrap(text: str) -> Unwrapped:
    """What a body carries: the message itself, what SNS has wrapped, or an event of EventBridge.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html,
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html.
    """
    body = _json(text)
    if not isinstance(body, dict):
        return Unwrapped(text, body)
    if body.get("Type") == "Notification" and isinstance(body.get("Message"), str) and "TopicArn" in body:
        inner = cast("str", body["Message"])
        said = {name: value for name, value in body.items() if name in SNS_MEMBERS}
        return Unwrapped(inner, _json(inner), "sns", said)
    if isinstance(body.get("detail"), dict) and "detail-type" in body and "source" in body:
        return Unwrapped(text, body, "eventbridge")
    return Unwrapped(text, body)


SNS_MEMBERS = ("TopicArn", "MessageId", "Subject", "Timestamp", "MessageAttributes", "SequenceNumber")


def _json(text: str) -> JsonValue | None:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def is_test(body: JsonValue | None) -> bool:
    """Whether it is what S3 sends when a bucket is told to notify a queue."""
    return isinstance(body, dict) and body.get("Event") == "s3:TestEvent" and "Records" not in body


def s3_records(found: Unwrapped) -> list[dict[str, JsonValue]] | None:
    """The records of a notification of S3, whichever way it came: [] for a test event, None if it is no notification.

    An event of EventBridge gets the shape of a record, as far as it says the same. Keys are URL-encoded as S3 does it,
    which EventBridge does not.
    """
    body = found.body
    if is_test(body):
        return []
    if not isinstance(body, dict):
        return None
    if found.envelope == "eventbridge":
        record = _bridged(body)
        return None if record is None else [record]
    records = body.get("Records")
    if not isinstance(records, list) or not all(isinstance(one, dict) and "s3" in one for one in records):
        return None
    return cast("list[dict[str, JsonValue]]", records)


def _bridged(event: dict[str, JsonValue]) -> dict[str, JsonValue] | None:
    """An event of EventBridge as a record of S3's own notifications."""
    detail = event["detail"]
    bucket, thing = detail.get("bucket"), detail.get("object")
    if event["source"] not in S3 or not isinstance(bucket, dict) or not isinstance(thing, dict):
        return None
    happened = _happened(str(event["detail-type"]), detail)
    if happened is None:
        return None
    told = {"size": thing.get("size"), "eTag": thing.get("etag"), "versionId": thing.get("version-id")}
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": event.get("region", ""),
        "eventTime": event.get("time", ""),
        "eventName": happened,
        "userIdentity": {"principalId": detail.get("requester", "")},
        "requestParameters": {"sourceIPAddress": detail.get("source-ip-address", "")},
        "responseElements": {"x-amz-request-id": detail.get("request-id", "")},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "",
            "bucket": {"name": bucket.get("name", ""), "arn": f"arn:aws:s3:::{bucket.get('name', '')}"},
            "object": {"key": quote(str(thing.get("key", "")), safe="/").replace("%20", "+")}
            | {name: value for name, value in told.items() if value is not None}
            | {"sequencer": thing.get("sequencer", "")},
        },
    }


def _happened(what: str, detail: dict[str, JsonValue]) -> str | None:
    """S3's own name of what EventBridge tells; None for what its notifications of objects do not have."""
    if what == "Object Created":
        return _HAPPENED.get(str(detail.get("reason")), "ObjectCreated:Put")
    if what == "Object Deleted":
        made_marker = detail.get("deletion-type") == "Delete Marker Created"
        return "ObjectRemoved:DeleteMarkerCreated" if made_marker else "ObjectRemoved:Delete"
    return None
