"""The chain from the object that arrived to the commit that deploys its model, found from any id in it.

    object -> event -> firing -> run | promotion -> event -> ... -> commit

Every link is a key that one row holds of another; the walk goes up to all that led here, then down to what followed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from retrain.app.queries import commit_of
from retrain.errors import NotFound
from retrain.events import Event
from retrain.store import events, firings, promotions, runs
from retrain.store.firings import FiringRow
from retrain.store.promotions import PromotionRow
from retrain.store.runs import RunRow

LIMIT = 2000
"""Nodes of one trace; an object that started more is shown up to there."""


@dataclass(frozen=True, slots=True)
class Link:
    """One thing in the chain. `kind`: object, event, firing, run, promotion or commit."""

    kind: str
    id: str
    time: datetime | None
    summary: str


@dataclass(slots=True)
class Trace:
    """The chain: its things by (kind, id), and who led to whom."""

    nodes: dict[tuple[str, str], Link] = field(default_factory=dict[tuple[str, str], Link])
    edges: dict[tuple[tuple[str, str], tuple[str, str]], None] = field(
        default_factory=dict[tuple[tuple[str, str], tuple[str, str]], None]
    )

    def add(self, link: Link) -> bool:
        """Put a thing in; False if it was there, or the trace is full."""
        key = (link.kind, link.id)
        if key in self.nodes or len(self.nodes) >= LIMIT:
            return False
        self.nodes[key] = link
        return True

    def connect(self, cause: tuple[str, str], effect: tuple[str, str]) -> None:
        """One led to the other."""
        if cause in self.nodes and effect in self.nodes:
            self.edges[cause, effect] = None

    def to_json(self) -> dict[str, Any]:
        """The shape that scripts read; causes stand before effects."""
        order = sorted(self.nodes.values(), key=lambda link: (link.time is None, link.time))
        order.sort(key=lambda link: link.kind != "object")
        return {
            "nodes": [
                {
                    "kind": link.kind,
                    "id": link.id,
                    "time": link.time.isoformat().replace("+00:00", "Z") if link.time else None,
                    "summary": link.summary,
                }
                for link in order
            ],
            "edges": [[cause[1], effect[1]] for cause, effect in self.edges],
        }


def trace(connection: Connection, name: str) -> Trace:
    """The chain through `name`: an object's key, an event's id or key, a firing, a run, a promotion or a commit.

    Raises:
        NotFound: nothing here has that name.
    """
    found = _Walk(connection)
    if not found.begin(name):
        raise NotFound(f"{name}: no object, event, firing, run, promotion or commit of this platform has that name")
    found.connect()
    return found.trace


class _Walk:
    """One search: what is known so far, and how to get from each kind to its neighbours."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection
        self.trace = Trace()
        self._events: dict[str, Event] = {}
        self._firings: dict[str, FiringRow] = {}
        self._runs: dict[str, RunRow] = {}
        self._promotions: dict[str, PromotionRow] = {}

    def begin(self, name: str) -> bool:
        """Find `name`, all that led to it, and all that followed from it."""
        if keys := events.find(self._c, name):
            self._up_events(keys)
            self._down_events(keys)
        elif row := firings.get(self._c, name):
            self._up_firing(row)
            self._down_firings([row.id])
        elif run := runs.get(self._c, name):
            self._up_run(run)
            self._down_runs([run])
        elif promotion := promotions.get(self._c, name):
            self._up_promotion(promotion)
            self._down_causes([promotion.id, *self._after(promotion)])
        else:
            return False
        return True

    # --- towards the causes --------------------------------------------------------------------------------------

    def _up_events(self, keys: Iterable[str]) -> None:
        for key, event in events.get_many(self._c, [k for k in keys if k not in self._events]).items():
            self._keep_event(key, event)
            cause = event.extensions.get("retraincause")
            if cause is None:
                continue
            if run := runs.get(self._c, str(cause)):
                self._up_run(run)
            elif promotion := promotions.get(self._c, str(cause)):
                self._up_promotion(promotion)
            elif firing := firings.get(self._c, str(cause)):
                self._up_firing(firing)

    def _up_firing(self, row: FiringRow) -> None:
        if self._keep_firing(row):
            self._up_events(row.events)

    def _up_run(self, row: RunRow) -> None:
        if not self._keep_run(row):
            return
        if row.firing_id and (firing := firings.get(self._c, row.firing_id)):
            self._up_firing(firing)
        kind, _, key = (row.parent or "").partition("/")
        if kind == "Event":
            self._up_events([key])
        elif kind == "Workflow" and (parent := runs.get(self._c, key)):
            self._up_run(parent)

    def _up_promotion(self, row: PromotionRow) -> None:
        if not self._keep_promotion(row):
            return
        if row.firing_id and (firing := firings.get(self._c, row.firing_id)):
            self._up_firing(firing)
        if row.parent and (before := promotions.get(self._c, row.parent)):
            self._up_promotion(before)

    # --- towards the effects -------------------------------------------------------------------------------------

    def _after(self, row: PromotionRow) -> list[str]:
        """The ids of the promotions of the same model to the environments after; those before are known already."""
        found = [one for one in promotions.family(self._c, row.id) if one.id not in self._promotions]
        for one in found:
            self._keep_promotion(one)
        return [one.id for one in found]

    def _down_events(self, keys: Iterable[str]) -> None:
        known = list(keys)
        made = firings.of_events(self._c, known)
        self._down_firings({one for ids in made.values() for one in ids})
        self._down_children([f"Event/{key}" for key in known])

    def _down_children(self, parents: list[str]) -> None:
        """Runs that an event's binding or a run has made."""
        found = [row for row in runs.of_parents(self._c, parents) if row.id not in self._runs]
        if found and len(self.trace.nodes) < LIMIT:
            self._down_runs(found)

    def _down_firings(self, ids: Iterable[str]) -> None:
        known = list(ids)
        for firing_id in known:
            if firing_id not in self._firings and (row := firings.get(self._c, firing_id)):
                self._keep_firing(row)
                self._up_events(row.events)  # the other halves of a join belong to the story
        if not known or len(self.trace.nodes) >= LIMIT:
            return
        self._down_runs([row for row in runs.of_firings(self._c, known) if row.id not in self._runs])
        proposed = [p for p in promotions.related(self._c, known, []) if p.id not in self._promotions]
        for promotion in proposed:
            self._keep_promotion(promotion)
        self._down_causes([*known, *(promotion.id for promotion in proposed)])

    def _down_runs(self, rows: Iterable[RunRow]) -> None:
        known = list(rows)
        for row in known:
            self._keep_run(row)
        self._down_causes([row.id for row in known])
        self._down_children([f"Workflow/{row.id}" for row in known])

    def _down_causes(self, ids: list[str]) -> None:
        new = [key for key in events.caused_by(self._c, ids) if key not in self._events]
        # That a firing is done tells limits of it; to the story it adds nothing.
        told = {k: e for k, e in events.get_many(self._c, new).items() if not (e.subject or "").startswith("firing.")}
        for key, event in told.items():
            self._keep_event(key, event)
        if told:
            self._down_events(told)

    # --- what is kept --------------------------------------------------------------------------------------------

    def _keep_event(self, key: str, event: Event) -> bool:
        self._events[key] = event
        name = f"{event.source}/{event.subject}" if event.subject else event.source
        return self.trace.add(Link("event", event.id, event.time, name))

    def _keep_firing(self, row: FiringRow) -> bool:
        self._firings[row.id] = row
        return self.trace.add(Link("firing", row.id, row.created, f"{row.sensor}/{row.trigger}: {row.state}"))

    def _keep_run(self, row: RunRow) -> bool:
        self._runs[row.id] = row
        return self.trace.add(Link("run", row.id, row.created, f"{row.name}: {row.phase}"))

    def _keep_promotion(self, row: PromotionRow) -> bool:
        self._promotions[row.id] = row
        reason = f" ({row.reason})" if row.reason else ""
        summary = f"{row.name} to {row.environment}: {row.state}{reason}"
        kept = self.trace.add(Link("promotion", row.id, row.created, summary))
        if commit := commit_of(row):
            self.trace.add(Link("commit", commit, row.updated, f"{row.action} {row.name} in {row.environment}"))
        return kept

    def connect(self) -> None:
        """Add the objects, and draw the links between all that was found."""
        link = self.trace.connect
        for key, ref in events.refs_of(self._c, list(self._events)):
            event = self._events[key]
            self.trace.add(Link("object", ref, event.time, "arrived"))
            link(("object", ref), ("event", event.id))
        for event in self._events.values():
            cause = str(event.extensions.get("retraincause"))
            link(("run", cause), ("event", event.id))
            link(("firing", cause), ("event", event.id))
            link(("promotion", cause), ("event", event.id))
        for firing in self._firings.values():
            for key in firing.events:
                if key in self._events:
                    link(("event", self._events[key].id), ("firing", firing.id))
        for run in self._runs.values():
            link(("firing", run.firing_id or ""), ("run", run.id))
            kind, _, key = (run.parent or "").partition("/")
            if kind == "Event" and key in self._events:
                link(("event", self._events[key].id), ("run", run.id))
            elif kind == "Workflow":
                link(("run", key), ("run", run.id))
        for row in self._promotions.values():
            before = ("promotion", row.parent) if row.parent in self._promotions else ("firing", row.firing_id or "")
            link(before, ("promotion", row.id))
            link(("promotion", row.id), ("commit", commit_of(row) or ""))
