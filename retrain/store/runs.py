"""Workflow runs, their nodes and the edges between those. A run is worked on by whoever holds its lease; that of a dead
owner runs out.

Nodes are saved without their children: an edge is written once, when it is made, so that what a change costs does not
grow with the run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Update,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from retrain.events import JsonValue
from retrain.store import run_requests
from retrain.store.rows import Page, insert_new, page, upsert, values_of
from retrain.store.tables import locks, nodes, promotions, run_edges, runs
from retrain.store.tables import run_requests as requested

Engine = Literal["local", "argo", "object"]
"""Who works on a run: this house, Argo's controller on a cluster, or the controller of another kind of object there."""
OPEN = ("Pending", "Running")
"""Phases of runs that are not over."""
ENDING = ("stop", "terminate")
"""Values of `control` that end a run; the others are `suspend` (nobody works on it) and `resume`."""
RETRIES = "retrain.dev/retries"
"""The label that counts them."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. `manifest` is the Workflow as submitted, `templates` what it names, once it has begun; `phase` and
    `outputs` are as Argo has them. A higher `priority` is worked on first.

    `control`: what was asked of the whole run last, as `spec.suspend` and `spec.shutdown` of a Workflow object say it.
    `parent`: `CronWorkflow/<namespace>/<name>` or `Workflow/<run id>` of whoever made it. `parked`: it waits for people
    and nobody works on it, until `wake` at most. `expires`: when it may be deleted.
    `pods`: how many of its steps are pending, running and completed, as `1/2/3`; empty before it is worked on.
    `object`: for a run on a cluster, `{"metadata", "status"}` of its object as last seen, without `status.nodes`; None
    before it is there.
    """

    id: str
    name: str
    workflow: str
    manifest: dict[str, JsonValue]
    labels: dict[str, str]
    created: datetime
    namespace: str = "default"
    firing_id: str | None = None
    phase: str = "Pending"
    message: str = ""
    depth: int = 0
    started: datetime | None = None
    finished: datetime | None = None
    owner: str | None = None
    lease_until: datetime | None = None
    attempts: int = 0
    outputs: JsonValue = None
    control: str | None = None
    templates: JsonValue = None
    priority: int = 0
    parent: str | None = None
    parked: int = 0
    wake: datetime | None = None
    expires: datetime | None = None
    pods: str = ""
    engine: Engine = "local"
    object: dict[str, JsonValue] | None = None

    @property
    def retries(self) -> int:
        """How often the run was tried again after it had ended."""
        said = self.labels.get(RETRIES) or "0"
        return int(said) if said.isdecimal() and len(said) < 10 else 0


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs of a list to show; None means any."""

    phase: str | None = None
    workflow: str | None = None
    firing_id: str | None = None


def submit(connection: Connection, rows: Sequence[RunRow]) -> int:
    """Write runs down to be worked on; one whose id or firing is known stays as it was. How many were new."""
    return insert_new(connection, runs, [values_of(row) for row in rows])


_CLAIMABLE = (
    select(runs)
    .where(
        runs.c.phase.in_(OPEN),
        runs.c.engine == "local",
        or_(runs.c.owner.is_(None), runs.c.lease_until.is_(None), runs.c.lease_until < bindparam("now")),
        or_(runs.c.parked == 0, runs.c.wake < bindparam("now")),
    )
    .order_by(runs.c.priority.desc(), runs.c.created, runs.c.id)
    .limit(bindparam("most"))
)


def claim(
    connection: Connection,
    owner: str,
    now: datetime,
    lease_until: datetime,
    limit: int,
    *,
    only: Collection[str] | None = None,
) -> list[RunRow]:
    """Take up to `limit` open runs that nobody holds (or whose lease has run out): the higher priority first, then the
    older. Parked ones are left where they are until they are asked for, or their time comes. `only`: these runs, and
    those that they started."""
    query = _CLAIMABLE
    if only is not None:
        query = query.where(or_(runs.c.id.in_(only), runs.c.parent.in_([f"Workflow/{one}" for one in only])))
    rows = connection.execute(query, {"now": now, "most": limit}).all()
    if rows:
        connection.execute(
            update(runs)
            .where(runs.c.id.in_([row.id for row in rows]))
            .values(owner=owner, lease_until=lease_until, attempts=runs.c.attempts + 1, parked=0, wake=None)
        )
    return [_run(row) for row in rows]


def seize(connection: Connection, owner: str, until: datetime, ids: Collection[str]) -> list[RunRow]:
    """Take these runs and those that they started as far as they are open and another's, parked or held whoever by: for
    one who knows that nobody works on them."""
    parents = [f"Workflow/{one}" for one in ids]
    theirs = or_(runs.c.id.in_(ids), runs.c.parent.in_(parents)) & runs.c.phase.in_(OPEN)
    rows = connection.execute(select(runs).where(theirs, runs.c.owner.is_distinct_from(owner))).all()
    connection.execute(
        update(runs)
        .where(runs.c.id.in_([row.id for row in rows]))
        .values(owner=owner, lease_until=until, parked=0, wake=None)
    )
    return [_run(row) for row in rows]


def renew(connection: Connection, owner: str, ids: Iterable[str], lease_until: datetime) -> set[str]:
    """Keep the runs that `owner` still holds; which of `ids` those are. The others belong to somebody else now."""
    wanted = list(ids)
    held = runs.c.id.in_(wanted) & (runs.c.owner == owner)
    connection.execute(update(runs).where(held).values(lease_until=lease_until))
    return set(connection.execute(select(runs.c.id).where(held)).scalars())


def release(connection: Connection, owner: str) -> None:
    """Give back all open runs of `owner`, so that the next claim need not wait for their leases."""
    connection.execute(
        update(runs).where(runs.c.owner == owner, runs.c.phase.in_(OPEN)).values(owner=None, lease_until=None)
    )


def advance(connection: Connection, owner: str, run_id: str, *, phase: str, message: str = "", **changes: Any) -> bool:
    """Move an open run that `owner` holds to `phase`; False (and nothing changed) if it is over or another's.

    `changes`: any of started, finished, outputs, templates, pods, lease_until.
    """
    values = {"phase": phase, "message": message, **changes}
    given = {f"new_{name}": value for name, value in values.items()}
    statement = _advance(tuple(values))
    return connection.execute(statement, {"which": run_id, "holder": owner, **given}).rowcount == 1


# Built once, as all that every step of a run needs: building a statement takes longer than carrying it out.
@cache
def _advance(names: tuple[str, ...]) -> Update:
    mine = (runs.c.id == bindparam("which"), runs.c.owner == bindparam("holder"), runs.c.phase.in_(OPEN))
    return update(runs).where(*mine).values({name: bindparam(f"new_{name}", type_=runs.c[name].type) for name in names})


# --- nodes and edges --------------------------------------------------------------------------------------------------

Edges = Sequence[tuple[str, str]]
"""(parent id, child id), in the order in which they were made."""


def save_nodes(connection: Connection, run_id: str, changed: Mapping[str, JsonValue], edges: Edges = ()) -> None:
    """Keep nodes of a run (node id -> Argo's node object without `children`), over what was kept before, and add edges
    to those that it has."""
    upsert(connection, nodes, [{"run_id": run_id, "node_id": one, "body": body} for one, body in changed.items()])
    if edges:
        first: int = connection.execute(_NEXT_EDGE, {"run": run_id}).scalar_one()
        rows = [
            {"run_id": run_id, "position": first + n, "parent": parent, "child": child}
            for n, (parent, child) in enumerate(edges)
        ]
        connection.execute(_ADD_EDGES, rows)


_ADD_EDGES = insert(run_edges)
_NEXT_EDGE = select(func.coalesce(func.max(run_edges.c.position), -1) + 1).where(run_edges.c.run_id == bindparam("run"))
_NODES = select(nodes.c.node_id, nodes.c.body).where(nodes.c.run_id == bindparam("run"))
_EDGES = (
    select(run_edges.c.parent, run_edges.c.child)
    .where(run_edges.c.run_id == bindparam("run"))
    .order_by(run_edges.c.position)
)


def load_bare(connection: Connection, run_id: str) -> dict[str, dict[str, Any]]:
    """All nodes of a run by id, as they were saved: without their children."""
    return {row.node_id: row.body for row in connection.execute(_NODES, {"run": run_id})}


def load_edges(connection: Connection, run_id: str) -> dict[str, list[str]]:
    """The children of each node of a run that has some, in order."""
    found: dict[str, list[str]] = {}
    for parent, child in connection.execute(_EDGES, {"run": run_id}):
        found.setdefault(parent, []).append(child)
    return found


def load_nodes(connection: Connection, run_id: str) -> dict[str, dict[str, Any]]:
    """All nodes of a run by id, each with its `children`, as Argo has them."""
    found = load_bare(connection, run_id)
    for parent, children in load_edges(connection, run_id).items():
        if parent in found:
            found[parent]["children"] = children
    return found


def replace_nodes(connection: Connection, run_id: str, kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Make these all the nodes that a run has; each may have `children`."""
    connection.execute(delete(nodes).where(nodes.c.run_id == run_id))
    connection.execute(delete(run_edges).where(run_edges.c.run_id == run_id))
    bare = {key: {name: value for name, value in body.items() if name != "children"} for key, body in kept.items()}
    save_nodes(connection, run_id, bare, [(key, one) for key, body in kept.items() for one in body.get("children", ())])


# --- what is asked of it ----------------------------------------------------------------------------------------------


def ask(connection: Connection, run_id: str, control: str, body: Mapping[str, JsonValue] | None = None) -> bool:
    """Ask a run to `stop`, `terminate`, `suspend` or `resume` as a whole; False if it is over (or there is none), or
    was asked for more already: whoever is to end is not asked to do less. `body`: the request with all that it says."""
    statement = update(runs).where(runs.c.id == run_id, runs.c.phase.in_(OPEN))
    if control != "terminate":
        stronger = ("terminate",) if control == "stop" else ENDING
        statement = statement.where(or_(runs.c.control.is_(None), runs.c.control.not_in(stronger)))
    if connection.execute(statement.values(control=control)).rowcount != 1:
        return False
    if not request(connection, run_id, body or {"verb": control}):
        return False
    if control == "suspend":
        # One that has not begun is not begun for that.
        waits = (runs.c.id == run_id, runs.c.owner.is_(None), runs.c.started.is_(None))
        connection.execute(update(runs).where(*waits).values(parked=1))
    return True


def request(connection: Connection, run_id: str, body: Mapping[str, JsonValue]) -> bool:
    """Ask something of an open run, as `pipelines.host.requests` writes it; False if it is over (or there is none).

    Whoever works on it hears of it, and one that waits for people is taken up.
    """
    mine = (runs.c.id == run_id, runs.c.phase.in_(OPEN))
    if connection.execute(update(runs).where(*mine).values(parked=0)).rowcount != 1:
        return False
    run_requests.put(connection, run_id, dict(body))
    return True


def note_suspended(connection: Connection, run_id: str) -> None:
    """A run is suspended by its own words (`spec.suspend`), and nobody has said anything else yet."""
    connection.execute(update(runs).where(runs.c.id == run_id, runs.c.control.is_(None)).values(control="suspend"))


def park(connection: Connection, owner: str, run_id: str, wake: datetime | None) -> None:
    """Give a run back that waits for people. If something was asked of it meanwhile, the next claim has it."""
    waiting = exists().where(requested.c.run_id == run_id)
    mine = (runs.c.id == run_id, runs.c.owner == owner)
    connection.execute(update(runs).where(*mine).values(owner=None, lease_until=None))
    connection.execute(update(runs).where(runs.c.id == run_id, ~waiting).values(parked=1, wake=wake))


def reopen(connection: Connection, run_id: str, **changes: Any) -> bool:
    """Make a run that is over Running and nobody's; False if it is open (or there is none). `changes`: columns."""
    values = {
        "phase": "Running",
        "message": "",
        "finished": None,
        "control": None,
        "owner": None,
        "parked": 0,
        **changes,
    }
    over = (runs.c.id == run_id, runs.c.phase.not_in(OPEN))
    values |= {"lease_until": None, "parked": 0, "wake": None, "expires": None}
    return connection.execute(update(runs).where(*over).values(**values)).rowcount == 1


def begin_with(connection: Connection, run_id: str, kept: Mapping[str, Mapping[str, Any]], started: datetime) -> None:
    """Let a run that has not begun begin with these nodes, each of which may have `children`."""
    replace_nodes(connection, run_id, kept)
    mine = (runs.c.id == run_id, runs.c.phase == "Pending")
    connection.execute(update(runs).where(*mine).values(phase="Running", started=started))


def relabel(connection: Connection, run_id: str, labels: Mapping[str, str]) -> None:
    """Give a run these labels, in the place of those it has."""
    connection.execute(update(runs).where(runs.c.id == run_id).values(labels=dict(labels)))


def still_open(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Which of these runs are not over."""
    query = select(runs.c.id).where(runs.c.id.in_(list(ids)), runs.c.phase.in_(OPEN))
    return set(connection.execute(query).scalars())


def named(connection: Connection, name: str, namespace: str = "") -> RunRow | None:
    """The newest run of this name."""
    query = select(runs).where(runs.c.name == name)
    if namespace:
        query = query.where(runs.c.namespace == namespace)
    row = connection.execute(query.order_by(runs.c.created.desc()).limit(1)).first()
    return _run(row) if row else None


def labelled(connection: Connection, fits: Callable[[RunRow], bool], phases: Sequence[str], most: int) -> list[RunRow]:
    """The newest runs in one of these phases that fit, `most` at most."""
    query = select(runs).where(runs.c.phase.in_(phases)).order_by(runs.c.created.desc())
    found: list[RunRow] = []
    for row in connection.execute(query.execution_options(yield_per=100)):
        if fits(run := _run(row)):
            found.append(run)
        if len(found) == most:
            break
    return found


def get(connection: Connection, which: str) -> RunRow | None:
    """A run by its id, else the newest with that name."""
    query = select(runs).where((runs.c.id == which) | (runs.c.name == which)).order_by(runs.c.created.desc())
    row = connection.execute(query.limit(1)).first()
    return _run(row) if row else None


def many(connection: Connection, ids: Iterable[str]) -> dict[str, RunRow]:
    """Of these runs those that are there, by id."""
    wanted, found = list(ids), dict[str, RunRow]()
    for start in range(0, len(wanted), 500):
        rows = connection.execute(select(runs).where(runs.c.id.in_(wanted[start : start + 500])))
        found |= {row.id: _run(row) for row in rows}
    return found


def of_firings(connection: Connection, firing_ids: Iterable[str]) -> list[RunRow]:
    """The runs that these firings started."""
    query = select(runs).where(runs.c.firing_id.in_(list(firing_ids)))
    return [_run(row) for row in connection.execute(query)]


def listing(connection: Connection, which: RunFilter, *, cursor: str | None = None, limit: int = 50) -> Page[RunRow]:
    """Runs, newest first."""
    query = select(runs)
    for column, wanted in (
        (runs.c.phase, which.phase),
        (runs.c.workflow, which.workflow),
        (runs.c.firing_id, which.firing_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    rows, following = page(connection, query, (runs.c.created, runs.c.id), cursor, limit)
    return Page([_run(row) for row in rows], following)


# --- the end of a run -------------------------------------------------------------------------------------------------


def children(connection: Connection, parent: str) -> list[RunRow]:
    """The runs that a run or a cron made, oldest first."""
    query = select(runs).where(runs.c.parent == parent).order_by(runs.c.created, runs.c.id)
    return [_run(row) for row in connection.execute(query)]


def of_parents(connection: Connection, parents: Sequence[str]) -> list[RunRow]:
    """The runs that any of these made."""
    found: list[RunRow] = []
    for start in range(0, len(parents), 500):
        query = select(runs).where(runs.c.parent.in_(parents[start : start + 500]))
        found += [_run(row) for row in connection.execute(query)]
    return found


def expired(connection: Connection, now: datetime, default: datetime | None, most: int) -> list[RunRow]:
    """Runs that may be deleted, the longest over first: `expires` has come, or, where it says nothing, they were over
    before `default` (None: those are kept). Those that a promotion came of are kept."""
    query = select(runs).where(*_expired(now, default)).order_by(runs.c.finished).limit(most)
    return [_run(row) for row in connection.execute(query)]


def expired_after(
    connection: Connection, now: datetime, default: datetime | None, after: tuple[datetime, str] | None, most: int
) -> list[tuple[datetime, str]]:
    """The same as `expired` as (when it was over, id), from the one after `after` on."""
    over = func.coalesce(runs.c.finished, runs.c.created)
    query = select(over.label("over"), runs.c.id).where(*_expired(now, default))
    if after is not None:
        query = query.where(or_(over > after[0], (over == after[0]) & (runs.c.id > after[1])))
    return [(row.over, row.id) for row in connection.execute(query.order_by(over, runs.c.id).limit(most))]


def _expired(now: datetime, default: datetime | None) -> tuple[ColumnElement[bool], ...]:
    due = runs.c.expires < now
    if default is not None:
        due = or_(due, runs.c.expires.is_(None) & (runs.c.finished < default))
    return runs.c.phase.not_in(OPEN), due, ~exists().where(promotions.c.run_id == runs.c.id)


def let_expire(connection: Connection, run_id: str, at: datetime, *, sooner: bool = False) -> None:
    """Let a run be deleted from this time on, once it is over. `sooner`: unless it may be before that."""
    statement = update(runs).where(runs.c.id == run_id)
    if sooner:
        statement = statement.where(or_(runs.c.expires.is_(None), runs.c.expires > at))
    connection.execute(statement.values(expires=at))


def forget(connection: Connection, run_id: str) -> bool:
    """Delete a run that is over, with all that belongs to it; False if it is open (or there is none)."""
    if connection.execute(delete(runs).where(runs.c.id == run_id, runs.c.phase.not_in(OPEN))).rowcount != 1:
        return False
    for table in (nodes, run_edges, requested, locks):
        connection.execute(delete(table).where(table.c.run_id == run_id))
    return True


def counts(connection: Connection) -> dict[str, int]:
    """How many runs are in each phase."""
    query = select(runs.c.phase, func.count().label("n")).group_by(runs.c.phase)
    return {row.phase: row.n for row in connection.execute(query)}


def _run(row: Row[Any]) -> RunRow:
    return RunRow(**{name: getattr(row, name) for name in _COLUMNS})


_COLUMNS = tuple(RunRow.__dataclass_fields__)
