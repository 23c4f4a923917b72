"""What `{{inputs.parameters.<source>-<what>}}` may ask for, in one table; and the same in upstream's words.

`sensors.actions.variables` resolves them. docs/sensors.md prints the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """One row of the table. `source`: the kind of event, "" for every kind. `path`: where in the data it comes from;
    `context`: the attribute that it is. Where both are "" only a variable says it."""

    source: str
    what: str
    says: str
    path: str = ""
    context: str = ""


VARIABLES = (
    Variable("", "id", "the event's id", context="id"),
    Variable("", "type", "its type", context="type"),
    Variable("", "source", "the EventSource's name", context="source"),
    Variable("", "subject", "the event's name in its EventSource", context="subject"),
    Variable("", "time", "its time, like 2026-11-20T08:15:00Z", context="time"),
    Variable("", "count", "how many events of the dependency the trigger acts on"),
    Variable("s3", "key", "the object's key, decoded", path="notification.0.s3.object.key"),
    Variable("s3", "bucket", "its bucket", path="notification.0.s3.bucket.name"),
    Variable("s3", "url", "s3://BUCKET/KEY"),
    Variable("s3", "etag", "its etag, without quotes", path="notification.0.s3.object.eTag"),
    Variable("s3", "size", "its size in bytes", path="notification.0.s3.object.size"),
    Variable("s3", "version", "its version, if the bucket keeps versions", path="notification.0.s3.object.versionId"),
    Variable("s3", "event-name", "what happened, like s3:ObjectCreated:Put", path="notification.0.eventName"),
    Variable("file", "name", "the file's path", path="name"),
    Variable("file", "op", "what happened to it, as a number", path="op"),
    Variable("sftp", "name", "the file's name", path="name"),
    Variable("hdfs", "name", "the file's path", path="name"),
    Variable("kafka", "topic", "the message's topic", path="topic"),
    Variable("kafka", "partition", "its partition", path="partition"),
    Variable("kafka", "offset", "its offset", path="offset"),
    Variable("kafka", "key", "its key", path="key"),
    Variable("kafka", "timestamp", "its timestamp", path="timestamp"),
    Variable("nats", "subject", "the message's subject", path="subject"),
    Variable("mqtt", "topic", "the message's topic", path="topic"),
    Variable("mqtt", "message-id", "its id", path="messageId"),
    Variable("amqp", "exchange", "the message's exchange", path="exchange"),
    Variable("amqp", "routing-key", "its routing key", path="routingKey"),
    Variable("amqp", "message-id", "its id", path="messageId"),
    Variable("redis", "channel", "the message's channel", path="channel"),
    Variable("redisStream", "stream", "the entry's stream", path="stream"),
    Variable("redisStream", "message-id", "its id", path="message_id"),
    Variable("sqs", "message-id", "the message's id", path="messageId"),
    Variable("pubsub", "message-id", "the message's id", path="id"),
    Variable("resource", "event", "ADD, UPDATE or DELETE", path="type"),
    Variable("resource", "name", "the object's name", path="body.metadata.name"),
    Variable("resource", "namespace", "its namespace", path="body.metadata.namespace"),
    Variable("calendar", "event-time", "the tick, as the source writes it", path="eventTime"),
)
"""All variables but the members of an event's body; docs/sensors.md prints it."""


def portable_source(name: str, dependencies: Mapping[str, str]) -> dict[str, str] | None:
    """The `src` of a parameter that says in Argo Events' words what a variable says; None if none does for sure.

    `dependencies`: names of dependencies -> of their EventSources. A key of an object may come encoded this way.
    """
    for dependency, source in dependencies.items():
        kinds = [row.source for row in VARIABLES if row.source] if len(dependencies) == 1 else []
        for beginning in (dependency, source, *kinds):
            if beginning and name.startswith(f"{beginning}-"):
                kind = beginning if beginning in kinds else "s3"
                if (found := _said(kind, name[len(beginning) + 1 :])) is not None:
                    return {"dependencyName": dependency, **found}
    return None


def _said(kind: str, what: str) -> dict[str, str] | None:
    for row in VARIABLES:
        if row.what == what and row.source in (kind, ""):
            if row.path:
                return {"dataKey": row.path}
            if row.context:
                return {"contextKey": row.context}
    return None
