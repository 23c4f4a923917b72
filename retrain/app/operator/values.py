"""The Secrets and ConfigMaps that documents name, read one by one with `get`: never listed, never written down.

They are read anew now and then, so that a rotated one counts without a restart.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio

from retrain.app.operator.world import Version
from retrain.app.projects.catalog import Item
from retrain.errors import NotFound, RetrainError
from retrain.kube import Cluster, Denied, path_of
from retrain.manifests import Document, Positions
from retrain.manifests.objects import WHOLE

AT_ONCE = 8
"""Requests at a time."""
PLURAL = {"Secret": "secrets", "ConfigMap": "configmaps"}


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """A Secret or ConfigMap of a namespace."""

    kind: Literal["Secret", "ConfigMap"]
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} in {self.namespace}"


def named_in(versions: Iterable[tuple[str, Version]]) -> set[Named]:
    """What objects name, each with its namespace."""
    return {
        Named(one.kind, namespace, one.name) for namespace, version in versions for one in version.verdict.references
    }


@dataclass(slots=True)
class Values:
    """What was read. `internal`: how the platform calls what has a name in a namespace. `lacking`: why one of them
    cannot be read; the last value that was read stays, unless it is gone."""

    open_cluster: Callable[[], Awaitable[Cluster]]
    internal: Callable[[str, str], str]
    lacking: dict[Named, str] = field(default_factory=dict[Named, str])
    _found: dict[Named, Mapping[str, Any]] = field(default_factory=dict[Named, Mapping[str, Any]])

    async def read(self, wanted: set[Named], *, anew: bool = False) -> bool:
        """Read what was not read yet; with `anew`, all of it. Whether anything is another now."""
        before = dict(self._found)
        for gone in self._found.keys() - wanted:
            del self._found[gone]
        self.lacking = {one: why for one, why in self.lacking.items() if one in wanted}
        limit = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as group:
            for one in sorted(wanted):
                if anew or one not in self._found:
                    group.start_soon(self._read, one, limit)
        return before != self._found

    async def _read(self, one: Named, limit: anyio.CapacityLimiter) -> None:
        async with limit:
            try:
                cluster = await self.open_cluster()
                body = await cluster.get(path_of("", "v1", PLURAL[one.kind], one.namespace, one.name))
            except NotFound:
                self._found.pop(one, None)
                self.lacking[one] = f"{one} is not there"
            except Denied:
                self.lacking[one] = f"{one} may not be read: the right to get {PLURAL[one.kind]} there is lacking"
            except RetrainError as error:
                self.lacking[one] = f"{one} cannot be read: {error}"
            else:
                self._found[one] = _texts(body)
                self.lacking.pop(one, None)

    def texts(self) -> dict[str, Mapping[str, str]]:
        """The ConfigMaps that were read: `NAMESPACE/NAME` -> their data."""
        return {f"{one.namespace}/{one.name}": data for one, data in self._found.items() if one.kind == "ConfigMap"}

    def recall(self, texts: Mapping[str, Mapping[str, str]]) -> None:
        """Begin with ConfigMaps that were read in an earlier life, until they are read anew."""
        for place, data in texts.items():
            namespace, _, name = place.partition("/")
            self._found[Named("ConfigMap", namespace, name)] = data

    def items(self, kind: str) -> tuple[Item, ...]:
        """What was read, as documents of a project."""
        return tuple(
            _item(one, self.internal(one.name, one.namespace), data)
            for one, data in sorted(self._found.items())
            if one.kind == kind
        )

    def __repr__(self) -> str:
        return "Values(...)"  # a traceback that shows its locals must not show these


def _texts(body: Mapping[str, Any]) -> Mapping[str, str]:
    """What of its data is text: nothing of ours takes other bytes."""
    data: Mapping[str, Any] = body.get("data") or {}
    if body.get("kind") != "Secret":
        return {key: str(value) for key, value in data.items()}
    found: dict[str, str] = {}
    for key, value in data.items():
        try:
            found[key] = b64decode(str(value)).decode()
        except UnicodeDecodeError:
            continue
    return found


def _item(one: Named, name: str, data: Mapping[str, str]) -> Item:
    field_of = "stringData" if one.kind == "Secret" else "data"
    body: dict[str, Any] = {"apiVersion": "v1", "kind": one.kind, "metadata": {"name": name}, field_of: dict(data)}
    place = f"{one.namespace}/{PLURAL[one.kind]}/{one.name}"
    return Item(Document("v1", one.kind, name, body, place, 1, Positions(place, WHOLE)), None)
