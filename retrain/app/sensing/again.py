"""An event once more, because a person wants it: the same data as a new event of its own, which names the old one."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex

from sqlalchemy import Connection

from retrain.bus import Bus
from retrain.clock import Clock
from retrain.errors import NotFound, Refused
from retrain.events import OBJECT, OWN_SOURCE, Event, JsonValue
from retrain.identity import ACTOR, Principal
from retrain.store import Store, events

REPLAY_OF = "retrainreplayof"
"""The attribute that names the id of the event that was emitted again; its source is the same."""
LONGEST_ID = 200
"""Letters of the old id that the new one begins with."""
FOREIGN_TRACE = frozenset({"traceparent", "tracestate"})


async def emit_again(store: Store, bus: Bus, clock: Clock, name: str, *, by: Principal, reason: str = "") -> JsonValue:
    """Publish the event that is called so (an id or a key) once more: `{"id", "key", "of", "position"}`.

    It has a new id, so neither the bus nor a sensor takes it for the one that came before; `dedupe` of a sensor, which
    looks at what is in it, may. Its time stays: it tells of the same thing. `reason` is for the record of deeds.

    Raises:
        NotFound: there is no such event.
        Refused: it is the platform's own.
        BusError: the bus did not take it.
    """
    old = await store.read(lambda c: _find(c, name))
    if old.source == OWN_SOURCE:
        raise Refused(
            f"{old.id} is what the platform itself tells; what it told of (a run, a promotion) can be retried"
        )
    new = copy_of(old, token_hex(4), by).with_time(clock.now())
    published = await bus.publish(new)
    return {"id": new.id, "key": new.key, "of": old.id, "position": published.position, "reason": reason}


def copy_of(old: Event, mark: str, by: Principal) -> Event:
    """The new event. What the platform knew of the old one (who sent it, its trace) is not said of the new. Pure."""
    kept = {
        name: value
        for name, value in old.extensions.items()
        if name == OBJECT or not (name.startswith("retrain") or name in FOREIGN_TRACE)
    }
    said = {REPLAY_OF: old.id} | ({ACTOR: by.name} if by.verified else {})
    return replace(old, id=f"{old.id[:LONGEST_ID]}.again-{mark}", extensions={**kept, **said})


def _find(connection: Connection, name: str) -> Event:
    keys = events.find(connection, name)
    if not keys:
        raise NotFound(f"{name}: no such event; `retrain events list` shows the ids")
    return events.get_many(connection, keys[-1:])[keys[-1]]
