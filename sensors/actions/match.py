"""What a trigger acts on: the events that met, by dependency, in the order in which they arrived.

A window can hold very many events, and most actions look at one of them: each is loaded when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from retrain.events import EventKey
from sensors.filtering.content import Content

LoadContent = Callable[[str, EventKey], Content]
"""Gives the content of an event as a dependency sees it: after that dependency's transform."""


# Not frozen: one is made for each firing, and a frozen one takes three times as long to make.
@dataclass(slots=True)
class Match:
    """`firing`: the id that the firing will have. `members`: dependency -> keys of its events, oldest first, never
    empty. `manifest`: the path of the file that names all its events, one JSON object a line; it is written before the
    action is carried out. `opened`: when the first of them arrived; `now`: when they met."""

    firing: str
    key: str
    members: Mapping[str, Sequence[EventKey]]
    opened: datetime
    now: datetime
    manifest: str
    load: LoadContent
    _at_hand: dict[tuple[str, EventKey], Content] | None = None

    def has(self, dependency: str) -> bool:
        """Whether an event came for the dependency."""
        return dependency in self.members

    def last(self, dependency: str) -> Content | None:
        """Its newest event; the one that a parameter without more words means."""
        keys = self.members.get(dependency)
        return self._content(dependency, keys[-1]) if keys else None

    def first(self, dependency: str) -> Content | None:
        """Its oldest event."""
        keys = self.members.get(dependency)
        return self._content(dependency, keys[0]) if keys else None

    def all(self, dependency: str) -> Iterator[Content]:
        """Every event of it, oldest first."""
        for key in self.members.get(dependency, ()):
            yield self.load(dependency, key)

    def count(self, dependency: str | None = None) -> int:
        """How many events of a dependency, or of all, it holds."""
        if dependency is not None:
            return len(self.members.get(dependency, ()))
        return sum(len(keys) for keys in self.members.values())

    def _content(self, dependency: str, key: EventKey) -> Content:
        which = (dependency, key)
        if self._at_hand is None:
            self._at_hand = {}
        found = self._at_hand.get(which)
        if found is None:
            found = self._at_hand[which] = self.load(dependency, key)
        return found
