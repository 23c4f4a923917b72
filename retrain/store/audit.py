"""What people did, with what was before and after. Rows are added and never changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from retrain.events import JsonValue
from retrain.store.rows import Page, page
from retrain.store.tables import audit


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that somebody did. `action` is such as `promotions.hold`; `origin` is the address it came from.

    `verified`: a token said who the actor is. `id` is 0 until it is stored.
    """

    at: datetime
    actor: str
    verified: bool
    action: str
    subject: str
    before: JsonValue = None
    after: JsonValue = None
    reason: str = ""
    origin: str = ""
    id: int = 0


def record(connection: Connection, deed: Deed) -> None:
    """Write it down, in the transaction that does it."""
    values = {name: getattr(deed, name) for name in Deed.__dataclass_fields__ if name != "id"}
    connection.execute(insert(audit).values({**values, "verified": int(deed.verified)}))


def listing(
    connection: Connection, *, subject: str | None = None, cursor: str | None = None, limit: int = 50
) -> Page[Deed]:
    """What was done, newest first; only to `subject` where it is given."""
    query = select(audit)
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    rows, following = page(connection, query, (audit.c.at, audit.c.id), cursor, limit)
    found = [Deed(**{name: getattr(row, name) for name in Deed.__dataclass_fields__}) for row in rows]
    return Page(found, following)
