"""A Sensor compiled from its spec: what concerns it, and what comes of an event or of a timer. No I/O.

`step` and `tick` are the whole decision: the cells that they ask for and one event (or one cell whose time has come)
in, decisions, firings and changed cells out. Same input, same output; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Literal

import orjson

from retrain.errors import ConfigError, Permanent
from retrain.events import OWN_SOURCE, Event
from sensors.actions.engine import for_engine
from sensors.actions.render import NO_SOURCES, Render, compile_trigger
from sensors.core.addresses import ABSENT, DEPENDENCY, TRIGGER, Address, Matches, address_of, owner_of
from sensors.core.cells import TRIGGER as OF_TRIGGER
from sensors.core.cells import Batch, Cell, CellId, Join, Silence
from sensors.core.chain import Member
from sensors.core.changes import Rules, adopt
from sensors.core.dependency_rule import DependencyRule, refused
from sensors.core.firing import depth_of, firing_id
from sensors.core.outcome import Decision, Fired, Load, Look, Outcome, Step, Waiting
from sensors.core.shape import Shape, merge, shape_of, without_foreign
from sensors.core.silence import silent_key
from sensors.core.trigger_rule import TriggerRule
from sensors.core.turn import Frame, Turn
from sensors.core.waiting import waiting_of
from sensors.filtering.content import Content
from sensors.filtering.transform import compile_transform
from sensors.objects.sources import Sources
from sensors.spec import Mode, SensorDocument
from sensors.trigger_spec import Trigger

__all__ = [
    "UNMATCHED",
    "Address",
    "Decision",
    "Fired",
    "Load",
    "Look",
    "Outcome",
    "Sensor",
    "Shape",
    "Step",
    "Waiting",
    "address_of",
    "depth_of",
    "firing_id",
]

MOST_ADDRESSES = 4096
"""Addresses of which is remembered which globs match them."""

UNMATCHED = Step((Decision(None, Outcome.UNMATCHED, "no dependency waits for this source and name"),))


def _compile(trigger: Trigger, *, sources: Sources, ours: bool, engine: str | None) -> Render:
    return for_engine(compile_trigger(trigger, sources, ours=ours), engine)


class Sensor:
    """A compiled Sensor. `digest` changes with its spec; `start` says where in the log it begins. `addresses` and
    `matchers` say which events concern it, besides those of which it is the owner (addresses.py)."""

    def __init__(
        self, document: SensorDocument, *, manifests: str = "manifests", sources: Sources = NO_SOURCES
    ) -> None:
        """Compile. `manifests`: the directory in which firings find the files that name all their events; `sources`:
        who reads the objects of triggers that are not written in the manifest.

        Raises:
            ConfigError: something in it is wrong or not built; `check` finds all of that and says where.
        """
        self.name = document.name
        self.digest = _digest(document)
        self.mode: Mode = document.mode
        document = without_foreign(document)
        spec = document.spec
        self.start: Literal["now", "earliest"] | datetime = spec.start or "now"
        # The last of several with one name counts, as upstream has it.
        written = {one.name: one for one in spec.dependencies}
        self._dependencies = {name: DependencyRule(one, ours=document.ours) for name, one in written.items()}
        order = tuple(written)
        by = {name: one.by for name, one in self._dependencies.items()}
        self._triggers: dict[str, TriggerRule] = {}
        compile_one = partial(_compile, sources=sources, ours=document.ours, engine=document.engine)
        for one in spec.triggers:
            rule = TriggerRule(one, order, by, spec.priority or 0, compile_one)
            if rule.name in self._triggers:
                raise ConfigError(f"several triggers are named {rule.name!r}")
            self._triggers[rule.name] = rule
        self._bind()
        transforms = {name: made for name, one in written.items() if (made := compile_transform(one)) is not None}
        places = {name: place for place, name in enumerate(order)}
        shadow = self.mode == "shadow"
        silent = frozenset(name for name, one in self._dependencies.items() if one.silence is not None)
        self._frame = Frame(self.name, places, transforms, silent, shadow, manifests)
        self._shape = shape_of(document, {name: one.names for name, one in self._triggers.items()})
        self._index()

    def _bind(self) -> None:
        for trigger in self._triggers.values():
            keyed = {name: self._dependencies[name].has_key for name in trigger.names}
            if len(set(keyed.values())) > 1:
                with_key = ", ".join(name for name, has in keyed.items() if has)
                raise ConfigError(f"trigger {trigger.name!r}: {with_key} have a key, and the others have none")
        for dependency in self._dependencies.values():
            dependency.triggers = tuple(one for one in self._triggers.values() if dependency.name in one.names)

    def _index(self) -> None:
        exact: dict[Address, tuple[DependencyRule, ...]] = {}
        globs: list[tuple[Matches, DependencyRule]] = []
        for one in self._dependencies.values():
            if isinstance(one.address, tuple):
                exact[one.address] = (*exact.get(one.address, ()), one)
            else:
                globs.append((one.address, one))
        self._exact = exact
        self._globs = globs
        self._resolved: dict[Address, tuple[DependencyRule, ...]] = {} if globs else exact

    # --- what concerns it ---

    @property
    def addresses(self) -> frozenset[Address]:
        """The events that concern it, as far as they are named without `*` and `?`."""
        return frozenset(self._exact)

    @property
    def matchers(self) -> tuple[Matches, ...]:
        """What tells of any other address whether its events concern it."""
        return tuple(matches for matches, _ in self._globs)

    def _concerned(self, address: Address) -> tuple[DependencyRule, ...]:
        found = self._resolved.get(address)
        if found is not None or not self._globs:
            return found or ()
        matched = {one.name for matches, one in self._globs if matches(address)}
        matched.update(one.name for one in self._exact.get(address, ()))
        found = tuple(one for name, one in self._dependencies.items() if name in matched)
        if len(self._resolved) >= MOST_ADDRESSES:
            self._resolved.clear()
        self._resolved[address] = found
        return found

    # --- the decision ---

    def step(self, look: Look, event: Event, now: datetime, load: Load) -> Step:
        """What comes of an event of the log that arrived `now`.

        `look` and `load` are asked only for what the event concerns.
        """
        concerned = self._concerned((event.source, event.subject or ""))
        own = event.source == OWN_SOURCE and owner_of(event) == self.name
        if not own:
            if not concerned:
                return UNMATCHED
            if len(concerned) == 1:
                # Most events are refused by a filter: nothing is set up for them.
                verdict = concerned[0].judge(Content(event))
                if not verdict.passed:
                    return Step((refused(concerned[0].name, verdict),))
                turn = Turn(self._frame, look, load, now, event)
                concerned[0].take(turn, verdict)
                return turn.step()
        turn = Turn(self._frame, look, load, now, event)
        if own:
            self._take_own(turn, event)
        content = Content(event)
        for dependency in concerned:
            dependency.take(turn, dependency.judge(content))
        return turn.step()

    def _take_own(self, turn: Turn, event: Event) -> None:
        """What the platform tells of this sensor's own firings and silences."""
        if event.subject == ABSENT:
            self._take_silence(turn, event)
            return
        trigger = self._triggers.get(str(event.extensions.get(TRIGGER)))
        if trigger is not None:
            trigger.lifecycle.take(turn, event)

    def _take_silence(self, turn: Turn, event: Event) -> None:
        key = silent_key(event)
        dependency = self._dependencies.get(str(event.extensions.get(DEPENDENCY)))
        trigger = self._triggers.get(str(event.extensions.get(TRIGGER)))
        if dependency is not None and dependency.silence is not None:
            dependency.come_silent(turn, key)
        elif trigger is not None and trigger.silence is not None:
            trigger.silent(turn, Member(turn.key, turn.now), key)

    def tick(self, look: Look, cell: CellId, now: datetime, load: Load) -> Step:
        """What comes of it that the time of a cell has come. Of a cell that is not due: nothing."""
        turn = Turn(self._frame, look, load, now)
        self._tick(turn, cell, look(cell))
        return turn.step()

    def _tick(self, turn: Turn, cell_id: CellId, cell: Cell | None) -> None:
        if cell is None or cell.due is None or cell.due > turn.now:
            return
        trigger, dependency = self._triggers.get(cell_id.part), self._dependencies.get(cell_id.part)
        match cell:
            case Batch() if dependency is not None:
                dependency.tick(turn, cell_id, cell)
            case Join() if trigger is not None:
                trigger.tick(turn, cell_id, cell)
            case Silence():
                self._tick_silence(turn, cell_id, cell)
            case _ if cell_id.kind == "lane" and trigger is not None:
                trigger.lane.tick(turn)
            case _ if cell_id.kind == "seen":
                turn.put(cell_id, None)
            case _:
                raise Permanent(f"cell {cell_id} is of no part of sensor {self.name}")

    def _tick_silence(self, turn: Turn, cell_id: CellId, cell: Silence) -> None:
        whose = self._triggers.get(cell_id.part.removeprefix(OF_TRIGGER)) or self._dependencies.get(cell_id.part)
        if whose is None or whose.silence is None:
            turn.put(cell_id, None)
        else:
            whose.silence.tick(turn, cell_id, cell)

    def begin(self, now: datetime) -> Step:
        """What comes of it that the sensor is here for the first time: silence begins to count."""
        turn = Turn(self._frame, lambda _: None, _no_events, now)
        for one in (*self._dependencies.values(), *self._triggers.values()):
            # By key there is silence only after something was heard.
            if one.silence is not None and not (isinstance(one, DependencyRule) and one.has_key):
                one.silence.arm(turn)
        return turn.step()

    def over(self, look: Look, trigger: str, firings: Iterable[str], now: datetime, load: Load) -> Step:
        """What comes of it that these firings are over, of which no event will tell: they leave the lane."""
        turn = Turn(self._frame, look, load, now)
        if (rule := self._triggers.get(trigger)) is not None:
            rule.lifecycle.over(turn, set(firings))
        return turn.step()

    # --- what waits ---

    def waiting(
        self,
        cells: Iterable[tuple[CellId, Cell]],
        now: datetime,  # noqa: ARG002 -- what waits is shown as of now, which so far needs no clock
    ) -> list[Waiting]:
        """What has a part of what it needs, or is held back, by trigger and key."""
        return waiting_of(self._frame, self._triggers, self._dependencies, cells)

    # --- another spec ---

    def shape(self, previous: Shape | None = None) -> Shape:
        """What the cells rest on, to be kept with them; with that of parts that are gone, since they may come back."""
        return merge(self._shape, previous)

    def owns(self, cell: CellId) -> bool:
        """Whether the part that a cell belongs to is there. A cell that was set aside is taken back then."""
        part = cell.part
        if cell.kind in ("seen", "batch"):
            return part in self._dependencies
        if cell.kind == "silence":
            return part in self._dependencies or part.removeprefix(OF_TRIGGER) in self._triggers
        return part in self._triggers

    def adopt(self, previous: Shape | None, cells: Iterable[tuple[CellId, Cell]], now: datetime, load: Load) -> Step:
        """What becomes of the cells that another spec has made. `previous`: the shape that was kept with them.

        Parts that are the same keep their cells. The events of the others are judged again, at the times at which they
        came; what does not pass any more is `forgotten`, with the reason.
        """
        rules = Rules(self._frame, self._dependencies, self._triggers, self._shape, self._concerned, self._tick)
        return adopt(rules, previous, cells, now, load)


def _no_events(key: str) -> Event:
    raise Permanent(f"event {key} was asked for before there were any")


def _digest(document: SensorDocument) -> str:
    written = document.model_dump(mode="json", by_alias=True, exclude_unset=True, include={"apiVersion", "spec"})
    if not document.ours and document.mode != "active":  # which only its annotation says
        written["mode"] = document.mode
    return sha256(orjson.dumps(written, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
