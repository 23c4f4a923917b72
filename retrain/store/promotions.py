"""Promotions on their way from a candidate to a commit, and the holds that keep automation away from a target."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Exists,
    Row,
    Select,
    Text,
    delete,
    exists,
    func,
    or_,
    select,
    type_coerce,
    update,
)

from retrain.events import JsonValue
from retrain.store.rows import Page, insert_new, page, upsert, values_of
from retrain.store.tables import holds, promotions

OPEN = ("proposed", "gating", "awaiting", "committing", "open", "stepping")
"""States of promotions that are not over; the others are final. `deploy` owns the words."""
IN_BRANCH = ("committed", "stepping", "live", "unhealthy")
"""States of promotions whose commit is in the branch and was not taken back."""


@dataclass(frozen=True, slots=True)
class PromotionRow:
    """One promotion. `intent_key`: what is wanted where; while one with it is open, another is not begun.

    `gates` are reports as the command line shows them; `changes` are `{file, path, old, new}`. `parent`: the promotion
    of the same model to the environment before. `retry_of`: a person has asked for that one again. `route`: the
    environments in order. `subject`: what approvals bind to. `waiting`: `{for, due, have, need, roles}` while awaiting.
    `pull`: `{number, url, branch, head}` of its pull request. `step`: of its canary, from 0. `verification`: what was
    seen after the commit, `{since, until, outcome, reason, checks}`, with `at` when it was over and `nextStep`
    when the canary's next step is due. `timings`: of its last attempt, `{begun, judged, pushing, pushed}`.
    """

    id: str
    intent_key: str
    name: str
    environment: str
    candidate: dict[str, JsonValue]
    created: datetime
    updated: datetime
    next_attempt: datetime
    state: str = "proposed"
    action: str = "promote"
    gates: JsonValue = None
    changes: JsonValue = None
    diff: str | None = None
    base_sha: str | None = None
    commit_sha: str | None = None
    reason: str = ""
    firing_id: str | None = None
    run_id: str | None = None
    depth: int = 0
    owner: str | None = None
    lease_until: datetime | None = None
    attempts: int = 0
    parent: str | None = None
    retry_of: str | None = None
    actor: str = ""
    route: JsonValue = None
    subject: str | None = None
    waiting: JsonValue = None
    ended: datetime | None = None
    pull: JsonValue = None
    step: int = 0
    verification: JsonValue = None
    timings: JsonValue = None


@dataclass(frozen=True, slots=True)
class PromotionFilter:
    """Which promotions of a list to show; None means any. `since`: those that began then or later."""

    name: str | None = None
    environment: str | None = None
    state: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Automation must not promote to this target until a person releases it."""

    name: str
    environment: str
    reason: str
    actor: str
    created: datetime


def propose(connection: Connection, row: PromotionRow) -> str:
    """Write a promotion down to be worked on; its id, or that of the open one with the same intent.

    A row whose id is known stays as it was.
    """
    same = select(promotions.c.id).where(promotions.c.intent_key == row.intent_key, promotions.c.state.in_(OPEN))
    if (known := connection.execute(same).scalar()) is not None:
        return known
    insert_new(connection, promotions, [values_of(row)])
    return row.id


def claim(
    connection: Connection, owner: str, now: datetime, lease_until: datetime, limit: int = 8
) -> list[PromotionRow]:
    """Take up to `limit` open promotions that are due and nobody's (or whose lease has run out), oldest first.

    One whose commit may have been pushed comes before all others of its target: they wait until it is known. People
    who go back do not wait.
    """
    free = or_(promotions.c.owner.is_(None), promotions.c.lease_until.is_(None), promotions.c.lease_until < now)
    # The record in the repository knows the last few promotions only: behind many others it would be made again.
    waits = _unsettled(promotions.c.name, promotions.c.environment)
    first = or_(promotions.c.commit_sha.is_not(None), promotions.c.action == "rollback", ~waits)
    query = select(promotions).where(promotions.c.state.in_(OPEN), promotions.c.next_attempt <= now, free, first)
    rows = connection.execute(query.order_by(promotions.c.created, promotions.c.id).limit(limit)).all()
    if rows:
        connection.execute(
            update(promotions)
            .where(promotions.c.id.in_([row.id for row in rows]))
            .values(owner=owner, lease_until=lease_until, attempts=promotions.c.attempts + 1)
        )
    return [_promotion(row) for row in rows]


def _unsettled(name: Column[str], environment: Column[str]) -> Exists:
    """Whether an open promotion of that target may have pushed its commit."""
    other = promotions.alias()
    same = (other.c.name == name, other.c.environment == environment)
    return exists().where(*same, other.c.state.in_(OPEN), other.c.commit_sha.is_not(None))


def renew(connection: Connection, owner: str, ids: Iterable[str], lease_until: datetime) -> None:
    """Keep the promotions that `owner` still works on."""
    held = promotions.c.id.in_(list(ids)) & (promotions.c.owner == owner)
    connection.execute(update(promotions).where(held).values(lease_until=lease_until))


def release(connection: Connection, owner: str) -> None:
    """Give back all open promotions of `owner`."""
    connection.execute(
        update(promotions)
        .where(promotions.c.owner == owner, promotions.c.state.in_(OPEN))
        .values(owner=None, lease_until=None)
    )


def let_go(connection: Connection, owner: str, promotion_id: str) -> None:
    """Give back one promotion of `owner` that waits."""
    waits = promotions.c.state.in_(("awaiting", "open"))
    ours = (promotions.c.id == promotion_id) & (promotions.c.owner == owner) & waits
    connection.execute(update(promotions).where(ours).values(owner=None, lease_until=None))


def save(
    connection: Connection,
    owner: str | None,
    promotion_id: str,
    now: datetime,
    /,
    *,
    was: Collection[str] = OPEN,
    **changes: Any,
) -> bool:
    """Change an open promotion that `owner` holds; False (and nothing changed) if it is over or another's.

    `was`: the states that it may be in before. No owner: whoever holds it; for what people do.
    `changes`: any of state, gates, changes, diff, base_sha, commit_sha, reason, next_attempt, owner, lease_until,
    subject, waiting, ended, pull, step, verification.
    """
    statement = update(promotions).where(promotions.c.id == promotion_id, promotions.c.state.in_(list(was)))
    if owner is not None:
        statement = statement.where(promotions.c.owner == owner)
    return connection.execute(statement.values(updated=now, **changes)).rowcount == 1


def look_again(connection: Connection, now: datetime) -> None:
    """Make all open promotions due: what they wait for may have changed."""
    connection.execute(update(promotions).where(promotions.c.state.in_(OPEN)).values(next_attempt=now))


def mark_rolled_back(connection: Connection, promotion_id: str, now: datetime, reason: str) -> bool:
    """Say of a promotion in the branch that its commit was taken back; False if it is not here or not in the branch."""
    statement = update(promotions).where(promotions.c.id == promotion_id, _in_branch())
    return connection.execute(statement.values(state="rolled-back", reason=reason, updated=now)).rowcount == 1


def exist(connection: Connection) -> bool:
    """Whether there is any promotion on record."""
    return connection.execute(select(promotions.c.id).limit(1)).first() is not None


def get(connection: Connection, which: str) -> PromotionRow | None:
    """A promotion by its id or by (the beginning of, 7 digits at least) its commit."""
    query = select(promotions).where(promotions.c.id == which)
    if len(which) >= 7:
        by_commit = promotions.c.commit_sha.startswith(which, autoescape=True)
        query = select(promotions).where((promotions.c.id == which) | by_commit)
    row = connection.execute(query.order_by(promotions.c.created.desc()).limit(1)).first()
    return _promotion(row) if row else None


def latest(connection: Connection, name: str, environment: str) -> PromotionRow | None:
    """The promotion or rollback whose commit is the newest of that target; None where there is none."""
    query = _of(name, environment).where(_in_branch())
    row = connection.execute(query.order_by(promotions.c.ended.desc(), promotions.c.created.desc()).limit(1)).first()
    return _promotion(row) if row else None


def newest_promoted(connection: Connection, name: str, environment: str) -> PromotionRow | None:
    """The newest promotion of that target that is committed and was not rolled back."""
    query = _of(name, environment).where(_in_branch(), promotions.c.action == "promote")
    row = connection.execute(query.order_by(promotions.c.ended.desc(), promotions.c.created.desc()).limit(1)).first()
    return _promotion(row) if row else None


def child(connection: Connection, parent: str, environment: str) -> str | None:
    """The promotion that `parent` led to in that environment."""
    query = select(promotions.c.id).where(promotions.c.parent == parent, promotions.c.environment == environment)
    return connection.execute(query.limit(1)).scalar()


def adopt(connection: Connection, promotion_id: str, parent: str) -> None:
    """Say which promotion to the environment before one follows, where nobody has said so."""
    orphan = (promotions.c.id == promotion_id) & promotions.c.parent.is_(None)
    connection.execute(update(promotions).where(orphan).values(parent=parent))


def family(connection: Connection, promotion_id: str) -> list[PromotionRow]:
    """The promotions of one model through the environments, oldest first: those before, itself, those after."""
    found: dict[str, PromotionRow] = {}
    above: str | None = promotion_id
    while above is not None and above not in found and (row := get(connection, above)) is not None:
        found[row.id] = row
        above = row.parent
    below = list(found)
    while below:
        query = select(promotions).where(promotions.c.parent.in_(below), promotions.c.id.not_in(list(found)))
        rows = [_promotion(row) for row in connection.execute(query)]
        found |= {row.id: row for row in rows}
        below = [row.id for row in rows]
    return sorted(found.values(), key=lambda row: (row.created, row.id))


def rejected(connection: Connection, intent_key: str) -> PromotionRow | None:
    """The newest promotion of that intent which a person has rejected."""
    query = select(promotions).where(promotions.c.intent_key == intent_key, promotions.c.state == "rejected")
    row = connection.execute(query.order_by(promotions.c.created.desc()).limit(1)).first()
    return _promotion(row) if row else None


def of_intent(connection: Connection, intent_key: str) -> list[PromotionRow]:
    """All promotions of that intent, oldest first."""
    query = select(promotions).where(promotions.c.intent_key == intent_key)
    return [_promotion(row) for row in connection.execute(query.order_by(promotions.c.created, promotions.c.id))]


def claim_left_open(
    connection: Connection, owner: str, now: datetime, lease_until: datetime, limit: int = 8
) -> list[PromotionRow]:
    """Take those that are over and not in the branch, and whose pull request is still open, oldest first."""
    over = promotions.c.state.not_in((*OPEN, *IN_BRANCH, "rolled-back"))
    free = or_(promotions.c.lease_until.is_(None), promotions.c.lease_until < now)
    # JSON is compact text here, with quotes in values escaped.
    unclosed = type_coerce(promotions.c.pull, Text).contains('"state":"open"', autoescape=True)
    query = select(promotions).where(over, free, unclosed)
    rows = connection.execute(query.order_by(promotions.c.updated).limit(limit)).all()
    mine = update(promotions).where(promotions.c.id.in_([row.id for row in rows]))
    if rows:
        connection.execute(mine.values(owner=owner, lease_until=lease_until))
    return [_promotion(row) for row in rows]


def before(connection: Connection, row: PromotionRow) -> PromotionRow | None:
    """The promotion or rollback of the row's target that was the newest in the branch when the row came."""
    query = _of(row.name, row.environment).where(_in_branch(), promotions.c.id != row.id, _ended_before(row))
    found = connection.execute(query.order_by(promotions.c.ended.desc(), promotions.c.created.desc()).limit(1)).first()
    return _promotion(found) if found else None


def after(connection: Connection, row: PromotionRow) -> PromotionRow | None:
    """A promotion or rollback of the row's target that came into the branch after it."""
    query = _of(row.name, row.environment).where(_in_branch(), promotions.c.id != row.id, ~_ended_before(row))
    found = connection.execute(query.order_by(promotions.c.ended.desc()).limit(1)).first()
    return _promotion(found) if found else None


def taking_back(connection: Connection, name: str, environment: str) -> PromotionRow | None:
    """The rollback of a target that is not over yet."""
    query = _of(name, environment).where(promotions.c.action == "rollback", promotions.c.state.in_(OPEN))
    found = connection.execute(query.limit(1)).first()
    return _promotion(found) if found else None


def taken_back(connection: Connection, intent_key: str) -> PromotionRow | None:
    """The newest promotion of that intent which reached the branch, if it was rolled back."""
    reached = promotions.c.state.in_((*IN_BRANCH, "rolled-back"))
    query = select(promotions).where(promotions.c.intent_key == intent_key, reached)
    row = connection.execute(query.order_by(promotions.c.created.desc()).limit(1)).first()
    return _promotion(row) if row is not None and row.state == "rolled-back" else None


def wake(connection: Connection, name: str, now: datetime) -> None:
    """Let those of that name that wait be looked at now."""
    waiting = (promotions.c.name == name) & (promotions.c.state == "awaiting")
    connection.execute(update(promotions).where(waiting).values(next_attempt=now))


def others(connection: Connection, row: PromotionRow, *states: str) -> list[PromotionRow]:
    """The other promotions (no rollbacks) of the row's target in these states."""
    query = _of(row.name, row.environment).where(
        promotions.c.action == "promote", promotions.c.state.in_(states), promotions.c.id != row.id
    )
    return [_promotion(one) for one in connection.execute(query.order_by(promotions.c.created, promotions.c.id))]


def awaiting(connection: Connection, name: str) -> list[PromotionRow]:
    """The promotions of that name that wait, in whichever environment."""
    query = select(promotions).where(promotions.c.name == name, promotions.c.state == "awaiting")
    return [_promotion(row) for row in connection.execute(query)]


def committed_since(connection: Connection, row: PromotionRow, since: datetime) -> list[datetime]:
    """When the other promotions of the row's target were committed, or began to be: since then, oldest first.

    Those that were rolled back count: they went out.
    """
    went = promotions.c.state.in_((*IN_BRANCH, "rolled-back")) & (promotions.c.ended > since)
    going = (promotions.c.state == "committing") & promotions.c.commit_sha.is_not(None)
    query = _of(row.name, row.environment).where(
        promotions.c.action == "promote", promotions.c.id != row.id, went | going
    )
    return sorted(one.ended or one.updated for one in connection.execute(query))


def _in_branch() -> ColumnElement[bool]:
    return promotions.c.state.in_(IN_BRANCH)


def _ended_before(row: PromotionRow) -> ColumnElement[bool]:
    return promotions.c.ended <= (row.ended or row.updated)


def _of(name: str, environment: str) -> Select[Any]:
    return select(promotions).where(promotions.c.name == name, promotions.c.environment == environment)


def related(connection: Connection, firing_ids: Iterable[str], run_ids: Iterable[str]) -> list[PromotionRow]:
    """The promotions that these firings began, or whose candidates these runs made."""
    query = select(promotions).where(
        promotions.c.firing_id.in_(list(firing_ids)) | promotions.c.run_id.in_(list(run_ids))
    )
    return [_promotion(row) for row in connection.execute(query)]


def listing(
    connection: Connection, which: PromotionFilter, *, cursor: str | None = None, limit: int = 50
) -> Page[PromotionRow]:
    """Promotions, newest first."""
    query = select(promotions)
    for column, wanted in (
        (promotions.c.name, which.name),
        (promotions.c.environment, which.environment),
        (promotions.c.state, which.state),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if which.since is not None:
        query = query.where(promotions.c.created >= which.since)
    rows, following = page(connection, query, (promotions.c.created, promotions.c.id), cursor, limit)
    return Page([_promotion(row) for row in rows], following)


def counts(connection: Connection) -> dict[str, int]:
    """How many promotions are in each state."""
    query = select(promotions.c.state, func.count().label("n")).group_by(promotions.c.state)
    return {row.state: row.n for row in connection.execute(query)}


def hold(connection: Connection, one: Hold) -> None:
    """Keep automation away from a target; a hold that is there already gets the new reason."""
    upsert(
        connection,
        holds,
        [
            {
                "name": one.name,
                "environment": one.environment,
                "reason": one.reason,
                "actor": one.actor,
                "created": one.created,
            }
        ],
    )


def release_hold(connection: Connection, name: str, environment: str) -> bool:
    """Let automation promote to the target again; False if nothing held it."""
    statement = delete(holds).where(holds.c.name == name, holds.c.environment == environment)
    return connection.execute(statement).rowcount == 1


def holding(connection: Connection, name: str, environment: str) -> Hold | None:
    """What holds the target, if anything does."""
    query = select(holds).where(holds.c.name == name, holds.c.environment == environment)
    row = connection.execute(query).first()
    return Hold(row.name, row.environment, row.reason, row.actor, row.created) if row else None


def all_holds(connection: Connection) -> list[Hold]:
    """Every hold, by name and environment."""
    rows = connection.execute(select(holds).order_by(holds.c.name, holds.c.environment))
    return [Hold(row.name, row.environment, row.reason, row.actor, row.created) for row in rows]


def _promotion(row: Row[Any]) -> PromotionRow:
    return PromotionRow(**{name: getattr(row, name) for name in _COLUMNS})


_COLUMNS = tuple(PromotionRow.__dataclass_fields__)
