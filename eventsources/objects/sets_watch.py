"""Waits until data sets in a bucket are whole, and tells of each once.

Nothing that matters is in memory only: which digest of a set was told last is in the store, and what a set consists of
is read from the bucket. So a restart finds every set that became whole meanwhile, and every part that came late.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from eventsources.objects.s3_records import ObjectVersion
from eventsources.objects.sets import DataSet, Known, Rule, Walk
from eventsources.port import SourceContext
from retrain.events import MAX_ATTRIBUTE, OBJECT, Event, JsonValue

if TYPE_CHECKING:
    from eventsources.objects.s3_watch import Wanted

SKEW_S = 900.0
"""How far clocks of S3's servers and ours may be apart: beyond it S3 refuses every request."""

Pages = Callable[[str], AsyncIterator[list[ObjectVersion]]]


@dataclass(frozen=True, slots=True)
class Look:
    """What a set was like when it was looked at, by the monotonic clock."""

    digest: str
    at: float


class SetWatch:
    """The sets of one bucket. `pages` lists a folder."""

    def __init__(self, rule: Rule, pages: Pages, wanted: Wanted, context: SourceContext) -> None:
        self._rule = rule
        self._pages = pages
        self._bucket = wanted.bucket
        self._prefix = wanted.prefix
        self._tell_first = wanted.tell_first
        self._context = context
        self._scope = f"{wanted.scope}#sets"
        self._due: dict[str, float] = {}
        self._looks: dict[str, Look] = {}
        self._wake = anyio.Event()

    async def run(self) -> None:
        """Look at each set again when it may be whole.

        Raises:
            Transient: the bucket cannot be listed.
        """
        while True:
            now = anyio.current_time()
            for folder in [one for one, due in self._due.items() if due <= now]:
                del self._due[folder]
                await self._look_at(folder)
            self._wake = anyio.Event()
            with anyio.move_on_at(min(self._due.values(), default=now + 3600)):
                await self._wake.wait()

    async def touch(self, keys: Iterable[str]) -> None:
        """Objects were made or changed."""
        now, late = anyio.current_time(), set[str]()
        for key in keys:
            if self._rule.is_marker(key):
                # It may be that of a set that was told: then the digest says whether there is anything new.
                folder = key.rpartition("/")[0]
                self._due[f"{folder}/" if folder else ""] = now
            elif self._rule.is_part(key):
                late.update(self._rule.folders(key))
        if late and self._rule.marker:
            late = set(await self._context.checkpoints.get(self._scope, late)) | (late & self._due.keys())
        for folder in late:
            if folder.startswith(self._prefix) or self._prefix.startswith(folder):
                self._due[folder] = now + self._rule.quiet_s
        self._wake.set()

    def walk(self, *, first: bool) -> _Listing:
        """A listing of the whole bucket begins. `first`: what it finds was there before the source."""
        return _Listing(Walk(self._rule), lambda one: self._judge(one, first=first))

    async def _look_at(self, folder: str) -> None:
        walk = self.walk(first=False)
        # A prefix may reach into the folder: a set is made of what the source is to see, on both ways.
        async for page in self._pages(folder if len(folder) >= len(self._prefix) else self._prefix):
            await walk.add(page, only=folder)
        await walk.end(only=folder)

    async def _judge(self, found: DataSet, *, first: bool) -> None:
        """Tell of a set, if it is whole and has something new."""
        if not found.count or (self._rule.marker and found.marker is None):
            return
        kept = (await self._context.checkpoints.get(self._scope, [found.folder])).get(found.folder)
        known = Known(**kept) if kept else None
        if known is not None and known.digest == found.digest:
            self._looks.pop(found.folder, None)
            return
        if (first and not self._tell_first) or (known is not None and known.only_shrunk(found)):
            await self._keep(found)
            return
        if self._is_quiet(found, late=known is not None):
            await self._tell(found)
            await self._keep(found)
            self._looks.pop(found.folder, None)

    def _is_quiet(self, found: DataSet, *, late: bool) -> bool:
        """Whether nothing has changed for as long as it must; else it is looked at again."""
        if self._rule.marker and not self._rule.settles and not late:
            return True
        if found.newest is not None:
            age_s = (self._context.clock.now() - found.newest).total_seconds()
            if age_s > self._rule.quiet_s + SKEW_S:
                return True
        now, before = anyio.current_time(), self._looks.get(found.folder)
        if before is None or before.digest != found.digest:
            before = self._looks[found.folder] = Look(found.digest, now)
        if now >= before.at + self._rule.quiet_s:
            return True
        self._due[found.folder] = before.at + self._rule.quiet_s
        self._wake.set()
        return False

    async def _tell(self, found: DataSet) -> None:
        event = self._event(found)
        if event.key not in await self._context.known([event.key]):
            await self._context.deliver([event])

    def _event(self, found: DataSet) -> Event:
        whole = ObjectVersion(self._bucket, found.folder)
        extensions = {OBJECT: whole.url[:MAX_ATTRIBUTE]}
        thing = f"{whole.url.removeprefix('s3://')}:set:{found.digest}"
        return self._context.event(thing, found.data(self._bucket), extensions=extensions)

    async def _keep(self, found: DataSet) -> None:
        newest = found.newest.isoformat() if found.newest else ""
        value: dict[str, JsonValue] = {"digest": found.digest, "newest": newest, "count": found.count}
        await self._context.checkpoints.save(self._scope, {found.folder: value})


class _Listing:
    """A walk whose sets are judged one after the other."""

    def __init__(self, walk: Walk, judge: Callable[[DataSet], object]) -> None:
        self._walk = walk
        self._judge = judge

    async def add(self, page: Iterable[ObjectVersion], only: str | None = None) -> None:
        await self._all(self._walk.add(page), only)

    async def end(self, only: str | None = None) -> None:
        await self._all(self._walk.end(), only)

    async def _all(self, found: Iterable[DataSet], only: str | None) -> None:
        for one in found:
            if only is None or one.folder == only:
                await self._judge(one)  # type: ignore[misc]
