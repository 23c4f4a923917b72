"""The trace that a thing belongs to: derived from what the store knows, never written down.

A trace begins with what came from outside: an event that says its own (`traceparent`) is part of that one, any other
begins one that follows from its key. What an event leads to belongs to its trace: firings, runs, promotions, and the
events that tell of them. A firing of several events goes on with the newest one's; the others are linked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal, NamedTuple

from sqlalchemy import Connection, Table, select

from retrain.events import OWN_SOURCE, from_json
from retrain.store.tables import events, firing_events, firings, promotions, runs
from retrain.telemetry.ids import TRACEPARENT, read_parent, trace_id

Kind = Literal["event", "firing", "run", "promotion", "cause"]
Ref = tuple[Kind, str]
"""A kind of thing and its key or id. `cause`: what an event of ours tells of, whichever of the others that is."""

DEEPEST = 1000
"""Steps up a chain after which it is cut: chains end by their depth long before."""
CHUNK = 500


class Traced(NamedTuple):
    """A trace in 32 hex digits. `sampled`: what somebody outside has decided; None: nobody has."""

    id: str
    sampled: bool | None = None


def trace_ids(connection: Connection, refs: Iterable[Ref]) -> dict[Ref, Traced]:
    """The traces of these things, looked up together: as many questions as the longest chain has links."""
    at = {ref: ref for ref in refs}
    known: dict[Ref, Ref | Traced] = {}
    for _ in range(DEEPEST):
        asked = {ref for ref in at.values() if ref not in known}
        if asked:
            known |= _steps(connection, asked)
        moved = {ref: now for ref, now in ((ref, known[now]) for ref, now in at.items()) if not isinstance(now, Traced)}
        if not moved:
            break
        at |= moved
    return {ref: _end(known.get(now), now) for ref, now in at.items()}


def _end(found: Ref | Traced | None, at: Ref) -> Traced:
    return found if isinstance(found, Traced) else Traced(trace_id(*at))


def _steps(connection: Connection, refs: Collection[Ref]) -> dict[Ref, Ref | Traced]:
    """One step up from each: where its trace is asked for next, or the trace that begins there."""
    names: defaultdict[Kind, list[str]] = defaultdict(list)
    for kind, name in refs:
        names[kind].append(name)
    found: dict[Ref, Ref | Traced] = {ref: Traced(trace_id(*ref)) for ref in refs}
    for kind, look in _LOOKS.items():
        for start in range(0, len(names[kind]), CHUNK):
            for name, up in look(connection, names[kind][start : start + CHUNK]).items():
                found[kind, name] = up
    return found | _of_causes(connection, names["cause"])


def _of_events(connection: Connection, keys: list[str]) -> Mapping[str, Ref | Traced]:
    found: dict[str, Ref | Traced] = {}
    rows = connection.execute(
        select(events.c.key, events.c.source, events.c.cause, events.c.body).where(events.c.key.in_(keys))
    )
    for key, source, cause, body in rows:
        if cause and source == OWN_SOURCE:
            found[key] = ("cause", cause)
        elif TRACEPARENT in body and (parent := read_parent(from_json(body).extensions.get(TRACEPARENT))):
            found[key] = Traced(parent.trace, parent.sampled)
    return found


def _of_firings(connection: Connection, ids: list[str]) -> Mapping[str, Ref]:
    return {firing: ("event", keys[0]) for firing, keys in events_of(connection, ids).items()}


def _of_runs(connection: Connection, ids: list[str]) -> Mapping[str, Ref]:
    found: dict[str, Ref] = {}
    for run, firing, parent in connection.execute(
        select(runs.c.id, runs.c.firing_id, runs.c.parent).where(runs.c.id.in_(ids))
    ):
        kind, _, name = (parent or "").partition("/")
        if firing:
            found[run] = ("firing", firing)
        elif kind == "Event":
            found[run] = ("event", name)
        elif kind == "Workflow":
            found[run] = ("run", name)
    return found


def _of_promotions(connection: Connection, ids: list[str]) -> Mapping[str, Ref]:
    found: dict[str, Ref] = {}
    one = promotions.c
    for name, firing, run, parent in connection.execute(
        select(one.id, one.firing_id, one.run_id, one.parent).where(one.id.in_(ids))
    ):
        if parent:
            found[name] = ("promotion", parent)
        elif firing:
            found[name] = ("firing", firing)
        elif run:
            found[name] = ("run", run)
    return found


def _of_causes(connection: Connection, ids: list[str]) -> dict[Ref, Ref | Traced]:
    found: dict[Ref, Ref | Traced] = {}
    tables: tuple[tuple[Kind, Table], ...] = (("run", runs), ("promotion", promotions), ("firing", firings))
    for kind, table in tables:
        for start in range(0, len(ids), CHUNK):
            here = table.c.id.in_(ids[start : start + CHUNK])
            for name in connection.execute(select(table.c.id).where(here)).scalars():
                found["cause", name] = (kind, name)
    return found


_LOOKS: dict[Kind, Callable[[Connection, list[str]], Mapping[str, Ref | Traced]]] = {
    "event": _of_events,
    "firing": _of_firings,
    "run": _of_runs,
    "promotion": _of_promotions,
}


def events_of(connection: Connection, ids: Collection[str]) -> dict[str, list[str]]:
    """Keys of the events of these firings, the newest in the log first."""
    query = (
        select(firing_events.c.firing_id, firing_events.c.event_key)
        .join(events, events.c.key == firing_events.c.event_key)
        .where(firing_events.c.firing_id.in_(list(ids)))
        .order_by(events.c.position.desc())
    )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for firing, key in connection.execute(query):
        found[firing].append(key)
    return dict(found)
