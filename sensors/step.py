"""A Sensor compiled from its spec: what of it an event concerns, what passes, what fires, what waits. No I/O.

`step` is the whole decision: the state and one event in, the new state and what came of it out. Same input, same
output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Literal, cast

import orjson

from retrain.errors import ConfigError, RetrainError
from retrain.events import Event, EventKey, JsonValue
from retrain.expressions import Condition, all_of, compile_condition
from sensors import dependency_spec, trigger_spec
from sensors.content import Content
from sensors.filters import Check, Judge, Verdict, compile_filters
from sensors.render import Action, Render, compile_trigger
from sensors.spec import STARTS, SensorDocument
from sensors.trigger_spec import Trigger

Address = tuple[str, str]
"""(event source, event name): an event's `source` and `subject`."""

State = Mapping[str, Mapping[str, EventKey]]
"""Trigger -> dependency -> the newest event that passed for it and has not fired. Is JSON; never changed in place."""

Load = Callable[[EventKey], Event]
"""Gives an event that the state names."""


class Outcome(StrEnum):
    """What became of an event at one dependency."""

    PASSED = "passed"
    FILTERED = "filtered"
    ERROR = "error"
    UNMATCHED = "unmatched"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of an event at `dependency` (None: at no dependency), and why."""

    dependency: str | None
    outcome: Outcome
    reason: str
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Fired:
    """A trigger's condition came true. `events` in the order of the sensor's dependencies; `action` {} with an `error`
    that says why it could not be made. `depth`: the deepest lineage among the events."""

    id: str
    trigger: str
    key: str
    events: tuple[EventKey, ...]
    action: Action
    depth: int
    created: datetime
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A trigger that has a part of what it needs."""

    trigger: str
    key: str
    have: tuple[str, ...]
    need: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one event."""

    decisions: tuple[Decision, ...]
    firings: tuple[Fired, ...] = ()


@dataclass(frozen=True, slots=True)
class _Dependency:
    name: str
    address: Address
    judge: Judge


@dataclass(frozen=True, slots=True)
class _Trigger:
    name: str
    condition: Condition
    render: Render


@dataclass(frozen=True, slots=True)
class _Turn:
    """The event at hand, and what a step may use besides."""

    content: Content
    key: EventKey
    now: datetime
    load: Load


_UNMATCHED = Step((Decision(None, Outcome.UNMATCHED, "no dependency waits for this source and name"),))


class Sensor:
    """A compiled Sensor. `digest` changes with its spec; `start` says where in the log it begins."""

    def __init__(self, document: SensorDocument) -> None:
        """Compile.

        Raises:
            ConfigError: something in it is wrong or not built; `check` finds all of that and says where.
        """
        _refuse_unbuilt(document)
        self.name = document.name
        self.digest = _digest(document)
        from_start = document.ours and document.spec.start == "earliest"
        self.start: Literal["now", "earliest"] = "earliest" if from_start else "now"
        self._dependencies = tuple(
            _Dependency(one.name, (one.event_source_name, one.event_name), compile_filters(one))
            for one in document.spec.dependencies
        )
        self._by_address: dict[Address, tuple[_Dependency, ...]] = {
            address: tuple(one for one in self._dependencies if one.address == address)
            for address in {one.address for one in self._dependencies}
        }
        self._order = {one.name: place for place, one in enumerate(self._dependencies)}
        self._triggers = tuple(self._compile(one) for one in document.spec.triggers)
        self._by_dependency = {
            name: tuple(t for t in self._triggers if name in t.condition.names) for name in self._order
        }

    def _compile(self, trigger: Trigger) -> _Trigger:
        template = trigger.template
        if template is None:
            raise ConfigError("a trigger has a template")
        written = template.conditions.strip()
        condition = compile_condition(written) if written else all_of(self._order)
        for name in condition.names:
            if name not in self._order:
                raise ConfigError(f"condition {written!r}: unknown dependency {name!r}")
        if template.conditions_reset:
            raise ConfigError("conditionsReset is not built yet")
        return _Trigger(template.name, condition, compile_trigger(trigger))

    @property
    def addresses(self) -> frozenset[Address]:
        """The events that concern it. No other event changes anything."""
        return frozenset(self._by_address)

    def adopt(self, state: JsonValue) -> State:
        """Of a state that an older spec may have made, what still has a meaning."""
        kept: dict[str, Mapping[str, EventKey]] = {}
        stored = cast("dict[str, dict[str, EventKey]]", state if isinstance(state, dict) else {})
        for trigger in self._triggers:
            have = stored.get(trigger.name) or {}
            if known := {name: key for name, key in have.items() if name in trigger.condition.names}:
                kept[trigger.name] = known
        return kept

    def step(self, state: State, event: Event, now: datetime, load: Load) -> tuple[State, Step]:
        """Advance by one event.

        An event that waits already changes nothing. Of several events for one dependency the newest counts. When a
        condition holds, the trigger fires with all it has, and forgets it. `load` is asked only for events in `state`.
        """
        concerned = self._by_address.get(address_of(event))
        if concerned is None:
            return state, _UNMATCHED
        turn = _Turn(Content(event), event.key, now, load)
        decisions: list[Decision] = []
        firings: dict[str, Fired] = {}
        for dependency in concerned:
            if self._waits(state, dependency.name, turn.key):
                decisions.append(Decision(dependency.name, Outcome.DUPLICATE, f"event {event.id} waits here already"))
                continue
            verdict = dependency.judge(turn.content)
            if not verdict.passed:
                decisions.append(_refused(dependency, verdict))
                continue
            said: list[str] = []
            for trigger in self._by_dependency[dependency.name]:
                state, fired = self._offer(state, trigger, dependency.name, turn)
                said.append(self._say(state, trigger, fired))
                if fired is not None:
                    # One event may pass for two sides of an `||`: that is one firing, as its id says.
                    firings.setdefault(fired.id, fired)
            reason = "; ".join(said) or "no trigger waits for it"
            decisions.append(Decision(dependency.name, Outcome.PASSED, reason, verdict.checks))
        return state, Step(tuple(decisions), tuple(firings.values()))

    def waiting(self, state: State) -> list[Waiting]:
        """The triggers that have a part of what they need."""
        return [
            Waiting(t.name, "", tuple(self._sorted(have)), tuple(t.condition.need(have)))
            for t in self._triggers
            if (have := state.get(t.name))
        ]

    def _waits(self, state: State, dependency: str, key: EventKey) -> bool:
        return any(have.get(dependency) == key for have in state.values())

    def _offer(self, state: State, trigger: _Trigger, dependency: str, turn: _Turn) -> tuple[State, Fired | None]:
        if not trigger.condition.joins:
            return state, self._fire(trigger, {dependency: turn.key}, {dependency: turn.content}, turn.now)
        have = {**state.get(trigger.name, {}), dependency: turn.key}
        if not trigger.condition.holds(have):
            return {**state, trigger.name: have}, None
        contents = {name: turn.content if key == turn.key else Content(turn.load(key)) for name, key in have.items()}
        rest = {name: waiting for name, waiting in state.items() if name != trigger.name}
        return rest, self._fire(trigger, have, contents, turn.now)

    def _fire(
        self, trigger: _Trigger, have: Mapping[str, EventKey], contents: Mapping[str, Content], now: datetime
    ) -> Fired:
        keys = tuple(dict.fromkeys(have[name] for name in self._sorted(have)))
        error = None
        try:
            action = trigger.render(contents)
        except RetrainError as problem:
            action, error = cast("Action", {}), str(problem)
        depth = max(depth_of(content.event) for content in contents.values())
        return Fired(firing_id(self.name, trigger.name, keys), trigger.name, "", keys, action, depth, now, error)

    def _say(self, state: State, trigger: _Trigger, fired: Fired | None) -> str:
        if fired is None:
            need = trigger.condition.need(state[trigger.name])
            return f"{trigger.name} waits for {', '.join(need) or 'its condition'}"
        return f"{trigger.name} fired" + (f", but its action cannot be made: {fired.error}" if fired.error else "")

    def _sorted(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=self._order.__getitem__)


def _refuse_unbuilt(document: SensorDocument) -> None:
    """What would change a decision is never passed over. Under Argo's name these fields mean nothing."""
    if not document.ours:
        return
    spec = document.spec
    if spec.mode not in (None, "active") or spec.start not in (None, *STARTS):
        raise ConfigError("a mode other than active, or a time as start, is not built yet")
    for part, fields in (
        *((one, dependency_spec.OURS) for one in spec.dependencies),
        *((one, trigger_spec.OURS) for one in spec.triggers),
    ):
        for name in fields:
            if getattr(part, name) is not None:
                raise ConfigError(f"{name} is not built yet")


def _refused(dependency: _Dependency, verdict: Verdict) -> Decision:
    outcome = Outcome.ERROR if verdict.failed else Outcome.FILTERED
    return Decision(dependency.name, outcome, verdict.reason, verdict.checks)


def _digest(document: SensorDocument) -> str:
    written = document.model_dump(mode="json", by_alias=True, exclude_unset=True, include={"apiVersion", "spec"})
    return sha256(orjson.dumps(written, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def address_of(event: Event) -> Address:
    """Where sensors look for it."""
    return event.source, event.subject or ""


def depth_of(event: Event) -> int:
    """How many runs and promotions of this platform lie between the event and the outside world."""
    depth = event.extensions.get("retraindepth", 0)
    return int(depth) if isinstance(depth, int) or depth.isdecimal() else 0


def firing_id(sensor: str, trigger: str, keys: Sequence[EventKey]) -> str:
    """The identity of a firing: who fired, and with which events, in any order."""
    text = orjson.dumps([sensor, trigger, sorted(keys)])
    return f"f-{sha256(text).hexdigest()[:20]}"
