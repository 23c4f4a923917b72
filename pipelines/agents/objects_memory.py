"""Objects of one process: what steps write is forgotten with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from pipelines.agents.objects import Body, Held, Layers, Ref, References, Values, refuse_document


class MemoryObjects:
    """`Objects` in memory, over the documents that were given beside the workflow."""

    def __init__(self, documents: Iterable[Body] = ()) -> None:
        self._layers = Layers(documents)
        self._versions = count(1)
        self._references = References(self._layers)

    async def get(self, ref: Ref) -> Held | None:
        return self._layers.held(ref)

    async def put(self, ref: Ref, body: Body, expected: int | None) -> Held | None:
        now = self._layers.held(ref)
        if (None if now is None else now.version) != expected:
            return None
        held = Held(body, next(self._versions))
        self._layers.write(ref, held)
        return held

    async def delete(self, ref: Ref) -> bool:
        if self._layers.written(ref) is None:
            refuse_document(self._layers, ref)
            return False
        self._layers.write(ref, None)
        return True

    async def wait_change(self, ref: Ref, at_most_s: float) -> None:
        await self._layers.wait_change(ref, at_most_s)

    @property
    def references(self) -> Mapping[tuple[str, str], Values]:
        return self._references

    def set_documents(self, documents: Iterable[Body]) -> None:
        self._layers.set_documents(documents)
