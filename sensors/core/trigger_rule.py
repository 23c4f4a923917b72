"""A trigger, compiled: what becomes of the events that its dependencies let through.

In this order: the limit that drops, the trigger's own silence, window or join, every N-th, the gates, the firing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from retrain.errors import ConfigError
from retrain.expressions import Condition, all_of, compile_condition
from sensors.core.cells import TRIGGER, CellId, Count, Join
from sensors.core.chain import Chain, Member
from sensors.core.deadline import Deadline, Reset
from sensors.core.firing import CompileTrigger, Maker
from sensors.core.gates import (
    Gate,
    Rate,
    budget_gate,
    concurrency_gate,
    cooldown_gate,
    schedule_gate,
    throttle_gate,
)
from sensors.core.join import Alone, Collector, Newest, Ordered, Windowed
from sensors.core.keys import ReadKey, compile_key
from sensors.core.lane import LaneRule, OnLane, compile_on_lane, fired_words
from sensors.core.lifecycle import Lifecycle
from sensors.core.outcome import Outcome
from sensors.core.silence import SilenceRule
from sensors.core.turn import Met, Turn
from sensors.core.window import Rule
from sensors.decision_spec import Concurrency
from sensors.trigger_spec import Trigger

JOIN_KEY = "key"
"""Alone as the key of `concurrency`: the key of the match."""


class TriggerRule:
    """A trigger. `names`: the dependencies that it is about; `lane` where it has limits."""

    def __init__(
        self,
        trigger: Trigger,
        order: Sequence[str],
        by: Mapping[str, ReadKey | None],
        priority: int,
        compile_one: CompileTrigger,
    ) -> None:
        """Compile. `order`: all dependencies; `by`: what tells the events of one apart; `compile_one`: as `Maker`.

        Raises:
            ConfigError: something in it is wrong.
        """
        if trigger.template is None:
            raise ConfigError("a trigger has a template")
        self.name = trigger.template.name
        self._every = trigger.every if trigger.every is not None and trigger.every > 1 else None
        self._collector = _compile_collector(trigger, self.name, order, by)
        self.names = self._collector.names
        self.silence = None if trigger.absent is None else SilenceRule(TRIGGER + self.name, trigger.absent)
        gates, drop = _compile_gates(trigger)
        tracked = any(gate.name == "concurrency" for gate in gates) or _spends(trigger)
        own = trigger.priority if trigger.priority is not None else priority
        self._maker = Maker(trigger, compile_one, priority=own, tracked=tracked)
        # It is always there, for what a lane of an older spec holds; matches go through it only if it limits them.
        self.lane = LaneRule(self.name, self._maker, gates, drop, _compile_on_lane(trigger.concurrency))
        self.lifecycle = Lifecycle(self.lane, trigger.budget if _spends(trigger) else None)
        self.limited = bool(gates) or drop is not None

    def offer(self, turn: Turn, dependency: str, members: Sequence[Member], key: str) -> None:
        """Events that came for a dependency: one, or all of its window."""
        if self.silence is not None:
            turn.tell(self.name, key, Outcome.PASSED, self.silence.hear(turn, members[-1].event, ""))
            return
        # What an older spec has let in stays in.
        if self.limited and turn.deferred is None and (why := self.lane.dropped(turn)):
            turn.tell(self.name, key, Outcome.THROTTLED, f"throttled: {why}")
            return
        found = self._collector.take(turn, dependency, members, key)
        if isinstance(found, str):
            turn.tell(self.name, key, Outcome.WAITING, found)
        else:
            self.meet(turn, found)

    def tick(self, turn: Turn, cell_id: CellId, cell: Join) -> None:
        """The time of a join has come."""
        if cell.due is None or cell.due > turn.now:
            return
        met = self._collector.tick(turn, cell_id, cell)
        if met is None:
            return
        if self.limited and turn.deferred is None and (why := self.lane.dropped(turn)):
            size = sum(map(len, met.parts))
            turn.decide(self.name, met.key, Outcome.THROTTLED, f"throttled, and {size} events dropped: {why}")
        else:
            self.meet(turn, met)

    def silent(self, turn: Turn, member: Member, key: str) -> None:
        """The event that tells that all its dependencies are silent."""
        self.meet(turn, Met((Chain("", (member,)),), key, member.at))

    def meet(self, turn: Turn, met: Met) -> None:
        """Events met: on to every N-th, the gates and the firing."""
        if turn.deferred is not None:
            turn.deferred.append((self.name, met))
            return
        if self._every is not None and not self._is_turn(turn, met.key, self._every):
            return
        if self.limited:
            self.lane.arrive(turn, met)
            return
        identity = self._maker.identify(turn, self.name, met)
        # One event may pass for two sides of an `||`: that is one firing, as its id says.
        fired = turn.firings.get(identity.firing)
        if fired is None:
            fired = turn.firings[identity.firing] = self._maker.make(turn, self.name, met, identity)
        turn.tell(self.name, met.key, Outcome.FIRED, fired_words(fired))

    def _is_turn(self, turn: Turn, key: str, every: int) -> bool:
        cell_id = CellId("count", self.name, key)
        cell = cast("Count | None", turn.get(cell_id))
        number = 1 if cell is None else cell.n + 1
        if number >= every:
            turn.put(cell_id, None)
            return True
        turn.put(cell_id, Count(number))
        turn.tell(self.name, key, Outcome.SKIPPED, f"skipped: {number} of {every}")
        return False

    def need(self, cell: Join) -> list[str]:
        """Names of dependencies that a join lacks."""
        return self._collector.need(cell)

    def progress(self, cell: Join) -> str:
        """How far a join is, in words."""
        return self._collector.progress(cell)


def _compile_collector(
    trigger: Trigger, name: str, order: Sequence[str], by: Mapping[str, ReadKey | None]
) -> Collector:
    condition = compile_names(trigger, order)
    resets = () if trigger.template is None else trigger.template.conditions_reset
    reset = Reset(resets) if resets else None
    if trigger.sequence is not None:
        sequence = trigger.sequence
        if trigger.window is not None:
            raise ConfigError("sequence and window exclude each other")
        return Ordered(name, sequence.order, Deadline(sequence.within, sequence.on_timeout, reset))
    if trigger.window is not None:
        window = trigger.window
        rule = Rule(window, {one: by.get(one) for one in condition.names})
        return Windowed(name, condition, rule, Deadline(window.within, window.on_timeout, reset))
    if not condition.joins:
        return Alone(condition)
    return Newest(name, condition, Deadline(None, "drop", reset))


def compile_names(trigger: Trigger, order: Sequence[str]) -> Condition:
    """The condition of a trigger; that of a sequence is all of it.

    Raises:
        ConfigError: it is none, or names a dependency that is not there.
    """
    written = "" if trigger.template is None else trigger.template.conditions.strip()
    if trigger.sequence is not None:
        if written:
            raise ConfigError("sequence and conditions exclude each other")
        if len(set(trigger.sequence.order)) < len(trigger.sequence.order):
            raise ConfigError("a dependency stands in a sequence once")
        condition = all_of(trigger.sequence.order)
    else:
        condition = compile_condition(written) if written else all_of(order)
    for one in condition.names:
        if one not in order:
            raise ConfigError(f"condition {condition.text!r}: unknown dependency {one!r}")
    return condition


def _compile_gates(trigger: Trigger) -> tuple[tuple[Gate, ...], Rate | None]:
    """In the order in which they are asked; and the limit that lets no event in."""
    gates: list[Gate] = []
    drop = None
    if trigger.concurrency is not None:
        gates.append(concurrency_gate(trigger.concurrency))
    if trigger.schedule is not None:
        gates.append(schedule_gate(trigger.schedule))
    if trigger.cooldown is not None:
        gates.append(cooldown_gate(trigger.cooldown))
    if trigger.rate_limit is not None:
        rate = Rate(trigger.rate_limit)
        if trigger.rate_limit.mode == "drop":
            drop = rate
        else:
            gates.append(throttle_gate(rate))
    if trigger.budget is not None:
        gates.append(budget_gate(trigger.budget))
    return tuple(gates), drop


def _compile_on_lane(written: Concurrency | None) -> OnLane:
    if written is None or written.key is None:
        return compile_on_lane(None, by_match_key=False)
    if written.key == (JOIN_KEY,):
        return compile_on_lane(None, by_match_key=True)
    return compile_on_lane(compile_key(written.key), by_match_key=False)


def _spends(trigger: Trigger) -> bool:
    return trigger.budget is not None and trigger.budget.runs is None
