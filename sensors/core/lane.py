"""The lane of a trigger: matches that may not fire yet wait here, in the order in which they came.

A match asks the gates; the first that says no decides. What is held is asked again when a firing or its run is over,
when somebody approves or rejects, and when time opens a gate. A match whose lane key is busy (concurrency) lets those
of other keys pass; any other gate stops the whole trigger. One that waits for an approval stands aside.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

from retrain.errors import RetrainError
from sensors.core.cells import IDLE, Active, CellId, Held, Lane, Queued
from sensors.core.firing import Identity, Maker
from sensors.core.gates import Gate, Rate
from sensors.core.join import add
from sensors.core.keys import NoKey, ReadKey
from sensors.core.outcome import Fired, Outcome
from sensors.core.telling import counted, span
from sensors.core.turn import Met, Turn
from sensors.core.window import earliest

MOST_HELD = 10_000
"""Matches that one trigger holds. The next is refused, and kept as a dead letter."""

OnLane = Callable[[Turn, Met], str]
"""Gives the lane key of a match."""


class LaneRule:
    """The gates of a trigger and what becomes of its matches. `drop`: the limit that lets no event in."""

    def __init__(self, name: str, maker: Maker, gates: tuple[Gate, ...], drop: Rate | None, on_lane: OnLane) -> None:
        self._name = name
        self._maker = maker
        self._gates = gates
        self._drop = drop
        self._on_lane = on_lane
        self._id = CellId("lane", name, "")
        looks_back = [gate.looks_back for gate in gates] + ([drop.unit] if drop is not None else [])
        self._looks_back = max(looks_back, default=timedelta())

    # --- what comes ---

    def dropped(self, turn: Turn) -> str | None:
        """Why no event is let in now; None if they are."""
        return None if self._drop is None else self._drop.used_up(self.read(turn), turn.now)

    def arrive(self, turn: Turn, met: Met) -> None:
        """A match: fire it, hold it, or whatever the gate says that refuses it."""
        identity = self._maker.identify(turn, self._name, met)
        firing = identity.firing
        lane = self.read(turn)
        if firing in turn.firings or turn.get(CellId("held", self._name, firing)) is not None:
            turn.tell(self._name, met.key, Outcome.DUPLICATE, "has this match already")
            return
        lane_key = self._on_lane(turn, met)
        gate, why = self._refusal(lane, lane_key, turn.now)
        if gate is None:
            lane, fired = self._fire(turn, lane, lane_key, met, identity)
            turn.tell(self._name, met.key, Outcome.FIRED, fired_words(fired))
        else:
            entry = Queued(firing, lane_key, met.key, turn.now, gate.name, why)
            lane = self._conflict(turn, lane, gate, met, entry)
        self._write(turn, lane)

    def _conflict(self, turn: Turn, lane: Lane, gate: Gate, met: Met, entry: Queued) -> Lane:
        match gate.conflict:
            case "skip":
                turn.tell(self._name, met.key, _refused(gate), f"skipped: {entry.why}")
                return lane
            case "replace":
                return self._hold(turn, self._make_way(turn, lane, entry.lane_key), gate, met, entry)
            case "coalesce":
                return self._merge(turn, lane, met, entry) or self._hold(turn, lane, gate, met, entry)
            case "approve":
                return self._hold(turn, lane, gate, met, entry._replace(asks=True))
            case "queue":
                return self._hold(turn, lane, gate, met, entry)

    def _hold(self, turn: Turn, lane: Lane, gate: Gate, met: Met, entry: Queued) -> Lane:
        if len(lane.queue) >= MOST_HELD:
            self._refuse(turn, met, entry)
            return lane
        turn.put(CellId("held", self._name, entry.firing), Held(met.parts, met.key, met.opened))
        wanted = "held for approval" if entry.asks else "held"
        turn.tell(self._name, met.key, Outcome.HELD, f"{wanted}: {entry.why}")
        due = lane.due if entry.asks else earliest(lane.due, gate.opens(lane, turn.now))
        return replace(lane, queue=(*lane.queue, entry), due=due)

    def _refuse(self, turn: Turn, met: Met, entry: Queued) -> None:
        error = f"{MOST_HELD} matches of {self._name} are held already, and not more are kept: {entry.why}"
        fired = self._maker.make(turn, self._name, met)
        turn.firings[entry.firing] = fired._replace(error=fired.error or error, tracked=False)
        turn.tell(self._name, met.key, Outcome.ERROR, f"is full: {error}")

    def _merge(self, turn: Turn, lane: Lane, met: Met, entry: Queued) -> Lane | None:
        """Put the events of a match to those of the one that waits; None if there is none."""
        # The newest of them, so that nothing overtakes what stands between.
        mine = (one for one in reversed(lane.queue) if one.lane_key == entry.lane_key)
        waits = next((one for one in mine if not one.asks and not one.approved), None)
        if waits is None:
            return None
        held_id = CellId("held", self._name, waits.firing)
        held = turn.get(held_id)
        if not isinstance(held, Held):
            return None
        parts = held.parts
        for part in met.parts:
            parts = add(parts, part.dependency, part.since(0))
        key = held.match_key if held.match_key == met.key else ""
        turn.put(held_id, Held(parts, key, min(held.opened, met.opened)))
        size = sum(map(len, parts))
        turn.tell(self._name, met.key, Outcome.COALESCED, f"coalesced: {entry.why}; {counted(size, 'event')} wait")
        return lane

    def _make_way(self, turn: Turn, lane: Lane, lane_key: str) -> Lane:
        """Stop what is active and drop what waits in favour of a newer match."""
        for one in lane.queue:
            if one.lane_key == lane_key:
                self._drop_held(turn, one, Outcome.REPLACED, "replaced by a newer match")
        queue = tuple(one for one in lane.queue if one.lane_key != lane_key)
        mine = [one for one in lane.active if one.lane_key == lane_key]
        if any(one.stopping for one in mine):
            return replace(lane, queue=queue)
        oldest = mine[0]
        turn.stop(oldest.firing)
        active = tuple(one._replace(stopping=True) if one is oldest else one for one in lane.active)
        return replace(lane, queue=queue, active=active)

    # --- what goes ---

    def tick(self, turn: Turn) -> None:
        """Time may have opened a gate."""
        lane = self.read(turn)
        if lane.due is not None and lane.due <= turn.now:
            self._write(turn, self._drain(turn, lane))

    def change(self, turn: Turn, lane: Lane) -> None:
        """The lane was changed from outside: whoever may go now goes."""
        self._write(turn, self._drain(turn, lane))

    def ask_again(self, turn: Turn) -> None:
        """The gates are other ones than before: whoever waits is asked as if new, lane keys too."""
        lane = self.read(turn)
        queue: list[Queued] = []
        for one in lane.queue:
            held = turn.get(CellId("held", self._name, one.firing))
            if isinstance(held, Held):
                lane_key = self._on_lane(turn, Met(held.parts, held.match_key, held.opened))
                queue.append(one._replace(lane_key=lane_key, asks=False))
        self.change(turn, replace(lane, queue=tuple(queue)))

    def _drain(self, turn: Turn, lane: Lane) -> Lane:
        left: list[Queued] = []
        busy: set[str] = set()
        stopped: Gate | None = None
        due: datetime | None = None
        queue = lane.queue
        lane = replace(lane, queue=(), due=None)
        for one in queue:
            if one.asks or one.lane_key in busy or (stopped and not (one.approved and stopped.name == "budget")):
                left.append(one)
                continue
            gate, why = self._refusal(lane, one.lane_key, turn.now, approved=one.approved)
            if gate is None:
                lane = self._release(turn, lane, one)
            elif gate.conflict == "skip":
                self._drop_held(turn, one, _refused(gate), f"skipped: {why}")
            elif gate.conflict == "approve":
                left.append(one._replace(gate=gate.name, why=why, asks=True))
            else:
                left.append(one._replace(gate=gate.name, why=why))
                if gate.of_key:
                    busy.add(one.lane_key)
                else:
                    stopped = gate
                    due = earliest(due, gate.opens(lane, turn.now))
        return replace(lane, queue=tuple(left), due=due)

    def _release(self, turn: Turn, lane: Lane, one: Queued) -> Lane:
        held_id = CellId("held", self._name, one.firing)
        held = turn.get(held_id)
        if not isinstance(held, Held):
            turn.decide(
                self._name, one.match_key, Outcome.FORGOTTEN, "the events of this held match are not kept any more"
            )
            return lane
        turn.put(held_id, None)
        met = Met(held.parts, held.match_key, held.opened)
        lane, fired = self._fire(turn, lane, one.lane_key, met, None)
        reason = f"{fired_words(fired)} after {span(turn.now - one.since)}, held by {one.gate}"
        turn.decide(self._name, met.key, Outcome.RELEASED, reason)
        return lane

    def _fire(self, turn: Turn, lane: Lane, lane_key: str, met: Met, identity: Identity | None) -> tuple[Lane, Fired]:
        fired = self._maker.make(turn, self._name, met, identity)
        turn.firings[fired.id] = fired
        if fired.error is not None:
            return lane, fired  # it will not act, so it takes no place
        # The last one always stays: the time since then is what cooldown looks at.
        old = bisect_right(lane.fired, turn.now - self._looks_back)
        times = (*lane.fired[old:], turn.now)
        active = (*lane.active, Active(fired.id, lane_key, turn.now)) if fired.tracked else lane.active
        return replace(lane, fired=times, active=active), fired

    def _drop_held(self, turn: Turn, one: Queued, outcome: Outcome, reason: str) -> None:
        turn.put(CellId("held", self._name, one.firing), None)
        turn.decide(self._name, one.match_key, outcome, f"{reason} (held since {one.since:%Y-%m-%dT%H:%M:%SZ})")

    def reject(self, turn: Turn, lane: Lane, firing: str, why: str) -> Lane:
        """Drop a match that somebody has refused."""
        for one in lane.queue:
            if one.firing == firing:
                self._drop_held(turn, one, Outcome.SKIPPED, why)
        return replace(lane, queue=tuple(one for one in lane.queue if one.firing != firing))

    # --- the cell ---

    def read(self, turn: Turn) -> Lane:
        """The lane as it is now."""
        return cast("Lane | None", turn.get(self._id)) or IDLE

    def _write(self, turn: Turn, lane: Lane) -> None:
        # Not by comparing: a lane may hold very many.
        if lane is not self.read(turn):
            turn.put(self._id, None if lane == IDLE else lane)

    def _refusal(
        self, lane: Lane, lane_key: str, now: datetime, *, approved: bool = False
    ) -> tuple[Gate, str] | tuple[None, str]:
        for gate in self._gates:
            if approved and gate.name == "budget":
                continue
            if why := gate.ask(lane, lane_key, now):
                return gate, f"{gate.name}: {why}"
        return None, ""


def compile_on_lane(read: ReadKey | None, *, by_match_key: bool) -> OnLane:
    """What gives the lane key: read from the newest event of the first dependency that has it; the match's own key
    where that is asked for; "" where there is none."""

    def on_lane(turn: Turn, met: Met) -> str:
        if by_match_key:
            return met.key
        for part in turn.frame.sorted(met.parts) if read is not None else ():
            try:
                return read(turn.content(part.dependency, part.last.event)) if read is not None else ""
            except NoKey:
                continue
            except RetrainError:
                continue  # the event cannot be read any more: the firing will say so
        return ""

    return on_lane


def _refused(gate: Gate) -> Outcome:
    return Outcome.OVER_BUDGET if gate.name == "budget" else Outcome.SKIPPED


def fired_words(fired: Fired) -> str:
    return "fired" if fired.error is None else f"fired, but its action cannot be made: {fired.error}"
