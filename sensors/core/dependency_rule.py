"""A dependency, compiled: what an event must pass until the triggers hear of it.

In this order: transform and filters, the key, dedupe, its silence (then that is all that is heard), its own window.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from retrain.errors import ConfigError
from retrain.events import JsonValue
from sensors.core.addresses import Address, Matches, compile_address
from sensors.core.cells import Batch, CellId, Seen
from sensors.core.chain import Member
from sensors.core.deadline import Deadline, alert, give_up, late_words
from sensors.core.firing import depth_of
from sensors.core.join import add
from sensors.core.keys import NoKey, ReadKey, compile_key
from sensors.core.outcome import Decision, Outcome
from sensors.core.silence import SilenceRule
from sensors.core.telling import span
from sensors.core.trigger_rule import TriggerRule
from sensors.core.turn import Turn
from sensors.core.window import Rule, Told, earliest
from sensors.dependency_spec import Dependency
from sensors.filtering.content import Content
from sensors.filtering.filters import Judge, Verdict, compile_dependency


class DependencyRule:
    """A dependency. `triggers` hear of what it lets through. `by`: what tells its events apart, by default."""

    def __init__(self, dependency: Dependency, *, ours: bool) -> None:
        """Compile; `triggers` are set when they are compiled too.

        Raises:
            ConfigError: something in it is wrong.
        """
        self.name = dependency.name
        self.address: Address | Matches = compile_address(dependency.event_source_name, dependency.event_name)
        self.judge: Judge = compile_dependency(dependency, ours=ours)
        self.triggers: tuple[TriggerRule, ...] = ()
        self._read_key: ReadKey | None = None if dependency.key is None else compile_key(dependency.key)
        self._dedupe: ReadKey | None = None
        self._ttl = timedelta()
        if dependency.dedupe is not None:
            self._dedupe = self._read_key if dependency.dedupe.key is None else compile_key(dependency.dedupe.key)
            self._ttl = dependency.dedupe.ttl
            if self._dedupe is None:
                raise ConfigError(f"dependency {self.name!r}: dedupe needs a key, its own or the dependency's")
        self.by = self._dedupe
        self.silence = None if dependency.absent is None else SilenceRule(self.name, dependency.absent)
        self._rule: Rule | None = None
        self._deadline = Deadline(None, "drop")
        if dependency.window is not None:
            if dependency.absent is not None:
                raise ConfigError(f"dependency {self.name!r}: window and absent exclude each other")
            self._rule = Rule(dependency.window, {self.name: self.by})
            self._deadline = Deadline(dependency.window.within, dependency.window.on_timeout)

    @property
    def has_key(self) -> bool:
        """Whether its events have a key."""
        return self._read_key is not None

    @property
    def batches(self) -> bool:
        """Whether its events come to the triggers in batches."""
        return self._rule is not None

    # --- an event ---

    def take(self, turn: Turn, verdict: Verdict) -> None:
        """An event that came to its address, and what its filters say of it."""
        if not verdict.passed:
            turn.decisions.append(refused(self.name, verdict))
            return
        key = ""
        content = verdict.content
        turn.keep(self.name, content)
        if self._read_key is not None or self._dedupe is not None:
            try:
                key = "" if self._read_key is None else self._read_key(content)
                duplicate = None if self._dedupe is None else self._seen(turn, self._dedupe(content))
            except NoKey as error:
                turn.decisions.append(Decision(self.name, Outcome.ERROR, str(error), verdict.checks))
                return
            if duplicate is not None:
                turn.decisions.append(Decision(self.name, Outcome.DUPLICATE, duplicate, verdict.checks, key=key))
                return
        turn.told = []
        event = turn.event
        depth = depth_of(event) if event is not None and event.extensions else 0
        member = Member(turn.key, turn.now, None, depth)
        if self.silence is not None:
            turn.told.append(self.silence.hear(turn, member.event, key))
        else:
            self.collect(turn, member, key)
        reason = "; ".join(turn.told) or "no trigger waits for it"
        turn.told = None
        turn.decisions.append(Decision(self.name, Outcome.PASSED, reason, verdict.checks, key=key))

    def come_silent(self, turn: Turn, event_key: str) -> None:
        """The event that tells of its silence: it is the dependency's event, and no filter is asked."""
        turn.told = []
        self.deliver(turn, (Member(turn.key, turn.now),), event_key)
        reason = "; ".join(turn.told) or "no trigger waits for it"
        turn.told = None
        turn.decisions.append(Decision(self.name, Outcome.PASSED, reason, key=event_key))

    def key_of(self, content: Content) -> str:
        """The key of an event.

        Raises:
            NoKey: it has none, though it should.
        """
        return "" if self._read_key is None else self._read_key(content)

    def _seen(self, turn: Turn, key: str) -> str | None:
        """Why it is a duplicate; None if it counts, which is noted."""
        cell_id = CellId("seen", self.name, key)
        before = cast("Seen | None", turn.get(cell_id))
        if before is not None and turn.now < before.due:
            return f"of event {before.name} (key {key!r}), within {span(self._ttl)}"
        name = "" if turn.event is None else turn.event.id
        turn.put(cell_id, Seen(turn.key, name, turn.now + self._ttl))
        return None

    # --- its window ---

    def collect(self, turn: Turn, member: Member, key: str) -> None:
        """An event that counts: into the window, or to the triggers at once."""
        if self._rule is None:
            self.deliver(turn, (member,), key)
            return
        rule = self._rule
        cell_id = CellId("batch", self.name, key)
        before = cast("Batch | None", turn.get(cell_id))
        told: tuple[Told, ...] = ()
        if rule.reads:
            told = (rule.read(turn.content(self.name, member.event), self.name, member.event),)
            member = member._replace(mark=told[0].mark)
        opened = turn.now if before is None else before.opened
        parts = add(() if before is None else before.parts, self.name, (member,))
        due = earliest(self._deadline.due(opened), rule.ripens(opened, turn.now))
        cell = Batch(parts, opened, turn.now, due, *rule.count_in(before, told))
        if rule.is_complete(cell):
            turn.put(cell_id, None)
            self.deliver(turn, cell.parts[0].since(0), key)
            return
        turn.put(cell_id, cell)
        note = f"; {told[0].note}" if told and told[0].note else ""
        turn.tell_dependency(self.name, key, f"its window is open: {rule.progress(cell)}{note}")

    def deliver(self, turn: Turn, members: Sequence[Member], key: str) -> None:
        """To every trigger that names it."""
        for trigger in self.triggers:
            trigger.offer(turn, self.name, members, key)

    def tick(self, turn: Turn, cell_id: CellId, cell: Batch) -> None:
        """The time of its window has come."""
        rule = self._rule
        if rule is None or cell.due is None or cell.due > turn.now:
            return
        deadline, key = self._deadline, cell_id.key
        members = cell.parts[0].since(0)
        late = deadline.is_late(cell.opened, turn.now)
        if rule.is_ripe(cell, turn.now) or (late and deadline.on_timeout == "fire"):
            turn.put(cell_id, None)
            self.deliver(turn, members, key)
        elif late and deadline.within is not None:
            turn.put(cell_id, None)
            why = late_words(cell.opened, deadline.within)
            told: dict[str, JsonValue] = give_up(turn, ("", self.name, key), cell.parts, (), why)
            if deadline.on_timeout == "alert":
                alert(turn, told, cell.parts, cell.opened, deadline.within)

    def progress(self, cell: Batch) -> str:
        """How far its window is, in words."""
        return "" if self._rule is None else self._rule.progress(cell)


def refused(name: str, verdict: Verdict) -> Decision:
    """What becomes of an event that the filters do not let through."""
    outcome = Outcome.ERROR if verdict.failed else Outcome.FILTERED
    return Decision(name, outcome, verdict.reason, verdict.checks)
