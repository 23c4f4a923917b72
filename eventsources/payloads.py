"""What the data of an event looks like, by kind of source: enough to say that a path can lead nowhere.

Shapes are Argo Events'. An object is a dict of its members, a list is `[shape of an element]`, and None is anything:
the body of a webhook is what its sender makes it. `metadata` may stand beside all of them.

Source: https://github.com/argoproj/argo-events/blob/master/pkg/eventsources/events/event-data.go
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Shape = Any
"""A dict of members, a list of one shape, or None."""

_TEXT: dict[str, Shape] = {}
"""A scalar: nothing is inside."""

_OBJECT: Shape = {
    **dict.fromkeys(("key", "size", "eTag", "contentType", "versionId", "sequencer"), _TEXT),
    "userMetadata": None,
}
_S3_RECORD: Shape = {
    **dict.fromkeys(("eventVersion", "eventSource", "awsRegion", "eventTime", "eventName"), _TEXT),
    "userIdentity": {"principalId": _TEXT},
    "requestParameters": None,
    "responseElements": None,
    "s3": {
        "s3SchemaVersion": _TEXT,
        "configurationId": _TEXT,
        "bucket": {"name": _TEXT, "ownerIdentity": {"principalId": _TEXT}, "arn": _TEXT},
        "object": _OBJECT,
    },
    "source": {"host": _TEXT, "port": _TEXT, "userAgent": _TEXT},
}
_FILE: Shape = {"name": _TEXT, "op": _TEXT}


def _of(*members: str, **more: Shape) -> Shape:
    return {**dict.fromkeys(members, _TEXT), "body": None, **more}


SHAPES: Mapping[str, Shape] = {
    "amqp": _of(
        *("contentType", "contentEncoding", "deliveryMode", "priority", "correlationId", "replyTo", "expiration"),
        *("messageId", "timestamp", "type", "appId", "exchange", "routingKey"),
    ),
    "azureEventsHub": _of("id", "partitionKey"),
    "azureQueueStorage": _of("messageID", "insertionTime"),
    "azureServiceBus": _of(
        *("contentType", "correlationID", "enqueuedTime", "messageID", "replyTo", "sequenceNumber", "subject"),
        applicationProperties=None,
    ),
    "bitbucket": _of(headers=None),
    "bitbucketserver": _of(headers=None),
    "calendar": {"eventTime": _TEXT},
    "emitter": _of("topic"),
    "file": _FILE,
    "generic": _of(),
    "gerrit": _of(headers=None),
    "github": _of(headers=None),
    "gitlab": _of(headers=None),
    "hdfs": _FILE,
    "kafka": _of("topic", "key", "partition", "timestamp", headers=None),
    "minio": {"notification": [_S3_RECORD]},
    "mqtt": _of("topic", "messageId"),
    "nats": _of("subject", header=None),
    "nsq": _of("timestamp", "nsqdAddress"),
    "pubSub": _of("id", "publishTime", attributes=None),
    "pulsar": _of("key", "publishTime"),
    "redis": _of("channel", "pattern"),
    "redisStream": {"stream": _TEXT, "message_id": _TEXT, "values": None},
    "resource": _of("type", "group", "version", "resource", oldBody=None),
    "sftp": _FILE,
    "sns": _of(header=None),
    "sqs": _of("messageId", messageAttributes=None),
    "storagegrid": {"notification": {"Action": _TEXT, "TopicArn": _TEXT, "Version": _TEXT, "Message": None}},
    "stripe": {"event": None},
    "webhook": _of(header=None),
}
"""Kinds whose shape is known. Slack's events have no envelope, and a plugin's kind says nothing of itself."""


_OF_OURS: Mapping[str, tuple[str, ...]] = {
    "file": ("path", "size", "etag"),
    "kafka": ("offset",),
    "pubSub": ("orderingKey",),
    "redisStream": ("valuesEncoding",),
    "sqs": ("sns", "group"),
}
"""Members that only sources of retrain.dev/v1 add, besides `bodyEncoding` beside a body."""


def members_of(kind: str) -> Shape:
    """The shape of a kind's data, whichever apiVersion its source has; None where nothing is known of it."""
    shape = SHAPES.get(kind)
    if shape is None:
        return None
    encoding = {"bodyEncoding": _TEXT} if "body" in shape else {}
    return {**shape, **encoding, **dict.fromkeys(_OF_OURS.get(kind, ())), "metadata": None}
