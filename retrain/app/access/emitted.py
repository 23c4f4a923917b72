"""The deed of whoever sends events by hand: a person, or somebody who says their name. Programs send without being
written down one by one: their events name them."""

from __future__ import annotations

from collections.abc import Sequence

from retrain.clock import Clock
from retrain.events import Event
from retrain.identity import Principal
from retrain.store import Store, audit
from retrain.store.audit import Deed

NAMED = 10
"""Events of one request that are named on record; of more, how many there were."""


def by_hand(who: Principal) -> bool:
    """Whether what somebody sends goes on record."""
    return bool(who.name) and who.kind in {"person", "local"}


async def record_emitted(store: Store, clock: Clock, who: Principal, events: Sequence[Event]) -> None:
    """Put on record that somebody has sent these events, if they did so by hand."""
    if not events or not by_hand(who):
        return
    after = {"events": len(events), "ids": [one.id for one in events[:NAMED]], "source": events[0].source}
    deed = Deed(clock.now(), who.name, who.verified, "events.emit", events[0].id, None, after, origin=who.place)
    await store.write(lambda c: audit.record(c, deed))
