"""The overview with what only the running platform knows: its parts, and what its sensors hold back."""

from __future__ import annotations

from typing import Any

from retrain.app.keeping.health import part
from retrain.app.looking.finding import Names
from retrain.app.looking.overview import overview
from retrain.app.services import Services

Json = dict[str, Any]

LISTED = 20
"""Firings that wait for a person's leave that are listed."""


async def glance(services: Services) -> Json:
    """`overview`, with `waiting.firings` (those that ask for an approval) and `broken.parts` (those that cannot work,
    sources among them, and since when)."""
    found = await services.ask(overview, services.clock.now())
    held = [one for one in await services.sensing.held() if one["asks"]]
    away = [part(one) for one in services.states() if not one.ready]
    waiting = {**found["waiting"], "firings": held[:LISTED], "firingCount": len(held)}
    return {**found, "waiting": waiting, "broken": {"parts": away, **found["broken"]}}


def names_of(services: Services) -> Names:
    """What the project knows by name."""
    sensors = [str(one["name"]) for one in services.sensing.rows()]
    sources = list(dict.fromkeys(str(one["source"]) for one in services.sources()))
    return Names(sensors, sources, list(services.promotions()))
