"""A sensor whose spec has changed while it holds state: what keeps its meaning stays, the rest is judged again.

The events in the joins and windows of changed parts go through the new rules in the order and at the times at which
they came; timers run up to now. So one rule covers a renamed dependency, another key, another filter, a shorter window.
An event that has passed a dependency's own window once does not go into it again. What meets then, fires now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from retrain.errors import RetrainError
from retrain.events import Event, EventKey
from sensors.core.addresses import DEPENDENCY, Address, address_of, is_silence
from sensors.core.cells import TRIGGER as OF_TRIGGER
from sensors.core.cells import Batch, Cell, CellId, Join, Silence, parts_of
from sensors.core.chain import Chain, Member
from sensors.core.dependency_rule import DependencyRule
from sensors.core.firing import depth_of
from sensors.core.outcome import Decision, Load, Outcome, Step
from sensors.core.shape import Shape, table_of
from sensors.core.silence import silent_key
from sensors.core.timetable import Timetable
from sensors.core.trigger_rule import TriggerRule
from sensors.core.turn import Frame, Met, Turn
from sensors.filtering.content import Content


@dataclass(frozen=True, slots=True)
class Rules:
    """A compiled sensor, as far as adopting needs it. `concerned`: the dependencies of an address; `tick`: what a timer
    does."""

    frame: Frame
    dependencies: Mapping[str, DependencyRule]
    triggers: Mapping[str, TriggerRule]
    shape: Shape
    concerned: Callable[[Address], Sequence[DependencyRule]]
    tick: Callable[[Turn, CellId, Cell], None]


class _Again(NamedTuple):
    """Events to be judged again: one, or a batch. `trigger`: for which alone; None for all, out of a window."""

    at: datetime
    trigger: str | None
    members: tuple[Member, ...]


def adopt(
    rules: Rules, previous: Shape | None, cells: Iterable[tuple[CellId, Cell]], now: datetime, load: Load
) -> Step:
    """What becomes of the cells that another spec has made; `previous` is its shape, None where that is not known."""
    return _Adoption(rules, previous, dict(cells), now, load).run()


class _Adoption:
    def __init__(
        self, rules: Rules, previous: Shape | None, cells: Mapping[CellId, Cell], now: datetime, load: Load
    ) -> None:
        self._rules = rules
        self._previous = previous
        self._before = cells
        self._now = now
        self._load = load
        self._again: list[_Again] = []
        self._done: set[tuple[str | None, EventKey]] = set()
        # What the new rules said of each event that they let in; and the events that are on record as over.
        self._said: dict[tuple[str | None, EventKey], str] = {}
        self._over: set[EventKey] = set()
        self._fresh = Timetable()
        self._changes: dict[CellId, Cell | None] = {}
        self._decisions: list[Decision] = []
        self._emitted: list[Event] = []
        self._met: list[tuple[str, Met]] = []
        self._retired: list[CellId] = []

    def run(self) -> Step:
        """Sort the cells, judge again what is not the same, and go on from there."""
        for cell_id, cell in self._before.items():
            self._sort(cell_id, cell)
        for one in sorted(self._again, key=lambda one: (one.at, one.members[0].event)):
            self._timers(min(one.at, self._now))
            self._judge(one)
        self._timers(self._now)
        self._tell_lost()
        last = self._turn(self._now)
        self._go_on(last)
        changes = self._changes | self._fresh.cells | last.changes
        return Step(
            (*self._decisions, *last.decisions),
            tuple(last.firings.values()),
            {one: cell for one, cell in changes.items() if cell != self._before.get(one)},
            (*self._emitted, *last.emitted),
            last.stops,
            tuple(self._retired),
        )

    # --- what stays ---

    def _same(self, table: str, name: str) -> bool:
        digest = table_of(self._rules.shape, table).get(name)
        return digest is not None and digest == table_of(self._previous, table).get(name)

    def _sort(self, cell_id: CellId, cell: Cell) -> None:
        part = cell_id.part
        if cell_id.kind in ("join", "count", "lane", "held"):
            self._sort_of_trigger(cell_id, cell)
        elif isinstance(cell, Batch):
            if not self._same("dependencies", part):
                self._changes[cell_id] = None
                self._again += [_Again(one.at, None, (one,)) for chain in cell.parts for one in chain]
        elif isinstance(cell, Silence):
            self._sort_silence(cell_id, cell)
        elif not self._same("dedupes", part):
            self._changes[cell_id] = None
            # A dependency that was renamed knows what it has seen.
            digest = table_of(self._previous, "dedupes").get(part)
            for name, new in table_of(self._rules.shape, "dedupes").items():
                if new == digest and name not in table_of(self._previous, "dedupes"):
                    self._changes[cell_id._replace(part=name)] = cell

    def _sort_of_trigger(self, cell_id: CellId, cell: Cell) -> None:
        if cell_id.part not in self._rules.triggers:
            self._retired.append(cell_id)
        elif isinstance(cell, Join) and not self._same("triggers", cell_id.part):
            self._changes[cell_id] = None
            for chain in cell.parts:
                self._again += self._groups(cell_id.part, chain)

    def _groups(self, trigger: str, chain: Chain) -> Iterable[_Again]:
        """Where the dependency has a window, what came together stays together."""
        dependency = self._rules.dependencies.get(chain.dependency)
        if dependency is not None and dependency.batches:
            yield _Again(chain.last.at, trigger, tuple(chain))
        else:
            yield from (_Again(one.at, trigger, (one,)) for one in chain)

    def _sort_silence(self, cell_id: CellId, cell: Silence) -> None:
        part, rules = cell_id.part, self._rules
        if part.startswith(OF_TRIGGER) and part.removeprefix(OF_TRIGGER) not in rules.triggers:
            self._retired.append(cell_id)
            return
        owner = rules.triggers.get(part.removeprefix(OF_TRIGGER)) or rules.dependencies.get(part)
        keyed = isinstance(owner, DependencyRule) and owner.has_key
        if owner is None or owner.silence is None or keyed != (cell_id.key != ""):
            self._changes[cell_id] = None
        elif not self._same("silences", part):
            turn = self._turn(self._now)
            owner.silence.arm_again(turn, cell_id.key, cell)
            self._changes |= turn.changes

    # --- what is judged again ---

    def _turn(self, now: datetime) -> Turn:
        return Turn(self._rules.frame, self._look, self._load, now)

    def _look(self, cell_id: CellId) -> Cell | None:
        if (cell := self._fresh.get(cell_id)) is not None:
            return cell
        return self._changes[cell_id] if cell_id in self._changes else self._before.get(cell_id)

    def _judge(self, again: _Again) -> None:
        turn = self._turn(min(again.at, self._now))
        turn.deferred = self._met
        groups: dict[tuple[str, str], list[Member]] = {}
        for member in again.members:
            # One event may stand at two dependencies of a trigger: it is judged for both at once.
            if (again.trigger, member.event) in self._done:
                continue
            self._done.add((again.trigger, member.event))
            for dependency, key, kept in self._judge_one(again.trigger, member):
                groups.setdefault((dependency, key), []).append(kept)
        turn.told = []
        for (name, key), members in groups.items():
            if again.trigger is not None:
                self._rules.triggers[again.trigger].offer(turn, name, members, key)
            else:
                for member in members:
                    self._rules.dependencies[name].collect(turn, member, key)
        said = "; ".join(turn.told)
        self._said |= {(again.trigger, member.event): said for members in groups.values() for member in members}
        turn.told = None
        self._take(turn)

    def _judge_one(self, trigger: str | None, member: Member) -> Iterable[tuple[str, str, Member]]:
        try:
            event = self._load(member.event)
        except RetrainError as error:
            self._forget(None, trigger, member, str(error))
            return
        kept = member._replace(mark=None, depth=depth_of(event))
        targets = self._targets(trigger, event)
        if not targets:
            source, name = address_of(event)
            self._forget(None, trigger, member, f"no dependency of it takes events {name!r} of {source!r} any more")
        for one in targets:
            try:
                if one.silence is not None:
                    yield one.name, silent_key(event), kept
                    continue
                verdict = one.judge(Content(event))
                if not verdict.passed:
                    self._forget(one.name, trigger, member, verdict.reason)
                    continue
                yield one.name, one.key_of(verdict.content), kept
            except RetrainError as error:
                self._forget(one.name, trigger, member, str(error))

    def _targets(self, trigger: str | None, event: Event) -> list[DependencyRule]:
        names = None if trigger is None else self._rules.triggers[trigger].names
        found = list(self._rules.concerned(address_of(event)))
        if is_silence(event, self._rules.frame.name) and DEPENDENCY in event.extensions:
            silent = self._rules.dependencies.get(str(event.extensions.get(DEPENDENCY)))
            found = [silent] if silent is not None and silent.silence is not None else []
        else:
            found = [one for one in found if one.silence is None]
        return [one for one in found if names is None or one.name in names]

    def _forget(self, dependency: str | None, trigger: str | None, member: Member, reason: str) -> None:
        self._decisions.append(Decision(dependency, Outcome.FORGOTTEN, reason, trigger=trigger, event=member.event))

    def _timers(self, until: datetime) -> None:
        for due, cell_id in self._fresh.due_until(until):
            turn = self._turn(due)
            turn.deferred = self._met
            cell = self._fresh.cells[cell_id]
            self._rules.tick(turn, cell_id, cell)
            if any(one.outcome is Outcome.EXPIRED for one in turn.decisions):
                self._over |= {one.event for part in parts_of(cell) for one in part}
            self._take(turn)

    def _tell_lost(self) -> None:
        """Events that the new rules let in and did not keep: another took their place, or they are out of order."""
        kept = {one.event for cell in self._fresh.cells.values() for part in parts_of(cell) for one in part}
        kept |= {one.event for _, met in self._met for part in met.parts for one in part} | self._over
        for (trigger, event), said in self._said.items():
            if event not in kept:
                reason = f"not kept: {said or 'no trigger waits for it'}"
                self._decisions.append(Decision(None, Outcome.FORGOTTEN, reason, trigger=trigger, event=event))

    def _take(self, turn: Turn) -> None:
        self._fresh.put(turn.changes)
        self._changes |= dict.fromkeys(turn.changes)
        self._decisions += turn.decisions
        self._emitted += turn.emitted

    # --- what goes on now ---

    def _go_on(self, turn: Turn) -> None:
        for name, met in self._met:
            self._rules.triggers[name].meet(turn, met)
        for name, trigger in self._rules.triggers.items():
            lane = CellId("lane", name, "")
            if not self._same("limits", name) and lane in self._before:
                trigger.lane.ask_again(turn)
            if trigger.silence is not None and not self._same("silences", OF_TRIGGER + name):
                _arm(turn, OF_TRIGGER + name, trigger)
        for name, dependency in self._rules.dependencies.items():
            if dependency.silence is not None and not dependency.has_key and not self._same("silences", name):
                _arm(turn, name, dependency)


def _arm(turn: Turn, part: str, owner: TriggerRule | DependencyRule) -> None:
    if owner.silence is not None and turn.get(CellId("silence", part, "")) is None:
        owner.silence.arm(turn)
