"""The objects that workflows share with each other: ConfigMaps, Secrets and claims, without a cluster.

A project is one namespace: an object's name is unique for its kind, whatever `metadata.namespace` says. The documents
of the project lie beneath: what a step writes lies over the document of the same kind and name, until it is deleted.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import anyio

from retrain.errors import ConfigError, Refused

Body = Mapping[str, Any]
"""An object as JSON, with `apiVersion`, `kind` and `metadata.name`."""

Values = Mapping[str, str]
"""Keys and texts of a ConfigMap or a Secret."""

MADE_BY = "retrain.dev/made-by"
"""Annotation of an object: `<run id>/<node id>` of who created it, so that he recognises it when he asks again."""

KINDS: Mapping[str, str] = {
    "ConfigMap": "v1",
    "Secret": "v1",
    "PersistentVolumeClaim": "v1",
}
"""Kinds that can be held, each with the `apiVersion` that it has."""


@dataclass(frozen=True, slots=True)
class Ref:
    """Which object."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Held:
    """An object as it is now. `version` grows with every change; 0: a document of the project that no step changed."""

    body: Body
    version: int = 0


class Objects(Protocol):
    """Where objects are. One in memory (`MemoryObjects`), one on the store (`StoreObjects`).

    `references` answers at once, from memory; changes of other processes are seen there a moment later. `get` and
    `put` are exact.
    """

    async def get(self, ref: Ref) -> Held | None:
        """The object, or None."""
        ...

    async def put(self, ref: Ref, body: Body, expected: int | None) -> Held | None:
        """Write over the version `expected` (None: there is none yet). If it is another: None, and nothing changed."""
        ...

    async def delete(self, ref: Ref) -> bool:
        """Remove what steps wrote of it; False if there is nothing.

        Raises:
            Refused: it is a document of the project, and its file is what would have to go.
        """
        ...

    async def wait_change(self, ref: Ref, at_most_s: float) -> None:
        """Wait until the object may have changed since the caller's last `get`, at most so many seconds."""
        ...

    @property
    def references(self) -> Mapping[tuple[str, str], Values]:
        """A live view: (kind, name) -> what the keys hold. Of a claim only that it is there is told."""
        ...

    def set_documents(self, documents: Iterable[Body]) -> None:
        """From now on these are the project's documents; kinds that are not of `KINDS` are passed over."""
        ...


def ref_of(document: Body) -> Ref | None:
    """What a document would be held as; None if it has a kind that is not held, or no name."""
    kind = str(document.get("kind", ""))
    name = (document.get("metadata") or {}).get("name")
    return Ref(kind, str(name)) if kind in KINDS and name else None


def owner_of(body: Body) -> str | None:
    """The id of the run that owns an object (`setOwnerReference`): it goes when the run is deleted. None: nobody."""
    metadata: Body = body.get("metadata") or {}
    made_by = str((metadata.get("annotations") or {}).get(MADE_BY) or "")
    return made_by.partition("/")[0] or None if metadata.get("ownerReferences") else None


def values_of(body: Body) -> Values:
    """The keys of a ConfigMap or a Secret with what they hold; the names of nothing else are told.

    Raises:
        ConfigError: a value of a Secret is no base64, or no text.
    """
    kind = body.get("kind")
    if kind == "ConfigMap":
        return {str(key): str(value) for key, value in (body.get("data") or {}).items()}
    if kind != "Secret":
        return {}
    coded = {str(key): _decoded(body, str(key), str(value)) for key, value in (body.get("data") or {}).items()}
    return coded | {str(key): str(value) for key, value in (body.get("stringData") or {}).items()}


def _decoded(body: Body, key: str, value: str) -> str:
    try:
        return b64decode(value, validate=True).decode()
    except ValueError:
        name = (body.get("metadata") or {}).get("name")
        raise ConfigError(f"Secret {name}: data.{key} is no base64 of a text") from None


class Layers:
    """What is known in memory: what steps wrote, over the documents of the project."""

    def __init__(self, documents: Iterable[Body] = ()) -> None:
        self._base: dict[Ref, Body] = {}
        self._written: dict[Ref, Held] = {}
        self._values: dict[Ref, Values] = {}
        self._changes: dict[Ref, anyio.Event] = {}
        self.set_documents(documents)

    def set_documents(self, documents: Iterable[Body]) -> None:
        """Put these documents beneath, in the place of those that were."""
        self._base = {ref: one for one in documents if (ref := ref_of(one)) is not None}
        self._values.clear()
        self._tell(list(self._changes))

    def write(self, ref: Ref, held: Held | None) -> None:
        """Put an object over its document, or take it away."""
        if held is None:
            self._written.pop(ref, None)
        else:
            self._written[ref] = held
        self._values.pop(ref, None)
        self._tell([ref])

    def replace(self, written: Mapping[Ref, Held]) -> None:
        """These are all that steps have written."""
        self._written = dict(written)
        self._values.clear()
        self._tell(list(self._changes))

    async def wait_change(self, ref: Ref, at_most_s: float) -> None:
        """Wait for the next change of an object, at most so long."""
        event = self._changes.setdefault(ref, anyio.Event())
        with anyio.move_on_after(at_most_s):
            await event.wait()

    def _tell(self, refs: Iterable[Ref]) -> None:
        for ref in refs:
            if event := self._changes.pop(ref, None):
                event.set()

    def held(self, ref: Ref) -> Held | None:
        """The object as it is known here."""
        if found := self._written.get(ref):
            return found
        base = self._base.get(ref)
        return None if base is None else Held(base)

    def written(self, ref: Ref) -> Held | None:
        """What steps wrote of it."""
        return self._written.get(ref)

    def is_document(self, ref: Ref) -> bool:
        """Whether it is a document of the project, written over or not."""
        return ref in self._base

    def all(self) -> Iterator[Ref]:
        """Every object, once."""
        yield from self._written
        yield from (ref for ref in self._base if ref not in self._written)

    def values(self, ref: Ref) -> Values:
        """What the keys hold; kept until the object changes.

        Raises:
            KeyError: there is no such object.
        """
        if (known := self._values.get(ref)) is not None:
            return known
        held = self.held(ref)
        if held is None:
            raise KeyError(ref)
        found = self._values[ref] = values_of(held.body)
        return found


def refuse_document(layers: Layers, ref: Ref) -> None:
    """Say no to the deletion of what a file of the project holds.

    Raises:
        Refused: it does.
    """
    if layers.is_document(ref):
        raise Refused(f"{ref.kind} {ref.name} is a document of the project; it goes when its file does")


class References(Mapping[tuple[str, str], Values]):
    """The live view of `Objects.references`."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers

    def __getitem__(self, key: tuple[str, str]) -> Values:
        return self._layers.values(Ref(*key))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((ref.kind, ref.name) for ref in self._layers.all())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return "References(...)"  # a traceback that shows its locals must not show secrets


class ConfigMaps(Mapping[str, Values]):
    """The ConfigMaps alone, by name: what the engine looks limits of semaphores and parameters up in."""

    def __init__(self, references: Mapping[tuple[str, str], Values]) -> None:
        self._references = references

    def __getitem__(self, name: str) -> Values:
        return self._references["ConfigMap", name]

    def __iter__(self) -> Iterator[str]:
        return (name for kind, name in self._references if kind == "ConfigMap")

    def __len__(self) -> int:
        return sum(1 for _ in self)
