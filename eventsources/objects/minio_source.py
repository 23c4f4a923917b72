"""The MinIO source: objects that are made, changed or removed in buckets, also while the platform was away.

Notifications come by the server's stream, or by its webhook or JetStream targets; listing finds what they do not tell
of. `s3_watch.py` makes one of both.

Source of the payload: pkg/eventsources/sources/minio/start.go of Argo Events.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import anyio
import anyio.from_thread
import anyio.lowlevel
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskStatus

from eventsources import daemon
from eventsources.duration import seconds
from eventsources.objects.minio import EVENTS, RECONCILE, Minio, ObjectFilter, buckets_of
from eventsources.objects.minio_client import Bucket, Place, Stream
from eventsources.objects.s3_buckets import Buckets, Reads
from eventsources.objects.s3_records import Notice, read_notice
from eventsources.objects.s3_watch import Wanted, Watch
from eventsources.objects.s3_ways import by_jetstream, by_webhook
from eventsources.objects.sets import rule_of
from eventsources.port import SourceContext, SourceState
from eventsources.trying import LAST_S
from retrain.errors import Transient
from retrain.events import JsonValue
from retrain.log import get_logger
from retrain.manifests.argo import Shape

log = get_logger()

RELISTEN_S = LAST_S
"""Seconds until a server whose stream was silent is asked for one again."""

RETRY_S = 0.5
WAITING, AT_ONCE = 1000, 500
"""Notifications that wait at most, and that are told of together. MinIO drops what it cannot send."""

Records = list[JsonValue]


class MinioSource:
    """One entry of `spec.minio`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:
        assert isinstance(spec, Minio)
        self._name = name
        self._spec = spec
        self._context = context
        self._wanted = {bucket: self._wanted_of(bucket) for bucket in buckets_of(spec)}

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        buckets = Buckets(self._context, self._wanted, self._connect)
        sent = self._spec.notifications
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(buckets.run)
            if sent is not None and sent.webhook is not None:
                tasks.start_soon(by_webhook, sent.webhook, buckets, self._context)
            if sent is not None and sent.jetstream is not None:
                tasks.start_soon(by_jetstream, sent.jetstream, self._name, buckets, self._context)

    def _connect(self, bucket: str, context: SourceContext) -> Connection:
        place = place_of(self._spec, bucket, context)
        return Connection(place, self._wanted[bucket], self._spec.notifications is None)

    def _wanted_of(self, bucket: str) -> Wanted:
        spec, chosen = self._spec, self._spec.filter or ObjectFilter()
        return Wanted(
            scope=f"{spec.endpoint}/{bucket}",
            bucket=bucket,
            by="minio:s3",
            events=spec.events or EVENTS,
            prefix=chosen.prefix,
            suffix=chosen.suffix,
            tell_first=(spec.existing or ("emit" if self._context.ours else "skip")) == "emit",
            every_s=seconds(spec.reconcile.every if spec.reconcile else RECONCILE),
            judged=spec.notifications is None,
            rule=rule_of(spec.stable, spec.marker, chosen.suffix),
        )


def place_of(spec: Minio, bucket: str, context: Reads) -> Place:
    """Where a bucket is, with the keys to it read now.

    Raises:
        NotFound: a secret is not there yet.
    """
    return Place(
        endpoint=spec.endpoint,
        bucket=bucket,
        access_key=context.read(spec.access_key),
        secret_key=context.read(spec.secret_key),
        secure=not spec.insecure,
        region=spec.region,
        ca=context.read(spec.ca_certificate),
    )


class Connection(Bucket):
    """One bucket, and the server's stream of its notifications where that is listened to."""

    def __init__(self, place: Place, wanted: Wanted, listens: bool) -> None:
        super().__init__(place)
        self._wanted = wanted
        self._listens = listens
        self._stream: Stream | None = None

    def missed(self) -> None:
        if self._stream is not None:
            self._stream.close()

    async def listen(self, watch: Watch) -> None:
        if not self._listens:
            return
        send, receive = anyio.create_memory_object_stream[Records](WAITING)
        async with send, receive, anyio.create_task_group() as tasks:
            tasks.start_soon(self._take_in, watch, receive)
            while True:
                await self._listen_once(watch, send)

    async def _listen_once(self, watch: Watch, send: ObjectSendStream[Records]) -> None:
        token, began = anyio.lowlevel.current_token(), anyio.Event()

        def on_open() -> None:
            began.set()
            watch.hear()

        stream = Stream(self._place, lambda: anyio.from_thread.run_sync(on_open, token=token))
        self._stream = stream
        reason = "the server ended the stream"
        try:
            await daemon.run_sync(self._pump, stream, send, token, on_cancel=stream.close)
        except Transient as error:
            reason = str(error)
        log.info("minio.no_stream", bucket=self._place.bucket, reason=reason, was_open=began.is_set())
        watch.deafen(reason)
        await anyio.sleep(RETRY_S if began.is_set() else RELISTEN_S)

    def _pump(self, stream: Stream, send: ObjectSendStream[Records], token: anyio.lowlevel.EventLoopToken) -> None:
        """Hand over what the stream tells; blocks while too much waits, so that memory stays small."""
        wanted = self._wanted
        suffix = wanted.suffix if wanted.rule is None else ""  # a set's marker has another one
        with suppress(anyio.RunFinishedError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            for records in stream.records(wanted.prefix, suffix, wanted.events):
                anyio.from_thread.run(send.send, records, token=token)

    async def _take_in(self, watch: Watch, receive: ObjectReceiveStream[Records]) -> None:
        async for records in receive:
            await watch.take(_notices([*records, *_rest(receive)]))


def _rest(receive: ObjectReceiveStream[Records]) -> Records:
    """What else has come already."""
    found: Records = []
    with suppress(anyio.WouldBlock, anyio.EndOfStream):
        while len(found) < AT_ONCE:
            found += receive.receive_nowait()  # type: ignore[attr-defined]
    return found


def _notices(records: Sequence[JsonValue]) -> list[Notice]:
    return [notice for record in records if (notice := read_notice(record)) is not None]
