"""What a user writes for a source on a NATS JetStream, and what can be wrong with it. `jetstream_source.py` runs it.

Argo Events has no such kind: it is of retrain.dev/v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from eventsources.fields import TLS, Filter, Limits, Path, check_existing
from eventsources.queues.nats import NatsAuth, check_server, check_subject
from retrain.manifests import Problem
from retrain.manifests.argo import Shape

_NAME = re.compile(r"[^\s.*>/\\\x00-\x1f\x7f]{1,255}")


class JetStream(Shape):
    """Messages of a stream, by a durable pull consumer: each until it is acknowledged.

    `consumer`: the durable's name; one is made of the EventSource's and the event's name if left out. It is made where
    there is none, and taken as it is where there is one; all replicas share it. `subject`: which messages; all if left
    out. `existing`: emit or skip what the stream holds when the consumer is made; emit if left out.
    """

    url: str = ""
    stream: str = ""
    consumer: str = ""
    subject: str = ""
    existing: str | None = None
    auth: NatsAuth | None = None
    tls: TLS | None = None
    json_body: bool | None = None
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None


def check(path: Path, jetstream: JetStream, ours: bool) -> Iterator[Problem]:
    """What is wrong with one source on JetStream."""
    yield from check_server(path, jetstream.url, jetstream.auth, jetstream.tls, ours=ours)
    yield from check_subject(path, jetstream.subject, required=False)
    if not jetstream.stream:
        yield Problem(path, "missing-field", "stream is missing: the name of the stream to read")
    for name in ("stream", "consumer"):
        value: str = getattr(jetstream, name)
        if value and not _NAME.fullmatch(value):
            message = f"{name} {value!r} is no name: no spaces, dots, slashes, * and >"
            yield Problem((*path, name), "wrong-value", message)
    yield from check_existing((*path, "existing"), jetstream.existing)
