"""One step while it is made: the input, the cells as far as they have changed, and what has come of it so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from retrain.events import Event, EventKey
from sensors.core.addresses import is_silence
from sensors.core.cells import Cell, CellId, Parts
from sensors.core.outcome import NO_CHANGES, Decision, Fired, Load, Look, Outcome, Step
from sensors.filtering.content import Content
from sensors.filtering.transform import MakeContent


@dataclass(frozen=True, slots=True)
class Frame:
    """What all parts of a sensor know of it. `order`: the place of each dependency. `silent`: those whose silence
    counts. `manifests`: where the files lie that name all events of a firing."""

    name: str
    order: Mapping[str, int]
    transforms: Mapping[str, MakeContent]
    silent: frozenset[str]
    shadow: bool
    manifests: str

    def sorted(self, parts: Parts) -> Parts:
        """Parts in the order of the sensor's dependencies."""
        return parts if len(parts) < 2 else tuple(sorted(parts, key=lambda part: self.order.get(part.dependency, -1)))


class Met(NamedTuple):
    """Events that met for a trigger: what it would fire with. `opened`: when the first of them arrived."""

    parts: Parts
    key: str
    opened: datetime


class Turn:
    """The input of a step, and what comes of it. Lives for one step.

    `told`: what the triggers made of the event at hand, None while there is none (a timer): then every trigger's
    decision is one of its own.
    """

    # What most steps do not need is set only by those that do.
    told: list[str] | None = None
    deferred: list[tuple[str, Met]] | None = None
    emitted: tuple[Event, ...] = ()
    stops: tuple[str, ...] = ()
    _key: EventKey | None = None

    def __init__(self, frame: Frame, look: Look, load: Load, now: datetime, event: Event | None = None) -> None:
        self.frame = frame
        self.look = look
        self.load = load
        self.now = now
        self.event = event
        self.changes: dict[CellId, Cell | None] = {}
        self.decisions: list[Decision] = []
        self.firings: dict[str, Fired] = {}
        self._at_hand: dict[str, Content] = {}

    # --- cells ---

    def get(self, cell_id: CellId) -> Cell | None:
        """A cell as it is now."""
        if cell_id in self.changes:
            return self.changes[cell_id]
        return self.look(cell_id)

    def put(self, cell_id: CellId, cell: Cell | None) -> None:
        """Change a cell; None: it is gone."""
        self.changes[cell_id] = cell

    # --- events ---

    @property
    def key(self) -> EventKey:
        """The key of the event at hand."""
        if self._key is None:
            if self.event is None:
                raise AssertionError("a timer has no event")
            self._key = self.event.key
        return self._key

    def keep(self, dependency: str, content: Content) -> None:
        """Have the event at hand ready, as a dependency sees it."""
        self._at_hand[dependency] = content

    def content(self, dependency: str, key: EventKey) -> Content:
        """An event as a dependency sees it: after its transform."""
        if key == self._key and dependency in self._at_hand:
            return self._at_hand[dependency]
        event = self.event if key == self._key and self.event is not None else self.load(key)
        transform = self.frame.transforms.get(dependency)
        content = Content(event)
        # An event that tells of silence stands for those that did not come: it has not their shape.
        if transform is None or (dependency in self.frame.silent and is_silence(event, self.frame.name)):
            return content
        return transform(content)

    def name_of(self, key: EventKey) -> str:
        """The id of an event, for a reason."""
        return self.event.id if key == self._key and self.event is not None else self.load(key).id

    # --- what comes of it ---

    def tell(self, trigger: str, key: str, outcome: Outcome, phrase: str) -> None:
        """What a trigger made of the event at hand, or of a timer."""
        if self.told is None:
            self.decide(trigger, key, outcome, phrase)
        else:
            self.told.append(f"{trigger} {phrase}")

    def tell_dependency(self, dependency: str, key: str, phrase: str) -> None:
        """What a dependency's window made of the event at hand."""
        if self.told is None:
            self.decide("", key, Outcome.WAITING, phrase, dependency=dependency)
        else:
            self.told.append(phrase)

    def decide(self, trigger: str, key: str, outcome: Outcome, reason: str, *, dependency: str | None = None) -> None:
        """A decision that is not what became of the event at hand: about a trigger, or about a dependency's window."""
        self.decisions.append(Decision(dependency, outcome, reason, trigger=trigger or None, key=key))

    def emit(self, event: Event) -> None:
        """Tell an event."""
        self.emitted = (*self.emitted, event)

    def stop(self, firing: str) -> None:
        """Have a firing stopped."""
        self.stops = (*self.stops, firing)

    def step(self) -> Step:
        """All that came of it."""
        firings = tuple(self.firings.values()) if self.firings else ()
        return Step(tuple(self.decisions), firings, self.changes or NO_CHANGES, self.emitted, self.stops)
