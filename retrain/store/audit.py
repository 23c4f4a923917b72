"""What people did, with what was before and after. Rows are added and never changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select

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


@dataclass(frozen=True, slots=True)
class DeedFilter:
    """Which deeds are wanted. `action` may be the beginning of one, up to a dot: `runs` is all done to runs."""

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERY = DeedFilter()


def listing(
    connection: Connection,
    which: DeedFilter = EVERY,
    *,
    subject: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Deed]:
    """What was done, newest first; `subject` is the filter's, for those who ask for nothing else."""
    which, query = replace(which, subject=subject or which.subject), select(audit)
    for column, wanted in ((audit.c.subject, which.subject), (audit.c.actor, which.actor)):
        if wanted is not None:
            query = query.where(column == wanted)
    if which.action is not None:
        query = query.where(_of_action(which.action))
    if which.since is not None:
        query = query.where(audit.c.at >= which.since)
    if which.until is not None:
        query = query.where(audit.c.at < which.until)
    rows, following = page(connection, query, (audit.c.at, audit.c.id), cursor, limit)
    found = [Deed(**{name: getattr(row, name) for name in Deed.__dataclass_fields__}) for row in rows]
    return Page(found, following)


def _of_action(action: str) -> ColumnElement[bool]:
    # "/" comes right behind ".": what begins with `runs.` lies between the two, and an index finds it.
    prefix = action.removesuffix(".")
    return or_(audit.c.action == action, and_(audit.c.action >= f"{prefix}.", audit.c.action < f"{prefix}/"))
