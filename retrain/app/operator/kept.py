"""The versions that run, kept in the store: a platform that starts while the cluster is away, or while somebody's
manifest is broken, runs what it ran before. No Secret is ever among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import Connection

from retrain.app.operator.watched import Key, Object
from retrain.app.operator.world import Version
from retrain.manifests.objects import LAST_APPLIED
from retrain.store import Store, checkpoints

PAGE = 500
TEXTS, ALL = ":configmaps", "all"
"""Whose checkpoint, and its name."""
METADATA = ("name", "namespace", "uid", "generation", "creationTimestamp", "labels")

Texts = Mapping[str, Mapping[str, str]]


@dataclass(slots=True)
class Kept:
    """What is kept under `owner`, by digest; beside it the ConfigMaps that it names, of which Sensors may be made."""

    store: Store
    owner: str
    _digests: dict[str, str] = field(default_factory=dict[str, str])
    _texts: Texts = field(default_factory=dict[str, Mapping[str, str]])

    async def load(self) -> list[Object]:
        """The objects that ran last."""

        def read(connection: Connection) -> dict[str, Any]:
            found: dict[str, Any] = {}
            while page := checkpoints.after(connection, self.owner, max(found, default=""), PAGE):
                found.update(page)
            return found

        found = await self.store.read(read)
        self._digests = {name: str(one["digest"]) for name, one in found.items()}
        return [cast("Object", one["object"]) for one in found.values()]

    async def load_texts(self) -> Texts:
        """The ConfigMaps that were known last: `NAMESPACE/NAME` -> their data."""
        found: Any = await self.store.read(lambda c: checkpoints.get_many(c, self.owner + TEXTS, [ALL]))
        self._texts = found.get(ALL, {})
        return self._texts

    async def save_texts(self, texts: Texts) -> None:
        """These are known now."""
        if texts == self._texts:
            return
        values: Any = {ALL: dict(texts)}
        await self.store.write(lambda c: checkpoints.save(c, self.owner + TEXTS, values))
        self._texts = texts

    async def save(self, running: Mapping[Key, Version]) -> None:
        """These run now."""
        wanted = {str(key): version for key, version in running.items()}
        changed = {
            name: {"digest": one.digest + one.uid, "object": _trimmed(one.found)}
            for name, one in wanted.items()
            if self._digests.get(name) != one.digest + one.uid
        }
        gone = self._digests.keys() - wanted.keys()
        if not changed and not gone:
            return

        def write(connection: Connection) -> None:
            checkpoints.save(connection, self.owner, changed)
            checkpoints.forget(connection, self.owner, gone)

        await self.store.write(write)
        self._digests = {name: one.digest + one.uid for name, one in wanted.items()}


def _trimmed(found: Object) -> dict[str, Any]:
    """What its user has written, and which object it is."""
    metadata = {name: found["metadata"][name] for name in METADATA if name in found["metadata"]}
    annotations = found["metadata"].get("annotations") or {}
    metadata["annotations"] = {name: text for name, text in annotations.items() if name != LAST_APPLIED}
    body = {name: value for name, value in found.items() if name not in {"metadata", "status"}}
    return {**body, "metadata": metadata}
