"""From events that met to a firing: its id, its action written out, how deep its lineage is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple, cast

import orjson

from retrain.errors import RetrainError
from retrain.events import Event, EventKey, JsonValue
from sensors.actions.match import Match
from sensors.actions.parameters import RenderError
from sensors.actions.render import Action, Render
from sensors.core.cells import Parts
from sensors.core.outcome import Fired
from sensors.core.turn import Met, Turn
from sensors.trigger_spec import Trigger

CompileTrigger = Callable[[Trigger], Render]

LISTED = 100
"""Events of a firing that the store lists with it; for more there is always a manifest."""

LEVELS = 200
"""Levels of nesting of an action. The JSON writer takes 254, and whoever shows or sends the action nests it further."""


def firing_id(sensor: str, trigger: str, keys: Sequence[EventKey]) -> str:
    """The identity of a firing: who fired, and with which events, in any order."""
    text = orjson.dumps([sensor, trigger, sorted(keys)])
    return f"f-{sha256(text).hexdigest()[:20]}"


def depth_of(event: Event) -> int:
    """How many runs and promotions of this platform lie between the event and the outside world."""
    depth = event.extensions.get("retraindepth", 0)
    return int(depth) if isinstance(depth, int) or depth.isdecimal() else 0


def keys_of(parts: Parts) -> tuple[EventKey, ...]:
    """The events of all parts, each once."""
    if len(parts) == 1 and len(parts[0]) == 1:
        return (parts[0].first.event,)
    return tuple(dict.fromkeys(event for part in parts for event in part.events()))


class Identity(NamedTuple):
    """Who a firing is: its id, and its events, sorted."""

    firing: str
    parts: Parts
    keys: tuple[EventKey, ...]


class Maker:
    """Makes the firings of one trigger. `tracked`: their end is to be told."""

    def __init__(self, trigger: Trigger, compile_one: CompileTrigger, *, priority: int, tracked: bool) -> None:
        """Compile. `compile_one`: how a trigger is rendered.

        Raises:
            ConfigError: the template, or that of the dlqTrigger, cannot be rendered.
        """
        self._render: Render = compile_one(trigger)
        self._render_dlq = None if trigger.dlq_trigger is None else compile_one(trigger.dlq_trigger)
        self._ordered = trigger.ordered
        self._priority = priority
        self._tracked = tracked
        # Only then it may hold the path of the file; to look costs as much as to write the action out.
        self._may_refer = b"manifest" in orjson.dumps(trigger.model_dump(mode="json", exclude_unset=True))

    def identify(self, turn: Turn, name: str, met: Met) -> Identity:
        """Who the firing of these events is."""
        parts = turn.frame.sorted(met.parts)
        keys = keys_of(parts)
        return Identity(firing_id(turn.frame.name, name, keys), parts, keys)

    def make(self, turn: Turn, name: str, met: Met, identity: Identity | None = None) -> Fired:
        """The firing. `identity`: where that is known. An action that cannot be made is told in `error`."""
        frame = turn.frame
        firing, parts, keys = identity or self.identify(turn, name, met)
        members = {part.dependency: part.events() for part in parts}
        manifest = f"{frame.manifests}/{firing}.ndjson"
        match = Match(firing, met.key, members, met.opened, turn.now, manifest, turn.content)
        error = None
        try:
            action = self._act(match)
            text = _write(action)
            depth = _depth(turn, parts)
        except RetrainError as problem:
            action, text, error, depth = cast("Action", {}), b"", str(problem), 0
        if error is None and (len(keys) > LISTED or (self._may_refer and manifest.encode() in text)):
            action = {**action, "manifest": manifest}
        tracked = self._tracked and not frame.shadow
        made = (firing, name, met.key, keys, action, depth, turn.now, error)
        return Fired(*made, tracked, self._priority, self._ordered, frame.shadow)

    def _act(self, match: Match) -> Action:
        action = self._render(match)
        if self._render_dlq is None:
            return action
        return {**action, "dlqTrigger": self._render_dlq(match)}


def _write(action: Action) -> bytes:
    """An action as JSON, in lists around it that take the room which others need.

    Raises:
        RenderError: it cannot be written down, and who would write it down must not stumble over it.
    """
    around: JsonValue = action
    for _ in range(254 - LEVELS):
        around = [around]
    try:
        return orjson.dumps(around)
    except TypeError as error:
        why = f"it is nested deeper than {LEVELS} levels" if "Recursion" in str(error) else str(error)
        raise RenderError(f"the action cannot be written as JSON: {why}") from error


def _depth(turn: Turn, parts: Parts) -> int:
    depths = [one.depth for part in parts for one in part.since(0)]
    if None in depths:
        depths = [depth_of(turn.load(one.event)) for part in parts for one in part]
    return max(depth or 0 for depth in depths)
