"""What the store learns of a run: each batch of news is one transaction, with the events that tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from pipelines.core.engine import Decision
from pipelines.core.nodes import Node, Outputs, Phase
from pipelines.host.announce import Cause, Moment, announcement, failure, moment_of
from pipelines.host.parents import stop_owned
from retrain.errors import Refused
from retrain.store import crons, firings, outbox, run_requests, runs
from retrain.store.runs import RunRow


class LeaseLost(Refused):
    """The run is another runner's now."""


@dataclass(slots=True)
class Ledger:
    """One run's place in the store. `told`: its `run.started` is in the outbox; `suspended`: that it was is noted."""

    row: RunRow
    owner: str
    told: bool
    suspended: bool = False
    _running: set[str] | None = None
    """Its pods that run; None before the first look at all of its nodes."""

    def keep(self, connection: Connection, decision: Decision, requests: Sequence[int], now: datetime) -> bool:
        """Save a decision, and take out the requests that it is the answer to; whether there is something to tell.

        Raises:
            LeaseLost: somebody else works on the run, or it is over.
        """
        run, row = decision.run, self.row
        moments = self._moments(decision)
        if not runs.advance(
            connection,
            self.owner,
            row.id,
            phase=str(decision.phase),
            message=decision.message,
            **self._changes(decision),
        ):
            raise LeaseLost(f"run {row.id} is another runner's, or over")
        bodies = {node_id: body_of(run.nodes[node_id]) for node_id in decision.changed}
        runs.save_nodes(connection, row.id, bodies, decision.edges)
        if run.suspended and not self.suspended:
            runs.note_suspended(connection, row.id)
        if requests:
            run_requests.done(connection, requests)
        if moments:
            cause = cause_of(connection, row)
            outbox.add(connection, [announcement(row, decision, one, cause) for one in moments], now)
        if run.ended:
            _ended(connection, row, run.plan.spec, decision.phase, now)
            if run.strategy:
                stop_owned(connection, row.id)
        return bool(moments)

    def kept(self, decision: Decision) -> None:
        """The transaction of `keep` is committed."""
        self.suspended = self.suspended or decision.run.suspended
        self.told = self.told or decision.run.started_at is not None

    def fail(self, connection: Connection, message: str, phase: Phase, now: datetime) -> None:
        """End a run that the engine cannot drive."""
        row = self.row
        if runs.advance(connection, self.owner, row.id, phase=str(phase), message=message, finished=now):
            outbox.add(connection, [failure(row, message, phase, now, cause_of(connection, row))], now)
            _ended(connection, row, row.manifest.get("spec") or {}, phase, now)

    def _moments(self, decision: Decision) -> list[Moment]:
        moments: list[Moment] = [] if self.told or decision.run.started_at is None else ["started"]
        if moment := moment_of(decision):
            moments.append(moment)
        return moments

    def _changes(self, decision: Decision) -> dict[str, Any]:
        run = decision.run
        outputs = _outputs(decision).to_argo()
        changes: dict[str, Any] = {"started": run.started_at, "outputs": outputs, "pods": self._pods(decision)}
        if not self.told:
            changes["templates"] = run.plan.catalog.needed_by(self.row.manifest)
            changes["labels"] = {**self.row.labels, **run.plan.labels}
        if run.finished_at is not None:
            changes["finished"] = run.finished_at
        return changes

    def _pods(self, decision: Decision) -> str:
        """Pending, running and completed pods. Looks at all nodes once, then at those that changed."""
        nodes = decision.run.nodes
        running = self._running if self._running is not None else set[str]()
        for node_id in decision.changed if self._running is not None else nodes:
            node = nodes[node_id]
            if node.type == "Pod" and node.phase is Phase.Running:
                running.add(node_id)
            else:
                running.discard(node_id)
        self._running = running
        done, of = decision.run.state.progress
        return f"{of - done - len(running)}/{len(running)}/{done}"


def body_of(node: Node) -> dict[str, Any]:
    """A node as the store keeps it: without its children, and with its times to the microsecond."""
    body = node.to_argo()
    for key, moment in (("startedAt", node.started_at), ("finishedAt", node.finished_at)):
        if moment is not None:
            body[key] = moment.isoformat().replace("+00:00", "Z")
    return body


def _outputs(decision: Decision) -> Outputs:
    return Outputs(decision.outputs, artifacts=tuple(decision.artifacts.values()))


def expiry(spec: Any, phase: Phase, finished: datetime) -> datetime | None:
    """When a run that has ended may be deleted, as its `ttlStrategy` says; None: it says nothing."""
    ttl: Any = spec.get("ttlStrategy") or {}
    special = ttl.get("secondsAfterSuccess" if phase is Phase.Succeeded else "secondsAfterFailure")
    seconds = ttl.get("secondsAfterCompletion") if special is None else special
    return None if seconds is None else finished + timedelta(seconds=int(seconds))


def _ended(connection: Connection, row: RunRow, spec: Any, phase: Phase, now: datetime) -> None:
    expires = expiry(spec, phase, now)
    if expires is not None:
        runs.let_expire(connection, row.id, expires, sooner=True)
    close(connection, row, now, succeeded=phase is Phase.Succeeded)


def close(connection: Connection, row: RunRow, now: datetime, *, succeeded: bool) -> None:
    """Let those know who wait for a run that has just ended."""
    run_requests.drop(connection, row.id)
    crons.count(connection, row.parent, succeeded=succeeded)
    if row.firing_id is not None:
        # The firing of a run may wait for its end (`policy.k8s`).
        firings.wake(connection, row.firing_id, now)


def cause_of(connection: Connection, row: RunRow) -> Cause | None:
    """Whose run it is. Asked when there is something to tell: the start, and the end."""
    if row.firing_id is None:
        return None
    found = firings.origin(connection, row.firing_id)
    return Cause(row.firing_id, *found) if found else None
