"""The MinIO source: objects that are made, changed or removed in a bucket, also while the platform was away.

Two ways lead to the same events: the server's stream of notifications, which is fast and forgets, and listing the
bucket, which is slow and forgets nothing. It is listed at the start, whenever a stream has begun, and every so often;
and all the time where the server's stream is silent. One object version has one id on both ways, so it is told once.

Source of the payload: pkg/eventsources/sources/minio/start.go of Argo Events.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import anyio
import anyio.from_thread
import anyio.lowlevel
import structlog
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskStatus

from eventsources import daemon
from eventsources.duration import seconds
from eventsources.objects.minio import Minio, ObjectFilter
from eventsources.objects.minio_client import Bucket, Place, Stream
from eventsources.objects.minio_records import (
    Notice,
    ObjectVersion,
    data_of,
    passing_id,
    read_notice,
    record_of,
    version_id,
    wants,
)
from eventsources.port import SourceContext, SourceState
from retrain.errors import RetrainError, Transient
from retrain.events import MAX_ATTRIBUTE, Event, JsonValue, format_time, parse_time
from retrain.manifests.argo import Shape
from retrain.store.events import OBJECT

log = structlog.get_logger()

PAGE = 500
EVENTS = ("s3:ObjectCreated:*",)
RECONCILE = "5m"
UNHEARD_S = 2.0
"""Seconds between two listings while there is no stream; more where a listing takes long, see `_pause`."""

SHARE = 20
"""Without a stream, at most one part in so many of the time is spent on listing."""

LATE_S = 10.0
"""An object that is older and that the stream has not told of was missed by it."""

RELISTEN_S = 30.0
"""Seconds until a server whose stream was silent is asked for one again."""

RETRY_MIN_S, RETRY_MAX_S = 0.5, 30.0
LOOKUPS = 8
REMEMBERED = 100_000
NEVER = datetime.min.replace(tzinfo=UTC)
Records = list[JsonValue]


class MinioSource:
    """One entry of `spec.minio`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:
        assert isinstance(spec, Minio)
        self._name = name
        self._spec = spec
        self._context = context
        self._status = context.status
        self._filter = spec.filter or ObjectFilter()
        self._events = spec.events or EVENTS
        self._every_s = seconds(spec.reconcile.every if spec.reconcile else RECONCILE)
        self._tell_first = (spec.existing or ("emit" if context.ours else "skip")) == "emit"
        self._place: Place | None = None
        self._stream: Stream | None = None
        self._heard = False  # whether there is a stream now
        self._deaf_because = "there is none yet"
        self._listings = 0  # since the stream began
        self._missed = 0
        self._wake = anyio.Event()
        self._told: OrderedDict[str, None] = OrderedDict()  # keys of events, the newest REMEMBERED
        self._lookups = anyio.CapacityLimiter(LOOKUPS)

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        while True:
            await self._run_at(await self._find_place(), task_status)

    async def _run_at(self, place: Place, task_status: TaskStatus[None]) -> None:
        """Receive from one place; ends when endpoint or keys are other ones after a failure."""
        task_status.started()
        send, receive = anyio.create_memory_object_stream[Records](100)
        with closing(Bucket(place)) as bucket:
            async with send, receive, anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep_listening, place, send)
                tasks.start_soon(self._take_notices, bucket, receive)
                await self._keep_listing(place, bucket)
                tasks.cancel_scope.cancel()

    async def _find_place(self) -> Place:
        """Endpoint and keys; waits until the secrets are there."""
        while True:
            try:
                return self._look_for_place()
            except RetrainError as error:
                self._status.failed(str(error))
                self._status.waiting(str(error))
            await anyio.sleep(RETRY_MAX_S / 10)

    def _look_for_place(self) -> Place:
        spec = self._spec
        return Place(
            endpoint=spec.endpoint,
            bucket=spec.bucket.name if spec.bucket else "",
            access_key=self._context.read(spec.access_key),
            secret_key=self._context.read(spec.secret_key),
            secure=not spec.insecure,
            region=spec.region,
            ca=self._context.read(spec.ca_certificate),
        )

    # --- the stream ----------------------------------------------------------------------------------------------

    async def _keep_listening(self, place: Place, send: ObjectSendStream[Records]) -> None:
        delay = RETRY_MIN_S
        while True:
            token = anyio.lowlevel.current_token()
            stream = Stream(place, lambda token=token: anyio.from_thread.run_sync(self._hear, token=token))
            self._stream = stream
            try:
                await daemon.run_sync(self._pump, stream, send, token, on_cancel=stream.close)
            except Transient as error:
                log.info("minio.no_stream", source=self._status.name, reason=str(error), was_open=self._heard)
                delay = RETRY_MIN_S if self._heard else RELISTEN_S
                self._deaf_because = str(error)
            self._heard = False
            self._wake.set()
            await anyio.sleep(delay)

    def _pump(self, stream: Stream, send: ObjectSendStream[Records], token: anyio.lowlevel.EventLoopToken) -> None:
        """Hand over what the stream tells; blocks while too much waits, so that memory stays small."""
        with suppress(anyio.RunFinishedError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            for records in stream.records(self._filter.prefix, self._filter.suffix, self._events):
                anyio.from_thread.run(send.send, records, token=token)

    def _hear(self) -> None:
        """A stream has begun; what came before it is found by listing."""
        self._heard = True
        self._listings = 0
        self._wake.set()

    async def _take_notices(self, bucket: Bucket, receive: ObjectReceiveStream[Records]) -> None:
        async for records in receive:
            notices = [notice for record in records if (notice := read_notice(record)) is not None]
            events = await self._events_of(bucket, notices)
            await self._tell(events)

    async def _events_of(self, bucket: Bucket, notices: list[Notice]) -> list[Event]:
        events: dict[int, Event] = {}

        async def make(index: int, notice: Notice) -> None:
            async with self._lookups:
                notice = await self._with_its_key(bucket, notice)
                events[index] = self._event(await self._id_of(bucket, notice), notice.version, notice.record)

        async with anyio.create_task_group() as tasks:
            for index, notice in enumerate(notices):
                tasks.start_soon(make, index, notice)
        return [events[index] for index in range(len(notices))]

    async def _id_of(self, bucket: Bucket, notice: Notice) -> str:
        if not notice.lasting:
            return passing_id(self._name, notice)
        if notice.version.version:
            return version_id(self._name, notice.version)
        # Replaced or gone meanwhile: no listing will ever show the version that this notice tells of.
        now = await self._look_up(bucket, notice.version.key)
        same = now is not None and now.etag == notice.version.etag
        return version_id(self._name, now) if now is not None and same else passing_id(self._name, notice)

    async def _with_its_key(self, bucket: Bucket, notice: Notice) -> Notice:
        """The notice with the key that the object has, if that may not be what the server wrote."""
        if notice.decoded is None or await self._look_up(bucket, notice.version.key) is not None:
            return notice
        if await self._look_up(bucket, notice.decoded) is None:
            return notice
        return replace(notice, version=replace(notice.version, key=notice.decoded))

    async def _look_up(self, bucket: Bucket, key: str) -> ObjectVersion | None:
        """The object as it is now; waits for the server as long as that takes."""
        delay = RETRY_MIN_S
        while True:
            try:
                return await daemon.run_sync(bucket.look_up, key)
            except Transient as error:
                self._status.failed(str(error))
                log.info("minio.look_up_later", source=self._status.name, reason=str(error), retry_s=delay)
            await anyio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_S)

    # --- the listing ---------------------------------------------------------------------------------------------

    async def _keep_listing(self, place: Place, bucket: Bucket) -> None:
        """Until the keys are other ones: a secret that was wrong has been mended."""
        delay = RETRY_MIN_S
        while True:
            self._wake = anyio.Event()
            began = anyio.current_time()
            try:
                missed = await self._list(bucket)
            except Transient as error:
                self._status.failed(str(error))
                self._status.waiting(str(error))
                log.info("minio.waiting", source=self._status.name, reason=str(error), retry_s=delay)
                await anyio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_S)
                continue
            delay = RETRY_MIN_S
            self._judge(missed)
            pause = self._pause(anyio.current_time() - began)
            self._status.listening(self._note(pause))
            with anyio.move_on_after(pause):
                await self._wake.wait()

    def _judge(self, missed: int) -> None:
        """Whether the stream can be believed: it should have told of what the listing found."""
        if self._heard and self._listings and missed:
            self._missed += missed
            log.warning("minio.stream_missed", source=self._status.name, objects=missed)
            if self._stream is not None:
                self._stream.close()
        self._listings += 1

    def _pause(self, took_s: float) -> float:
        return self._every_s if self._heard else min(self._every_s, max(UNHEARD_S, took_s * SHARE))

    def _note(self, pause: float) -> str | None:
        if not self._heard:
            return (
                f"no stream of notifications ({self._deaf_because}): the bucket is listed every {pause:.3g} s instead"
            )
        if self._missed:
            return f"the stream of notifications missed {self._missed} objects, which were found by listing"
        return None

    async def _list(self, bucket: Bucket) -> int:
        """Tell of all that was not told before; how many of these the stream should have told of."""
        begun = (await self._context.checkpoints.get(self._scope, ["begun"])).get("begun")
        base = parse_time(begun) if begun else None
        versions = bucket.list(self._filter.prefix, self._filter.suffix)
        newest, missed = NEVER, 0
        while page := await daemon.run_sync(_page, versions):
            newest = max([newest, *(one.modified for one in page if one.modified)])
            fresh = await self._fresh([one for one in page if self._is_wanted(one, base)])
            await self._tell(fresh.values())
            late = self._context.clock.now() - timedelta(seconds=LATE_S)
            missed += sum(1 for one in page if one.modified and one.modified < late and self._id(one) in fresh)
        if base is None:
            value = format_time(max(newest, datetime(1970, 1, 1, tzinfo=UTC)))
            await self._context.checkpoints.save(self._scope, {"begun": value})
        return missed

    @property
    def _scope(self) -> str:
        return f"{self._spec.endpoint}/{self._spec.bucket.name if self._spec.bucket else ''}"

    def _is_wanted(self, one: ObjectVersion, base: datetime | None) -> bool:
        """`base` is when the newest object was made that the first listing ever saw; None in that listing."""
        old = base is None or (one.modified is not None and one.modified <= base)
        if old and not (self._tell_first and one.latest):
            return False
        return wants(self._events, one.happened)

    def _id(self, one: ObjectVersion) -> str:
        return version_id(self._name, one)

    async def _fresh(self, versions: list[ObjectVersion]) -> dict[str, Event]:
        """Events of what was not told yet, by id."""
        events = {one.id: one for one in (self._event(self._id(v), v, record_of(v)) for v in versions)}
        untold = {one.key: one for one in events.values() if one.key not in self._told}
        known = await self._context.known(untold.keys()) if untold else set[str]()
        return {one.id: one for key, one in untold.items() if key not in known}

    # --- telling -------------------------------------------------------------------------------------------------

    async def _tell(self, events: Iterable[Event]) -> None:
        untold = [one for one in events if one.key not in self._told]
        await self._context.deliver(untold)
        for one in untold:
            self._told[one.key] = None
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def _event(self, event_id: str, version: ObjectVersion, record: dict[str, JsonValue]) -> Event:
        return Event(
            id=event_id,
            source=self._context.source,
            type="minio",
            subject=self._name,
            time=self._context.clock.now(),
            data=data_of(record, version.key, self._spec.metadata, plain=self._context.ours),
            datacontenttype="application/json",
            extensions={OBJECT: version.url[:MAX_ATTRIBUTE]},
        )


def _page(versions: Iterator[ObjectVersion]) -> list[ObjectVersion]:
    return list(islice(versions, PAGE))
