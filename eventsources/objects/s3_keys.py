"""What a source remembers of the keys in a bucket, one page of a listing at a time, so that memory stays flat.

Two memories, both in the store. *Skipped*: versions that were there at the very first start and make no events; time
alone cannot tell them, because uploads in parts and replication bring objects with old times. *Inventory*: which
objects a bucket without versions has, so that a removal that nobody told of is found: no listing shows it.

Names are in hex: so the store's order is S3's (of bytes), whatever a database thinks of letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from eventsources.objects.s3_records import ObjectVersion, version_thing
from eventsources.port import Checkpoints

PAGE = 500
GONE = "gone:"
"""Before the stamp of an object whose removal was told; so that a late notification of it is not a second one."""


@dataclass(frozen=True, slots=True)
class Removal:
    """An object that a listing does not show any more; `stamp` is that of its last version."""

    key: str
    stamp: str


class Skipped:
    """Versions that were there at the very first start."""

    def __init__(self, checkpoints: Checkpoints, scope: str) -> None:
        self._checkpoints = checkpoints
        self._scope = f"{scope}#skipped"
        self.any = False  # whether there are, as far as this first walk has come

    async def add(self, versions: Iterable[ObjectVersion]) -> None:
        if values := {_digest(one): 1 for one in versions}:
            self.any = True
            await self._checkpoints.save(self._scope, values)

    async def among(self, versions: Sequence[ObjectVersion]) -> set[str]:
        """The things (see `version_thing`) of those that are to be skipped."""
        by_name = {_digest(one): version_thing(one) for one in versions}
        found = await self._checkpoints.get(self._scope, by_name.keys()) if by_name else {}
        return {by_name[name] for name in found}


def _digest(version: ObjectVersion) -> str:
    return blake2b(version_thing(version).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class Inventory:
    """Which objects are there: the stamp of each by its key. Walks must be in the order of keys."""

    def __init__(self, checkpoints: Checkpoints, scope: str) -> None:
        self._checkpoints = checkpoints
        self._scope = f"{scope}#keys"
        self._at = ""  # the name up to which the walk has come

    def begin(self) -> None:
        """A walk begins at the first key."""
        self._at = ""

    async def page(self, versions: Sequence[ObjectVersion], *, upto: str | None) -> list[Removal]:
        """Compare with the next part of a walk, up to a key (None: all the rest), and keep it; what has gone."""
        now = {_name(one.key): one.stamp for one in versions if not one.version and not one.marker}
        end = _name(upto) if upto is not None else None
        removals: list[Removal] = []
        fresh = dict(now)
        while rows := await self._checkpoints.after(self._scope, self._at, PAGE):
            within = {name: str(stamp) for name, stamp in rows.items() if end is None or name <= end}
            fresh = {name: stamp for name, stamp in fresh.items() if within.get(name) != stamp}
            removals += [Removal(_key(name), stamp) for name, stamp in within.items() if name not in now]
            self._at = max(within, default=self._at)
            if len(within) < len(rows):
                break
        if end is not None:
            self._at = max(self._at, end)
        if fresh:
            await self._checkpoints.save(self._scope, fresh)
        return removals

    async def stamps(self, keys: Iterable[str]) -> dict[str, str]:
        """What is kept of these keys."""
        names = {_name(key): key for key in keys}
        found = await self._checkpoints.get(self._scope, names.keys()) if names else {}
        return {names[name]: str(stamp) for name, stamp in found.items()}

    async def keep(self, stamps: Mapping[str, str]) -> None:
        if stamps:
            await self._checkpoints.save(self._scope, {_name(key): stamp for key, stamp in stamps.items()})

    async def forget(self, keys: Iterable[str]) -> None:
        if names := [_name(key) for key in keys]:
            await self._checkpoints.forget(self._scope, names)


def _name(key: str) -> str:
    return key.encode("utf-8", "surrogateescape").hex()


def _key(name: str) -> str:
    return bytes.fromhex(name).decode("utf-8", "surrogateescape")
