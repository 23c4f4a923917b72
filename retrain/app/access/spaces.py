"""In which namespace a thing is: roles may be for one of them only. What has none is there for those with a role that
counts everywhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection

from retrain.app.looking import queries
from retrain.app.projects.catalog import Item
from retrain.errors import NotFound
from retrain.roles import DEFAULT
from retrain.store import Store, firings, promotions

if TYPE_CHECKING:
    from deploy.spec import PromotionDocument

Thing = Literal["run", "sensor", "firing", "promotion", "target"]
Places = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Spaces:
    """Where things are. `sensors` and `promotions`: the project's as they are now."""

    store: Store
    sensors: Callable[[], Sequence[Item]] = tuple
    promotions: Callable[[], Mapping[str, PromotionDocument]] = dict
    held: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]] | None = None
    """Firings that are held: they are no firings of the store yet."""

    async def of(self, thing: Thing, name: str) -> str | None:
        """The namespace of a thing by its id or name; None: there is none, or it is in no manifest any more.

        A `target` is a Promotion by its name, or `name/environment`.
        """
        if thing == "sensor":
            return self.of_sensors().get(name)
        if thing == "target":
            return self.of_promotions().get(name.partition("/")[0])
        found = await self.store.read(lambda c: self._stored(c, thing, name))
        if found is None and thing == "firing" and self.held is not None:
            sensors = [str(one["sensor"]) for one in await self.held() if one["firing"] == name]
            return self.of_sensors().get(sensors[0]) if sensors else None
        return found

    def of_sensors(self) -> Places:
        """The namespace of each sensor of the project."""
        return {one.model.name: space_of(one.document.body) for one in self.sensors()}

    def of_promotions(self) -> Places:
        """The namespace of each Promotion of the project."""
        return {name: one.metadata.namespace or DEFAULT for name, one in self.promotions().items()}

    def _stored(self, connection: Connection, thing: Thing, name: str) -> str | None:
        if thing == "run":
            try:
                return queries.find_run(connection, name).namespace
            except NotFound:
                return None
        if thing == "firing":
            firing = firings.get(connection, name)
            return self.of_sensors().get(firing.sensor) if firing else None
        row = promotions.get(connection, name)
        return self.of_promotions().get(row.name) if row else None


def space_of(body: Any) -> str:
    """The namespace that a manifest names."""
    return str((body.get("metadata") or {}).get("namespace") or DEFAULT)
