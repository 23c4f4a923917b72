"""What somebody sees whose roles are for some namespaces only: lists without what is in others.

Asked with nobody speaking (the platform's own doing), or by somebody whose roles count everywhere, nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection

from retrain.app.access.spaces import Spaces, space_of
from retrain.app.looking import queries
from retrain.app.projects.catalog import Item
from retrain.app.projects.project import Project
from retrain.app.runs import table as run_table
from retrain.identity import SPEAKING
from retrain.roles import DEFAULT

if TYPE_CHECKING:
    from deploy.spec import PromotionDocument

T = TypeVar("T")
Json = dict[str, Any]
PlaceOf = Callable[[Spaces, Mapping[str, Any]], str | None]
ROUNDS = 20
"""Pages of a list that are looked through for one that has something in it."""

LISTS: Mapping[Callable[..., Any], PlaceOf] = {
    queries.list_runs: lambda _, one: one["metadata"]["namespace"],
    run_table.list_runs: lambda _, one: one["metadata"]["namespace"],
    queries.list_firings: lambda spaces, one: spaces.of_sensors().get(one["sensor"]),
    queries.list_promotions: lambda spaces, one: spaces.of_promotions().get(one["name"]),
    queries.list_holds: lambda spaces, one: spaces.of_promotions().get(one["name"]),
}
"""Lists that are narrowed, and where their items are."""
CURSOR: Mapping[Callable[..., Any], int] = {
    queries.list_runs: 2,
    run_table.list_runs: 2,
    queries.list_firings: 1,
    queries.list_promotions: 1,
}
"""Which word of those with pages is the cursor, from 0."""


def sees() -> frozenset[str] | None:
    """The namespaces that whoever speaks may look into; None: all."""
    who = SPEAKING.get()
    return who.sees if who is not None else None


def seen_sensors(items: Sequence[Item]) -> Sequence[Item]:
    """Those of the sensors that whoever speaks may see."""
    allowed = sees()
    return items if allowed is None else [one for one in items if space_of(one.document.body) in allowed]


def seen_project(project: Project) -> Project:
    """What whoever speaks may see of a project: where it is not all, its sensors, templates and Promotions."""
    allowed = sees()
    if allowed is None:
        return project

    def seen(items: Sequence[Item]) -> tuple[Item, ...]:
        return tuple(one for one in items if space_of(one.document.body) in allowed)

    templates, promotions = seen(project.workflow_templates), seen(project.promotions)
    return Project(sensors=seen(project.sensors), workflow_templates=templates, promotions=promotions)


def seen_promotions(documents: Mapping[str, PromotionDocument]) -> Mapping[str, PromotionDocument]:
    """Those of the Promotions that whoever speaks may see."""
    allowed = sees()
    if allowed is None:
        return documents
    return {name: one for name, one in documents.items() if (one.metadata.namespace or DEFAULT) in allowed}


def narrowed(query: Callable[..., T], spaces: Spaces) -> Callable[..., T]:
    """A query as whoever speaks may ask it. A page may then have fewer items than were asked for."""
    allowed, place = sees(), LISTS.get(query)
    if allowed is None or place is None:
        return query

    def ask(connection: Connection, *words: Any) -> Any:
        found, items = _asked(query, connection, words, lambda one: place(spaces, one) in allowed)
        for _ in range(ROUNDS):
            if items or found["next"] is None:
                break
            at = CURSOR[query]
            words = (*words[:at], found["next"], *words[at + 1 :])
            found, items = _asked(query, connection, words, lambda one: place(spaces, one) in allowed)
        return {**found, "items": items}

    return ask


def _asked(
    query: Callable[..., Any], connection: Connection, words: tuple[Any, ...], fits: Callable[[Json], bool]
) -> tuple[Json, list[Json]]:
    found = query(connection, *words)
    return found, [one for one in found["items"] if fits(one)]
