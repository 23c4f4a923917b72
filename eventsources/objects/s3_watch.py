"""One bucket, watched on two ways that lead to the same events: notifications, which are fast and forget, and listing,
which is slow and forgets nothing.

It is listed at the start, whenever notifications have begun to come, every so often, and all the time while there are
none. One object version has one id on both ways, so it is told once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import anyio

from eventsources import daemon
from eventsources.objects.s3_keys import GONE, PAGE, Inventory, Removal, Skipped
from eventsources.objects.s3_records import (
    CREATED,
    DELETE,
    Notice,
    ObjectVersion,
    data_of,
    passing_thing,
    record_of,
    removal_thing,
    version_thing,
    wants,
)
from eventsources.objects.s3_told import Told
from eventsources.objects.sets import Rule
from eventsources.objects.sets_watch import SetWatch
from eventsources.port import SourceContext
from retrain.errors import Transient
from retrain.events import MAX_ATTRIBUTE, OBJECT, Event, EventKey, JsonValue
from retrain.log import get_logger

log = get_logger()

UNHEARD_S = 2.0
"""Seconds between two listings while no notifications come; more where a listing takes long, see `_pause`."""

SHARE = 20
"""Without notifications, at most one part in so many of the time is spent on listing."""

LATE_S = 10.0
"""An object that is older and that the stream has not told of was missed by it."""

DISTRUST_S = 60.0
"""Seconds for which a stream that missed something is not relied upon."""

TOMBSTONE_S = 24 * 3600
LOOKUPS, LOOKUP_PAUSES_S = 8, (0.5, 1.0, 2.0, 4.0)


class Objects(Protocol):
    """A bucket as its client shows it. Blocking; called from several threads. Errors are Transient."""

    def list(self, prefix: str) -> Iterator[ObjectVersion]:
        """All objects, in every version where the bucket keeps versions, in the order of their keys' bytes."""
        ...

    def look_up(self, key: str) -> ObjectVersion | None:
        """The object as it is now; None if it is gone, or may not be looked at."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants to be told of. `by`: who tells (`minio:s3`); `judged`: whether what comes as notifications is
    a stream, which should have told of an object before it is LATE_S old; `only_listed`: that none are to come."""

    scope: str
    bucket: str
    by: str
    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""
    tell_first: bool = True
    every_s: float = 300.0
    judged: bool = False
    only_listed: bool = False
    rule: Rule | None = None


class Watch:
    """One bucket. `on_missed` is called when the stream has been found to miss objects."""

    def __init__(
        self,
        objects: Objects,
        wanted: Wanted,
        context: SourceContext,
        told: Told,
        on_missed: Callable[[], object] = lambda: None,
    ) -> None:
        self._objects = objects
        self._wanted = wanted
        self._context = context
        self._status = context.status
        self._told = told
        self._on_missed = on_missed
        self._skipped = Skipped(context.checkpoints, wanted.scope)
        removals = wants(wanted.events, DELETE) and wanted.rule is None
        keys = f"{wanted.scope}:{wanted.prefix}:{wanted.suffix}"
        self._inventory = Inventory(context.checkpoints, keys) if removals else None
        self._sets = SetWatch(wanted.rule, self._of_folder, wanted, context) if wanted.rule else None
        self._deaf: str | None = None if wanted.only_listed else "there are none yet"
        self._distrusted_until = 0.0
        self._heard_at = 0.0  # when notifications began to come, in seconds since 1970
        self._missed = 0  # objects that they did not tell of
        self._taking = anyio.Lock()  # what happens to one key stays in its order
        self._wake = anyio.Event()
        self._lookups = anyio.CapacityLimiter(LOOKUPS)

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            Transient: the bucket cannot be listed now; in the words of an operator. (May come in a group.)
        """
        async with anyio.create_task_group() as tasks:
            if self._sets is not None:
                tasks.start_soon(self._sets.run)
            while True:
                self._wake = anyio.Event()
                began = anyio.current_time()
                self._judge(await self._list())
                pause = self._pause(anyio.current_time() - began)
                self._status.listening(self._note(pause))
                with anyio.move_on_after(pause):
                    await self._wake.wait()

    # --- notifications -------------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Notifications come from now on; what was before is found by listing."""
        self._deaf = None
        self._heard_at = self._context.clock.now().timestamp()
        self._wake.set()

    def deafen(self, reason: str) -> None:
        """None come any more."""
        if self._deaf is None:
            self._wake.set()
        self._deaf = reason

    async def take(self, notices: Sequence[Notice]) -> None:
        """Tell of what notifications say; returns when that is safe.

        Raises:
            Transient: the server cannot be asked about the objects.
        """
        found = [notice for notice in await self._resolved(notices) if self._is_meant(notice[0])]
        if self._sets is not None:
            await self._sets.touch([n.version.key for n, _ in found if n.event_name.startswith(CREATED)])
            return
        if self._inventory is None:
            await self._tell((await self._events_of(found))[0])
            return
        async with self._taking:
            events, stamps = await self._events_of(found)
            await self._tell(events)
            await self._inventory.keep(stamps)

    def _is_meant(self, notice: Notice) -> bool:
        wanted, version = self._wanted, notice.version
        fits = version.key.startswith(wanted.prefix) and (self._sets is not None or version.key.endswith(wanted.suffix))
        return fits and version.bucket == wanted.bucket and wants(wanted.events, notice.event_name)

    async def _resolved(self, notices: Sequence[Notice]) -> list[tuple[Notice, ObjectVersion | None]]:
        """Each with the key that its object has, and the object as it is now where that is needed for the id."""
        found: dict[int, tuple[Notice, ObjectVersion | None]] = {}

        async def look(index: int, notice: Notice) -> None:
            async with self._lookups:
                found[index] = await self._looked_up(notice)

        async with anyio.create_task_group() as tasks:
            for index, notice in enumerate(notices):
                tasks.start_soon(look, index, notice)
        return [found[index] for index in range(len(notices))]

    async def _looked_up(self, notice: Notice) -> tuple[Notice, ObjectVersion | None]:
        now: ObjectVersion | None = None
        needed = notice.lasting and not notice.version.version and self._sets is None
        if needed or notice.decoded is not None:
            now = await self._look_up(notice.version.key)
        if now is None and notice.decoded is not None and (now := await self._look_up(notice.decoded)) is not None:
            notice = replace(notice, version=replace(notice.version, key=notice.decoded))
        return notice, now

    async def _events_of(
        self, found: Sequence[tuple[Notice, ObjectVersion | None]]
    ) -> tuple[list[Event], dict[str, str]]:
        """Events of notices, and what to keep in the inventory once they are safe."""
        stamps: dict[str, str] = {}
        if self._inventory is not None:
            stamps = await self._inventory.stamps(n.version.key for n, _ in found if n.removes)
        changed: dict[str, str] = {}
        events: list[Event] = []
        for notice, now in found:
            key = notice.version.key
            thing = self._thing_of(notice, now, changed.get(key) or stamps.get(key, ""))
            if thing is None:
                continue
            events.append(self._event(thing, notice.version, notice.record))
            if notice.removes and (stamp := changed.get(key) or stamps.get(key)):
                changed[key] = self._gone(stamp)
            elif notice.lasting and now is not None and not now.version and now.etag == notice.version.etag:
                changed[key] = now.stamp
        return events, changed

    def _thing_of(self, notice: Notice, now: ObjectVersion | None, stamp: str) -> str | None:
        """What names what a notice tells of; None where a listing has told of it."""
        version = notice.version
        if notice.removes and stamp:
            return removal_thing(version.bucket, version.key, _stamp_in(stamp))
        if not notice.lasting:
            return passing_thing(notice)
        if version.version:
            return version_thing(version)
        if now is not None and now.etag == version.etag:
            return version_thing(now)
        # Replaced or gone meanwhile: no listing will ever show the version that this notice tells of; one may have.
        return None if self._told.has_listed(version) else passing_thing(notice)

    async def _look_up(self, key: str) -> ObjectVersion | None:
        """The object as it is now; with some patience for a server that starts again."""
        for pause in LOOKUP_PAUSES_S:
            try:
                return await daemon.run_sync(self._objects.look_up, key)
            except Transient as error:
                log.info("objects.look_up_later", source=self._status.name, reason=str(error), retry_s=pause)
            await anyio.sleep(pause)
        return await daemon.run_sync(self._objects.look_up, key)

    # --- the listing ---------------------------------------------------------------------------------------------

    def _judge(self, missed: int) -> None:
        """Whether the stream can be believed: it should have told of what the listing found."""
        if self._wanted.judged and self._deaf is None and missed:
            self._missed += missed
            self._distrusted_until = anyio.current_time() + DISTRUST_S
            log.warning("objects.stream_missed", source=self._status.name, objects=missed)
            self._on_missed()

    def _pause(self, took_s: float) -> float:
        if self._deaf is None and anyio.current_time() >= self._distrusted_until:
            return self._wanted.every_s
        return min(self._wanted.every_s, max(UNHEARD_S, took_s * SHARE))

    def _note(self, pause: float) -> str | None:
        if self._deaf is not None:
            return f"no notifications ({self._deaf}): the bucket is listed every {pause:.3g} s instead"
        if self._missed:
            return f"the stream of notifications missed {self._missed} objects, which were found by listing"
        return None

    async def _list(self) -> int:
        """Tell of all that was not told before; how many of these the stream should have told of."""
        checkpoints, scope = self._context.checkpoints, self._wanted.scope
        begun = (await checkpoints.get(scope, ["begun"])).get("begun")
        first = begun is None
        missed = 0
        if self._inventory is not None:
            self._inventory.begin()
        walk = self._sets.walk(first=first) if self._sets is not None else None
        async for page in self._pages(self._wanted.prefix):
            if walk is not None:
                await walk.add(page)
                continue
            mine = [one for one in page if one.key.endswith(self._wanted.suffix)]
            missed += await self._tell_page(mine, first=first, skips=begun is None or begun["skipped"])
            if self._inventory is not None and page:
                await self._tell_removed(await self._inventory.page(mine, upto=page[-1].key))
        if walk is not None:
            await walk.end()
        if self._inventory is not None:
            await self._tell_removed(await self._inventory.page([], upto=None))
        if first:
            await checkpoints.save(scope, {"begun": {"skipped": self._skipped.any}})
        return missed

    async def _pages(self, prefix: str) -> AsyncIterator[list[ObjectVersion]]:
        versions = self._objects.list(prefix)
        while page := await daemon.run_sync(_page, versions):
            yield page

    async def _of_folder(self, folder: str) -> AsyncIterator[list[ObjectVersion]]:
        async for page in self._pages(folder):
            yield page

    async def _tell_page(self, page: list[ObjectVersion], *, first: bool, skips: bool) -> int:
        """Tell of a page's versions that were not told; how many of them a stream should have told of."""
        wanted = [one for one in page if wants(self._wanted.events, one.happened)]
        if first:
            old = [one for one in wanted if not (self._wanted.tell_first and one.latest)]
            await self._skipped.add(old)
            skipped = {version_thing(one) for one in old}
        else:
            skipped = await self._skipped.among([one for one in wanted if self._untold(one)]) if skips else set[str]()
        fresh = await self._fresh([one for one in wanted if version_thing(one) not in skipped])
        await self._tell(fresh.values())
        self._told.listed(fresh)
        late = self._context.clock.now().timestamp() - LATE_S
        return sum(1 for one in fresh if one.modified and self._heard_at < one.modified.timestamp() < late)

    def _untold(self, version: ObjectVersion) -> bool:
        return self._key(version) not in self._told

    async def _fresh(self, versions: Iterable[ObjectVersion]) -> dict[ObjectVersion, Event]:
        """Events of what was not told yet."""
        untold = {self._key(one): one for one in versions if self._untold(one)}
        known = await self._context.known(untold.keys()) if untold else set[str]()
        return {one: self._event_of(one) for key, one in untold.items() if key not in known}

    def _key(self, version: ObjectVersion) -> EventKey:
        """The key of a version's event; the event itself costs more."""
        context = self._context
        return Event(context.id_of(version_thing(version)), context.source, context.type).key

    async def _tell_removed(self, removals: Sequence[Removal]) -> None:
        """Tell of objects that are gone, unless they are there again, or their going was told."""
        assert self._inventory is not None
        now = self._context.clock.now().timestamp()
        keep: dict[str, str] = {}
        events: list[Event] = []
        for removal in removals:
            if removal.stamp.startswith(GONE):
                if float(removal.stamp.split(":")[1]) < now - TOMBSTONE_S:
                    await self._inventory.forget([removal.key])
                continue
            if (back := await self._look_up(removal.key)) is not None:
                keep[removal.key] = back.stamp
                continue
            version = ObjectVersion(self._wanted.bucket, removal.key)
            thing = removal_thing(version.bucket, version.key, removal.stamp)
            events.append(self._event(thing, version, record_of(version, self._wanted.by, DELETE)))
            keep[removal.key] = self._gone(removal.stamp)
        await self._tell(events)
        await self._inventory.keep(keep)

    def _gone(self, stamp: str) -> str:
        return f"{GONE}{int(self._context.clock.now().timestamp())}:{_stamp_in(stamp)}"

    # --- telling -------------------------------------------------------------------------------------------------

    async def _tell(self, events: Iterable[Event]) -> None:
        untold = [one for one in events if one.key not in self._told]
        await self._context.deliver(untold)
        self._told.add(one.key for one in untold)

    def _event_of(self, version: ObjectVersion) -> Event:
        return self._event(version_thing(version), version, record_of(version, self._wanted.by))

    def _event(self, thing: str, version: ObjectVersion, record: dict[str, JsonValue]) -> Event:
        data = data_of(record, version.key, plain=self._context.ours)
        return self._context.event(thing, data, extensions={OBJECT: version.url[:MAX_ATTRIBUTE]})


def _page(versions: Iterator[ObjectVersion]) -> list[ObjectVersion]:
    return list(islice(versions, PAGE))


def _stamp_in(stamp: str) -> str:
    """The stamp of the version that a tombstone stands for, or the stamp itself."""
    return stamp.split(":", 2)[2] if stamp.startswith(GONE) else stamp
