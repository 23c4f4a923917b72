"""What is compared of runs, read from the store: see `retrain.app.runs.compare`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection

from pipelines.artifacts.port import Artifacts
from pipelines.pictures.reading import LEAVES
from retrain.app.runs.archived_logs import is_log
from retrain.app.runs.artifacts import where_of
from retrain.app.runs.compare import LEAST, MOST, Direction, Side, compare, place_of
from retrain.app.runs.table import candidates_of
from retrain.app.runs.values import said_of
from retrain.errors import ConfigError, RetrainError
from retrain.store import events, firings
from retrain.store.run_outlines import Body, outline
from retrain.store.runs import RunRow

if TYPE_CHECKING:
    from deploy.spec import PromotionDocument

Json = dict[str, Any]
CAUSES = 20
"""Events of one run that are named."""
ARTIFACTS = 100
"""Artifacts of one run that are compared."""


def compare_runs(
    connection: Connection,
    rows: Sequence[RunRow],
    better: Mapping[str, Direction],
    artifacts: Artifacts | None,
    now: datetime,
) -> Json:
    """The comparison. `artifacts`: who knows digests; None: nobody here does.

    Raises:
        ConfigError: these are not two to five different runs.
    """
    rows = list({row.id: row for row in rows}.values())
    check(len(rows))
    candidates = candidates_of(connection, rows)
    sides = [_side(connection, row, candidates.get(row.id), artifacts) for row in rows]
    return compare(sides, better, now)


def check(many: int) -> None:
    """Nothing, if so many different runs can be compared.

    Raises:
        ConfigError: they cannot.
    """
    if not LEAST <= many <= MOST:
        raise ConfigError(f"compare: {LEAST} to {MOST} different runs can be compared, not {many}; name=A&name=B")


def _side(connection: Connection, row: RunRow, candidate: Json | None, artifacts: Artifacts | None) -> Side:
    given: list[tuple[Body, Json]] = []

    def look(body: Body) -> None:
        for one in (body.get("outputs") or {}).get("artifacts") or () if len(given) < ARTIFACTS else ():
            if not is_log(one):
                given.append((body, one))

    found = outline(connection, row.id, look)
    steps = [stub for stub in found.nodes.values() if stub.kind in LEAVES]
    return Side(
        id=row.id,
        name=row.name,
        workflow=row.workflow,
        phase=row.phase,
        created=row.created,
        started=row.started,
        finished=row.finished,
        said=said_of(row, candidate),
        steps=steps,
        artifacts=dict(_digests(row, given, artifacts)),
        images=dict(_images(row)),
        causes=_causes(connection, row),
    )


def _digests(
    row: RunRow, given: Sequence[tuple[Body, Json]], artifacts: Artifacts | None
) -> Iterator[tuple[tuple[str, str], str]]:
    """By step and name; the items of a loop have theirs behind the name of the item."""
    for body, one in given:
        step = str(body.get("displayName") or place_of(str(body.get("name")), row.name))
        yield (step, str(one.get("name"))), _digest(row, body, one, artifacts)


def _digest(row: RunRow, body: Body, artifact: Json, artifacts: Artifacts | None) -> str:
    if artifacts is None:
        return ""
    try:
        return artifacts.digest(artifact, where_of(row, body))
    except (RetrainError, OSError):  # gone, or its server is away: not known
        return ""


def _images(row: RunRow) -> Iterator[tuple[str, str]]:
    """The image of each template that the run could use, by the template's name."""
    for document in (row.manifest, *cast("Sequence[Json]", row.templates or ())):
        templates: Sequence[Json] = (document.get("spec") or {}).get("templates") or ()
        for one in templates:
            for kind in ("container", "script"):
                if image := (one.get(kind) or {}).get("image"):
                    yield str(one.get("name") or kind), str(image)
            containers: Sequence[Json] = (one.get("containerSet") or {}).get("containers") or ()
            for part in containers:
                yield f"{one.get('name')}/{part.get('name')}", str(part.get("image") or "")


def _causes(connection: Connection, row: RunRow) -> Json:
    firing = firings.get(connection, row.firing_id) if row.firing_id else None
    if firing is None:
        return {"sensor": None, "firing": None, "events": [], "parent": row.parent}
    keys = list(firing.events)[:CAUSES]
    found = events.get_many(connection, keys)
    told = [found[key].to_dict() for key in keys if key in found]
    names = ("id", "source", "subject", "type", "time", "retrainobject")
    return {
        "sensor": firing.sensor,
        "firing": firing.id,
        "key": firing.key,
        "events": [{name: one.get(name) for name in names} for one in told],
        "left": max(0, len(firing.events) - len(keys)),
        "parent": row.parent,
    }


def directions(documents: Mapping[str, PromotionDocument]) -> dict[str, Direction]:
    """Which figures of a metric are better, where the gates of the project agree on it."""
    said: dict[str, set[Direction]] = {}
    for document in documents.values():
        for terms in (document.spec, *document.spec.environments):
            for gate in terms.gates:
                metric, way = _direction(gate)
                if metric and way:
                    said.setdefault(metric, set()).add(way)
    return {metric: next(iter(ways)) for metric, ways in said.items() if len(ways) == 1}


def _direction(gate: object) -> tuple[str | None, Direction | None]:
    """The metric of a gate, and which way is better: as it says, else by the one bound that it has."""
    metric, way = getattr(gate, "metric", None), getattr(gate, "direction", None)
    if way is None:
        low, high = getattr(gate, "min", None), getattr(gate, "max", None)
        way = "higher" if low is not None and high is None else "lower" if high is not None and low is None else None
    return metric, way
