"""Asking a running platform to compare runs: their names become rows, and its actions do the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retrain.app.looking import queries
from retrain.app.runs.comparing import check, directions
from retrain.app.services import Services
from retrain.errors import NotFound


async def compare_named(services: Services, names: Sequence[str]) -> dict[str, Any]:
    """The runs of these names side by side, as `retrain.app.runs.compare` says.

    Raises:
        ConfigError: these are not two to five different runs.
        NotFound: one of them is not there, or this process compares nothing.
    """
    named = list(dict.fromkeys(name for name in names if name.strip()))
    check(len(named))
    rows = [await services.ask(queries.find_run, name) for name in named]
    if (action := services.actions.get("runs.compare")) is None:
        raise NotFound("runs.compare: this process of the platform cannot do that")
    return await action(rows, directions(services.promotions()), services.clock.now())
