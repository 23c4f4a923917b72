"""What the command line, the API and the page show: one function for each list and each thing, as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from pipelines.host.showing import workflow_object
from retrain.app.runs.filters import Wish, search_of
from retrain.errors import NotFound
from retrain.events import Event
from retrain.store import (
    approvals,
    audit,
    cursors,
    deadletters,
    decisions,
    events,
    firings,
    promotions,
    run_search,
    runs,
    sensors,
    traces,
)
from retrain.store.firings import FiringRow
from retrain.store.promotions import Hold, PromotionRow
from retrain.store.rows import Page
from retrain.store.runs import RunRow

Json = dict[str, Any]
T = TypeVar("T")
TRACE = "retrain.dev/trace-id"
"""The annotation of a run that names its trace."""
LATEST = "@latest"
"""The newest run, in the place of a name."""


def stamp(time: datetime | None) -> str | None:
    """A time as JSON shows it: RFC 3339 in UTC."""
    return time.isoformat().replace("+00:00", "Z") if time else None


def _items(page: Page[T], show: Callable[[T], Json]) -> Json:
    searched = {} if page.searched is None else {"searched": page.searched}
    return {"items": [show(one) for one in page.items], "next": page.next, **searched}


# --- events ----------------------------------------------------------------------------------------------------------


def list_events(connection: Connection, which: events.EventFilter, cursor: str | None, limit: int) -> Json:
    """Events as CloudEvents, newest first."""
    return _items(events.listing(connection, which, cursor=cursor, limit=limit), lambda seen: seen.event.to_dict())


def show_event(connection: Connection, name: str) -> Json:
    """One event, what every sensor made of it, and the firings that it was part of.

    Raises:
        NotFound: no event has that id, key or object.
    """
    keys = events.find(connection, name)
    if not keys:
        raise NotFound(f"{name}: no such event; `retrain events list` shows the ids")
    key = keys[-1]
    event: Event = events.get_many(connection, [key])[key]
    return {
        "event": event.to_dict(),
        "key": key,
        "trace": _trace(connection, "event", key),
        "decisions": [decision(one) for one in decisions.of_event(connection, key)],
        "firings": firings.of_events(connection, [key]).get(key, []),
    }


def decision(one: decisions.DecisionRow) -> Json:
    """A decision as lists show it."""
    return {
        "event": one.event_key,
        "sensor": one.sensor,
        "dependency": one.dependency,
        "outcome": one.outcome,
        "reason": one.reason,
        "detail": one.detail,
        "time": stamp(one.time),
        "trigger": one.trigger,
        "key": one.key,
    }


# --- sensors and firings ---------------------------------------------------------------------------------------------


def list_decisions(
    connection: Connection, sensor: str, limit: int, which: decisions.DecisionFilter | None = None
) -> list[Json]:
    """The newest decisions of one sensor, newest first."""
    rows = decisions.of_sensor(connection, sensor, limit, which)
    ids = events.ids_of(connection, [row.event_key for row in rows if row.event_key is not None])
    return [{**decision(row), "eventId": ids.get(row.event_key or "")} for row in rows]


def sensor_memory(connection: Connection, name: str) -> Json | None:
    """How far the sensor has read the log; None if it has not run here."""
    row = sensors.get_many(connection, [name]).get(name)
    if row is None:
        return None
    position = max(row.position, log_cursor(connection)) if row.joined else row.position
    return {"position": position, "joined": bool(row.joined), "updated": stamp(row.updated)}


def list_firings(connection: Connection, which: firings.FiringFilter, cursor: str | None, limit: int) -> Json:
    """Firings, newest first."""
    return _items(firings.listing(connection, which, cursor=cursor, limit=limit), firing)


def show_firing(connection: Connection, firing_id: str) -> Json:
    """One firing with its action.

    Raises:
        NotFound: no firing has that id.
    """
    row = firings.get(connection, firing_id)
    if row is None:
        raise NotFound(f"{firing_id}: no such firing; `retrain firings list` shows the ids")
    return {**firing(row), "action": row.action, "trace": _trace(connection, "firing", row.id)}


def keys_of_firing(connection: Connection, firing_id: str) -> list[str]:
    """The keys of all events of a firing, in their order.

    Raises:
        NotFound: no firing has that id.
    """
    row = firings.get(connection, firing_id)
    if row is None:
        raise NotFound(f"{firing_id}: no such firing; `retrain firings list` shows the ids")
    return list(row.events)


def event_lines(connection: Connection, keys: list[str]) -> list[bytes]:
    """These events as lines of JSON; one that is not in the store any more is left out."""
    found = events.get_many(connection, keys)
    return [found[key].to_json() + b"\n" for key in keys if key in found]


def firing(row: FiringRow) -> Json:
    """A firing as lists show it."""
    return {
        "id": row.id,
        "sensor": row.sensor,
        "trigger": row.trigger,
        "key": row.key,
        "events": list(row.events),
        "state": row.state,
        "attempts": row.attempts,
        "created": stamp(row.created),
        "finished": stamp(row.finished),
        "nextAttempt": stamp(row.next_attempt) if row.state == firings.FiringState.PENDING else None,
        "result": row.result,
        "error": row.error,
    }


# --- runs ------------------------------------------------------------------------------------------------------------


def list_runs(connection: Connection, wish: Wish, now: datetime, cursor: str | None, limit: int) -> Json:
    """Runs as Workflow objects without their nodes, newest first.

    Raises:
        ConfigError: what was asked for cannot be read.
    """
    found = run_search.search(connection, search_of(wish, now), cursor=cursor, limit=limit)
    return _items(found, listed_run)


def show_run(connection: Connection, name: str) -> Json:
    """A run as the Workflow object with Argo's whole status."""
    row = find_run(connection, name)
    shown = workflow(row, runs.load_nodes(connection, row.id))
    if row.object is not None:
        return shown  # as it is on the cluster, and nothing besides
    noted = shown["metadata"].get("annotations") or {}
    shown["metadata"]["annotations"] = {**noted, TRACE: _trace(connection, "run", row.id)}
    return shown


def _trace(connection: Connection, kind: traces.Kind, name: str) -> str:
    """The id of the trace that a thing belongs to."""
    return traces.trace_ids(connection, [(kind, name)])[kind, name].id


def find_run(connection: Connection, name: str) -> RunRow:
    """A run by id or name, or the newest for `@latest`.

    Raises:
        NotFound: no run has that id or name.
    """
    if name == LATEST:
        row = next(iter(run_search.search(connection, run_search.RunSearch(), limit=1).items), None)
    else:
        row = runs.get(connection, name)
    if row is None:
        raise NotFound(f"{name}: no such run; `retrain runs list` shows the names")
    return row


def workflow(row: RunRow, nodes: Mapping[str, Any] | None) -> Json:
    """A run as the Workflow object that Argo's tools know; its own times to the microsecond."""
    found = workflow_object(row, nodes)
    if row.object is not None:
        return found
    times = {"startedAt": stamp(row.started), "finishedAt": stamp(row.finished)}
    status = {**found["status"], **{name: time for name, time in times.items() if time}}
    if nodes is not None:
        status = {**status, **_sums(row.phase, nodes)}
    return {**found, "metadata": {**found["metadata"], "creationTimestamp": stamp(row.created)}, "status": status}


def listed_run(row: RunRow) -> Json:
    """A run without its nodes, and with how many of its steps wait, run and are done."""
    found = workflow(row, None)
    if row.parked and row.started is not None and row.phase in runs.OPEN:
        # It waits for people, or for a time.
        wakes = {"wakes": stamp(row.wake)} if row.wake else {}
        found = {**found, "status": {**found["status"], "parked": True, **wakes}}
    if not row.pods:
        return found
    pending, running, completed = (int(part) for part in row.pods.split("/"))
    pods = {"pending": pending, "running": running, "completed": completed}
    progress = f"{completed}/{pending + running + completed}"
    return {**found, "status": {**found["status"], "progress": progress, "pods": pods}}


def _sums(phase: str, nodes: Mapping[str, Any]) -> Json:
    """What Argo's status says of all nodes together: how far they are, what they have used."""
    pods = [node for node in nodes.values() if node["type"] == "Pod"]
    over = [node for node in pods if node["phase"] not in runs.OPEN]
    used: dict[str, float] = {}
    for node in pods:
        for name, amount in (node.get("resourcesDuration") or {}).items():
            used[name] = used.get(name, 0) + amount
    running = any(node["phase"] == "Running" for node in pods)
    conditions = [{"type": "PodRunning", "status": str(running)}]
    if phase not in runs.OPEN:
        conditions.append({"type": "Completed", "status": "True"})
    sums = {"progress": f"{len(over)}/{len(pods)}", "conditions": conditions}
    return {**sums, "resourcesDuration": used} if used else sums


# --- promotions ------------------------------------------------------------------------------------------------------


def list_promotions(connection: Connection, which: promotions.PromotionFilter, cursor: str | None, limit: int) -> Json:
    """Promotions, newest first."""
    return _items(promotions.listing(connection, which, cursor=cursor, limit=limit), promotion)


def show_promotion(connection: Connection, name: str) -> Json:
    """One promotion with its diff.

    Raises:
        NotFound: no promotion has that id or commit.
    """
    row = promotions.get(connection, name)
    if row is None:
        raise NotFound(f"{name}: no such promotion; `retrain promotions list` shows the ids")
    said = [_approval(row, one) for one in approvals.of(connection, row.id)]
    steps = _steps(row, promotions.family(connection, row.id))
    mark = _mark(connection, row)
    more = {"environments": steps, "mark": mark, "trace": _trace(connection, "promotion", row.id)}
    return {**promotion(row), "diff": row.diff or "", "approvals": said, **more}


def _mark(connection: Connection, row: PromotionRow) -> Json | None:
    """What the model registry was told of it; None: nothing yet, or of another model."""
    from deploy.registry import marker, marks

    kept = marker.kept_of(connection, row.name, row.environment)
    mine = kept is not None and kept.wish is not None and kept.wish.promotion == row.id
    return marks.shown(kept) if kept is not None and mine else None


def _approval(row: PromotionRow, one: approvals.Approval) -> Json:
    """A decision. `lapsed`: what was decided on has changed since."""
    return {
        "actor": one.actor,
        "verified": one.verified,
        "roles": list(one.roles),
        "decision": one.decision,
        "reason": one.reason,
        "at": stamp(one.at),
        "expires": stamp(one.expires_at),
        "lapsed": one.decision == "approve" and one.subject != row.subject,
        "subject": one.subject,
    }


def _steps(row: PromotionRow, family: Sequence[PromotionRow]) -> list[Json]:
    """The model's way through the environments, in order: the newest promotion to each, where there is one."""
    newest = {one.environment: one for one in family}
    # Of several tries in one environment the one that is asked for is shown.
    newest[row.environment] = row
    route = row.route if isinstance(row.route, list) else [row.environment]
    found: list[Json] = []
    for name in route:
        one = newest.get(str(name))
        state = one.state if one else "not yet"
        commit = commit_of(one) if one else None
        found.append({"environment": name, "promotion": one.id if one else None, "state": state, "commit": commit})
    return found


def promotion(row: PromotionRow) -> Json:
    """A promotion as lists show it."""
    return {
        "id": row.id,
        "name": row.name,
        "state": row.state,
        "action": row.action,
        "environment": row.environment,
        "candidate": row.candidate,
        "commit": commit_of(row),
        "gates": row.gates or [],
        "changes": row.changes or [],
        "reason": row.reason,
        "run": row.run_id,
        "firing": row.firing_id,
        "created": stamp(row.created),
        "updated": stamp(row.updated),
        "parent": row.parent,
        "retryOf": row.retry_of,
        "actor": row.actor,
        "subject": row.subject,
        "waiting": row.waiting if row.state == "awaiting" else None,
        "pull": _pull(row),
        "step": row.step + 1,
        "verification": _verification(row),
    }


def commit_of(row: PromotionRow) -> str | None:
    """Its commit in the branch, the newest of several; None where none is known to be there."""
    if row.state == "stepping":
        known = row.verification if isinstance(row.verification, dict) else {}
        return str(known["commit"]) if known.get("commit") else None
    return row.commit_sha if row.state not in promotions.OPEN else None


def _verification(row: PromotionRow) -> Json | None:
    """What was seen after the commit. `at`: when that was over; `nextStep`: when its canary goes on."""
    known = row.verification
    names = ("outcome", "reason", "since", "until", "at", "nextStep")
    if not isinstance(known, dict):
        return None
    return {**{name: known.get(name) for name in names}, "checks": known.get("checks") or []}


def _pull(row: PromotionRow) -> Json | None:
    """Its pull request, without what the promoter keeps there for itself."""
    return {name: value for name, value in row.pull.items() if name != "memory"} if isinstance(row.pull, dict) else None


def hold(one: Hold) -> Json:
    """What keeps automation away from a target."""
    return {
        "name": one.name,
        "environment": one.environment,
        "reason": one.reason,
        "actor": one.actor,
        "created": stamp(one.created),
    }


def list_holds(connection: Connection) -> Json:
    """Every hold."""
    return {"items": [hold(one) for one in promotions.all_holds(connection)], "next": None}


def list_deeds(connection: Connection, which: audit.DeedFilter | str | None, cursor: str | None, limit: int) -> Json:
    """What people did, newest first; `which` may be a subject."""
    wanted = which if isinstance(which, audit.DeedFilter) else audit.DeedFilter(subject=which)
    return _items(audit.listing(connection, wanted, cursor=cursor, limit=limit), deed)


def deed(one: audit.Deed) -> Json:
    """What somebody did."""
    return {
        "at": stamp(one.at),
        "actor": one.actor,
        "verified": bool(one.verified),
        "action": one.action,
        "subject": one.subject,
        "before": one.before,
        "after": one.after,
        "reason": one.reason,
        "from": one.origin,
    }


# --- figures ----------------------------------------------------------------------------------------------------------


def counts(connection: Connection) -> Json:
    """How much of everything there is, by state: for metrics and the overview."""
    return {
        "events": events.count(connection),
        "firings": firings.counts(connection),
        "runs": runs.counts(connection),
        "promotions": promotions.counts(connection),
        "deadletters": deadletters.count(connection),
    }


def log_cursor(connection: Connection) -> int:
    """How far the sensors have read the log."""
    return cursors.load(connection, "sensors") or 0
