"""Who has started or proposed a promotion, as far as it is on record: they are not the ones to approve it."""

from __future__ import annotations

from sqlalchemy import Connection

from deploy.spec import PromotionDocument
from retrain.identity import ACTOR
from retrain.store import events, firings
from retrain.store.promotions import PromotionRow

AUTHOR = "retrain.dev/author"
"""The annotation of a Promotion that names who has written it."""
FIRING = "retrainfiring"
_LONGEST = 50
"""Firings that are followed back at most."""


def authors(connection: Connection, document: PromotionDocument, row: PromotionRow) -> frozenset[str]:
    """Their names: who proposed it, wrote its document or the model's code, or sent an event that it came from."""
    said = {row.actor, document.metadata.annotations.get(AUTHOR, ""), *_trained(row)}
    return frozenset((said | _senders(connection, row.firing_id)) - {""})


def _trained(row: PromotionRow) -> list[str]:
    """Who wrote the commit that the model was trained from, by each of their names: `Ada <ada@example.com>`."""
    source = row.candidate.get("source")
    written = str(source.get("author") or "") if isinstance(source, dict) else ""
    name, _, address = written.partition("<")
    return [written, name.strip(), address.rstrip("> ")]


def _senders(connection: Connection, firing_id: str | None) -> set[str]:
    """Who sent the events that led to a firing, through the runs between."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [firing_id] if firing_id else []
    while waiting and len(seen) < _LONGEST:
        one = waiting.pop()
        if one in seen or (firing := firings.get(connection, one)) is None:
            continue
        seen.add(one)
        for event in events.get_many(connection, firing.events).values():
            found.add(str(event.extensions.get(ACTOR) or ""))
            waiting.append(str(event.extensions.get(FIRING) or ""))
    return found
