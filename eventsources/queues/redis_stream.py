"""What a user writes for a source on Redis' streams, and what can be wrong with it: see `redis_stream_source.py`."""

from __future__ import annotations

from collections.abc import Iterator

from eventsources.fields import TLS, Filter, Limits, Path, check_existing, check_secret, check_tls, only_ours
from eventsources.queues.redis import check_server
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

GROUP = "argo-events-cg"


class RedisStream(Shape):
    """Messages of streams, by one consumer group on all of them: each until it is acknowledged.

    `consumer_group`: Argo Events' name if left out. A group that is not there is made, with its stream.
    `max_msg_count_per_read`: of each stream in one read; 500 if left out. `existing` (of retrain.dev/v1): emit or skip
    what a stream holds when its group is made; emit if left out, skip in Argo Events' documents.
    """

    host_address: str = ""
    streams: tuple[str, ...] = ()
    consumer_group: str = ""
    max_msg_count_per_read: int = 0
    existing: str | None = None
    username: str = ""
    password: KeySelector | None = None
    db: int = 0
    tls: TLS | None = None
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None


def check(path: Path, stream: RedisStream, ours: bool) -> Iterator[Problem]:
    """What is wrong with one source on streams."""
    yield from check_server(path, stream.host_address, stream.db)
    yield from check_secret((*path, "password"), stream.password)
    yield from check_tls((*path, "tls"), stream.tls, ours=ours)
    yield from only_ours(path, stream, ("existing",), ours=ours)
    yield from check_existing((*path, "existing"), stream.existing)
    if not stream.streams:
        yield Problem(path, "missing-field", "streams is missing: the names of the streams to read")
    for index, name in enumerate(stream.streams):
        if not name or name in stream.streams[:index]:
            what = f"{name!r} is there twice" if name else "a stream's name must not be empty"
            yield Problem((*path, "streams", index), "wrong-value", what)
    if stream.max_msg_count_per_read < 0:
        message = "maxMsgCountPerRead must not be negative; 0 is the default"
        yield Problem((*path, "maxMsgCountPerRead"), "wrong-value", message)
