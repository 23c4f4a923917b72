"""What led to promotions: the chains that nobody may cut as long as the promotions are kept.

    event -> firing -> run | event | promotion        run -> event | run | promotion

The walk goes down, from things that may be deleted to what came of them, many at once: each step of it is one question
for each kind of link, and every link has an index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from sqlalchemy import Connection, select

from retrain.store.tables import events, firing_events, promotions, runs

Kind = Literal["event", "firing", "run"]
Thing = tuple[Kind, str]
"""A kind, and the key or id of one of it."""
Link = tuple[Thing, Thing]
"""A thing, and one that came of it."""

CHUNK = 500
"""Names of one `IN (...)`."""


def led_to_promotions(connection: Connection, things: Iterable[Thing]) -> set[Thing]:
    """Those of `things` that a promotion came of, however many steps later."""
    asked = set(things)
    links, promoted = _walk(connection, asked)
    return asked & before(links, promoted)


def before(links: Iterable[Link], ends: Iterable[Thing]) -> set[Thing]:
    """`ends`, and all that led to any of them over these links."""
    causes: dict[Thing, list[Thing]] = {}
    for cause, effect in links:
        causes.setdefault(effect, []).append(cause)
    found, open_ = set(ends), list(ends)
    while open_:
        for cause in causes.get(open_.pop(), ()):
            if cause not in found:
                found.add(cause)
                open_.append(cause)
    return found


def _walk(connection: Connection, start: set[Thing]) -> tuple[list[Link], set[Thing]]:
    """All links down from `start`, and the things that promotions came of."""
    links: list[Link] = []
    promoted: set[Thing] = set()
    known, fresh = set(start), set(start)
    while fresh:
        level: list[Link] = []
        for kind, (effects, ends) in _STEPS.items():
            ids = sorted(id_ for one, id_ in fresh if one == kind)
            for chunk in (ids[at : at + CHUNK] for at in range(0, len(ids), CHUNK)):
                promoted.update(ends(connection, chunk))
                # What came of a thing that is promoted is of no matter any more.
                if on := [id_ for id_ in chunk if (kind, id_) not in promoted]:
                    level += effects(connection, on)
        links += level
        fresh = {effect for _, effect in level} - known
        known |= fresh
    return links, promoted


def _of_events(connection: Connection, keys: list[str]) -> list[Link]:
    made = select(firing_events.c.event_key, firing_events.c.firing_id).where(firing_events.c.event_key.in_(keys))
    found: list[Link] = [(("event", row[0]), ("firing", row[1])) for row in connection.execute(made)]
    return found + _children(connection, "event", "Event", keys)


def _of_firings(connection: Connection, ids: list[str]) -> list[Link]:
    began = select(runs.c.firing_id, runs.c.id).where(runs.c.firing_id.in_(ids))
    found: list[Link] = [(("firing", row[0]), ("run", row[1])) for row in connection.execute(began)]
    return found + _told(connection, "firing", ids)


def _of_runs(connection: Connection, ids: list[str]) -> list[Link]:
    return _told(connection, "run", ids) + _children(connection, "run", "Workflow", ids)


def _told(connection: Connection, kind: Kind, ids: list[str]) -> list[Link]:
    """Events that tell of these, as far as a sensor has made something of them."""
    told = select(events.c.cause, events.c.key).where(events.c.cause.in_(ids))
    told = told.where(select(firing_events.c.event_key).where(firing_events.c.event_key == events.c.key).exists())
    return [((kind, row[0]), ("event", row[1])) for row in connection.execute(told)]


def _children(connection: Connection, kind: Kind, word: str, ids: list[str]) -> list[Link]:
    """Runs whose `parent` is one of these."""
    names = {f"{word}/{id_}": id_ for id_ in ids}
    query = select(runs.c.parent, runs.c.id).where(runs.c.parent.in_(list(names)))
    return [((kind, names[row[0]]), ("run", row[1])) for row in connection.execute(query)]


def _promoted_firings(connection: Connection, ids: list[str]) -> list[Thing]:
    query = select(promotions.c.firing_id).where(promotions.c.firing_id.in_(ids))
    return [("firing", one) for one in connection.execute(query).scalars()]


def _promoted_runs(connection: Connection, ids: list[str]) -> list[Thing]:
    query = select(promotions.c.run_id).where(promotions.c.run_id.in_(ids))
    return [("run", one) for one in connection.execute(query).scalars()]


def _none(_connection: Connection, _ids: list[str]) -> list[Thing]:
    return []


_STEPS: Mapping[
    Kind, tuple[Callable[[Connection, list[str]], list[Link]], Callable[[Connection, list[str]], list[Thing]]]
] = {
    "event": (_of_events, _none),
    "firing": (_of_firings, _promoted_firings),
    "run": (_of_runs, _promoted_runs),
}
"""Of each kind: what came of such things, and which of them a promotion came of."""
