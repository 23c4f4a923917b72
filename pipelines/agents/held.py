"""The actions of `resource` templates on objects that are held locally."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pipelines.agents.admission import PLURALS, created, kept_identity, metadata_of
from pipelines.agents.changes import applied, merged, patched
from pipelines.agents.objects import MADE_BY, Body, Held, Objects, Ref
from pipelines.agents.orders import Order
from retrain.errors import ConfigError, Transient

ATTEMPTS = 50
"""How often a change is made anew because somebody else changed the object in between."""


class HeldObjects:
    """Does orders about ConfigMaps, Secrets and the like."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def get(self, ref: Ref) -> Body | None:
        held = await self._objects.get(ref)
        return None if held is None else _shown(held)

    async def wait_change(self, ref: Ref, at_most_s: float) -> None:
        await self._objects.wait_change(ref, at_most_s)

    async def create(self, order: Order) -> Body:
        """Create an object. One that the same node created already is its own.

        Raises:
            ConfigError: somebody else's is there, or the API would not take it.
        """
        body = created(order.body, order.ref, order.maker)
        if held := await self._objects.put(order.ref, body, None):
            return _shown(held)
        there = await self._objects.get(order.ref)
        if there is None:
            raise Transient(f"{order.ref.kind} {order.ref.name} comes and goes")
        marks: Mapping[str, Any] = metadata_of(there.body).get("annotations") or {}
        if marks.get(MADE_BY) != order.maker.mark:
            raise already_exists(order.ref)
        return _shown(there)

    async def apply(self, order: Order) -> Body:
        """Create an object or make it what the manifest says."""

        def change(live: Body | None) -> dict[str, Any]:
            manifest = applied(live, order.body)
            return created(manifest, order.ref, order.maker) if live is None else kept_identity(live, manifest)

        return await self._change(order.ref, change)

    async def replace(self, order: Order) -> Body:
        """Put the manifest in the place of an object."""
        return await self._change(order.ref, lambda live: kept_identity(there(live, order.ref), order.body))

    async def patch(self, order: Order) -> Body:
        """Change a part of an object."""

        def change(live: Body | None) -> dict[str, Any]:
            before = there(live, order.ref)
            if order.strategy == "json":
                return kept_identity(before, patched(before, order.manifest))
            return kept_identity(before, merged(before, order.body))

        return await self._change(order.ref, change)

    async def delete(self, order: Order) -> None:
        """Remove an object; one that is not there is as good."""
        await self._objects.delete(order.ref)

    async def _change(self, ref: Ref, change: Callable[[Body | None], dict[str, Any]]) -> Body:
        for _ in range(ATTEMPTS):
            live = await self._objects.get(ref)
            body = change(None if live is None else live.body)
            if live is not None and body == dict(live.body):
                return _shown(live)
            if held := await self._objects.put(ref, body, None if live is None else live.version):
                return _shown(held)
        raise Transient(f"{ref.kind} {ref.name} is changed all the time; it could not be changed here")


Do = Callable[[Order], Awaitable[Body]]


def _shown(held: Held) -> Body:
    """The object as a cluster would give it."""
    return {**held.body, "metadata": {**metadata_of(held.body), "resourceVersion": str(held.version)}}


def there(live: Body | None, ref: Ref) -> Body:
    """The object that must be there.

    Raises:
        ConfigError: it is not.
    """
    if live is None:
        raise not_found(ref)
    return live


def not_found(ref: Ref) -> ConfigError:
    """In kubectl's words."""
    return ConfigError(f'no more retries Error from server (NotFound): {PLURALS[ref.kind]} "{ref.name}" not found')


def already_exists(ref: Ref) -> ConfigError:
    """In kubectl's words."""
    return ConfigError(
        f"no more retries Error from server (AlreadyExists): error when creating the manifest: "
        f'{PLURALS[ref.kind]} "{ref.name}" already exists'
    )
