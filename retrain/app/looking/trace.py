"""The chain from the object that arrived to the commit that deploys its model, found from any id in it.

    object -> event -> firing -> run | promotion -> event -> ... -> commit

Every link is a key that one row holds of another; the walk goes up to all that led here, then down to what followed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from retrain.app.looking.queries import commit_of
from retrain.errors import NotFound
from retrain.store import events, firings, links, promotions, runs
from retrain.store.links import EventLink, FiringLink, RunLink
from retrain.store.promotions import PromotionRow
from retrain.store.traces import Ref, trace_ids

LIMIT = 1000
"""Things of one trace. Of what started more, so many are shown, and how many are left out is said."""


@dataclass(frozen=True, slots=True)
class Link:
    """One thing in the chain. `kind`: object, event, firing, run, promotion or commit."""

    kind: str
    id: str
    time: datetime | None
    summary: str


@dataclass(slots=True)
class Trace:
    """The chain: its things by (kind, id), and who led to whom. `left`: things that are there and were not followed."""

    nodes: dict[tuple[str, str], Link] = field(default_factory=dict[tuple[str, str], Link])
    edges: dict[tuple[tuple[str, str], tuple[str, str]], None] = field(
        default_factory=dict[tuple[tuple[str, str], tuple[str, str]], None]
    )
    left: int = 0
    id: str = ""
    """The trace's id as OpenTelemetry has it, in 32 hex digits: of what was asked for."""

    @property
    def room(self) -> int:
        """How many things more there is room for."""
        return LIMIT - len(self.nodes)

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
            "trace": self.id,
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
            **({"left": self.left} if self.left else {}),
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
    found.trace.id = trace_ids(connection, [found.asked])[found.asked].id
    return found.trace


class _Walk:
    """One search: what is known so far, and how to get from each kind to its neighbours, many at a time."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection
        self.trace = Trace()
        self.asked: Ref = ("event", "")
        self._events: dict[str, EventLink] = {}
        self._firings: dict[str, FiringLink] = {}
        self._runs: dict[str, RunLink] = {}
        self._promotions: dict[str, PromotionRow] = {}

    def begin(self, name: str) -> bool:
        """Find `name`, all that led to it, and all that followed from it."""
        if keys := events.find(self._c, name):
            self.asked = ("event", keys[-1])
            self._up_events(keys)
            self._down_events(keys)
        elif firing := firings.origin(self._c, name):
            del firing
            self.asked = ("firing", name)
            self._up_firings([name])
            self._down_firings([name])
        elif run := runs.get(self._c, name):
            self.asked = ("run", run.id)
            self._up_runs([run.id])
            self._down_runs([run.id])
        elif promotion := promotions.get(self._c, name):
            self.asked = ("promotion", promotion.id)
            self._up_promotion(promotion)
            self._down_causes([promotion.id, *self._after(promotion)])
        else:
            return False
        return True

    def _some(self, ids: Iterable[str], known: Container[str], share: int = 1) -> list[str]:
        """Those that are new, as many as there is room for, or as that share of the room is."""
        new = [one for one in dict.fromkeys(ids) if one not in known]
        room = max(0, self.trace.room) // share
        self.trace.left += max(0, len(new) - room)
        return new[:room]

    # --- towards the causes --------------------------------------------------------------------------------------

    def _up_events(self, keys: Iterable[str]) -> None:
        found = links.events_of(self._c, self._some(keys, self._events))
        for event in found:
            self._keep_event(event)
        self._up_causes([event.cause for event in found if event.cause is not None])

    def _up_causes(self, ids: list[str]) -> None:
        """What events tell of: runs, firings, promotions."""
        if not ids:
            return
        self._up_runs(ids)
        self._up_firings(ids)
        for name in dict.fromkeys(ids):
            if name in self._runs or name in self._firings or name in self._promotions:
                continue
            if promotion := promotions.get(self._c, name):
                self._up_promotion(promotion)

    def _up_firings(self, ids: Iterable[str]) -> None:
        new = links.firings_of(self._c, self._some_there(ids, self._firings))
        for firing in new:
            self._keep_firing(firing)
        if new:
            self._up_events([key for firing in new for key in firing.events])

    def _up_runs(self, ids: Iterable[str]) -> None:
        new = links.runs_of(self._c, self._some_there(ids, self._runs))
        for run in new:
            self._keep_run(run)
        if not new:
            return
        self._up_firings([run.firing_id for run in new if run.firing_id])
        parents = [(run.parent or "").partition("/") for run in new]
        self._up_events([key for kind, _, key in parents if kind == "Event"])
        self._up_runs([key for kind, _, key in parents if kind == "Workflow"])

    def _some_there(self, ids: Iterable[str], known: Container[str]) -> list[str]:
        """As `_some`, of names that need not be there: what is left out is not counted."""
        return [one for one in dict.fromkeys(ids) if one not in known][: max(0, self.trace.room)]

    def _up_promotion(self, row: PromotionRow) -> None:
        if not self._keep_promotion(row):
            return
        self._up_firings([row.firing_id] if row.firing_id else [])
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
        self._down_firings(one for ids in made.values() for one in ids)
        self._down_children([f"Event/{key}" for key in known])

    def _down_children(self, parents: list[str]) -> None:
        """Runs that an event's binding or a run has made."""
        self._down_new_runs(links.runs_of_parents(self._c, parents))

    def _down_firings(self, ids: Iterable[str]) -> None:
        every = list(dict.fromkeys(ids))
        # What came of them wants room too.
        for firing in links.firings_of(self._c, self._some(every, self._firings, share=3)):
            self._keep_firing(firing)
        known = [one for one in every if one in self._firings]
        # The other halves of a join belong to the story.
        self._up_events([key for one in known for key in self._firings[one].events])
        if not known:
            return
        self._down_new_runs(links.runs_of_firings(self._c, known))
        proposed = self._proposed_by(known)
        self._down_causes([*known, *proposed])

    def _proposed_by(self, firing_ids: list[str]) -> list[str]:
        found = [one for one in promotions.related(self._c, firing_ids, []) if one.id not in self._promotions]
        for promotion in found:
            self._keep_promotion(promotion)
        return [one.id for one in found]

    def _down_new_runs(self, found: Sequence[RunLink]) -> None:
        wanted = set(self._some((run.id for run in found), self._runs))
        for run in found:
            if run.id in wanted:
                self._keep_run(run)
        self._down_runs([run.id for run in found if run.id in wanted])

    def _down_runs(self, ids: list[str]) -> None:
        if ids:
            self._down_causes(ids)
            self._down_children([f"Workflow/{one}" for one in ids])

    def _down_causes(self, ids: list[str]) -> None:
        told = links.events_of(self._c, self._some(events.caused_by(self._c, ids), self._events))
        # That a firing is done tells limits of it; to the story it adds nothing.
        kept = [event for event in told if not (event.subject or "").startswith("firing.")]
        for event in kept:
            self._keep_event(event)
        if kept:
            self._down_events([event.key for event in kept])

    # --- what is kept --------------------------------------------------------------------------------------------

    def _keep_event(self, event: EventLink) -> bool:
        self._events[event.key] = event
        name = f"{event.source}/{event.subject}" if event.subject else event.source
        return self.trace.add(Link("event", event.id, event.time, name))

    def _keep_firing(self, row: FiringLink) -> bool:
        self._firings[row.id] = row
        return self.trace.add(Link("firing", row.id, row.created, f"{row.sensor}/{row.trigger}: {row.state}"))

    def _keep_run(self, row: RunLink) -> bool:
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
        for key, ref in links.objects_of(self._c, list(self._events)):
            event = self._events[key]
            self.trace.add(Link("object", ref, event.time, "arrived"))
            link(("object", ref), ("event", event.id))
        for event in self._events.values():
            cause = event.cause or ""
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
