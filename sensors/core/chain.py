"""Members of a window, in the order in which they came: appended to in constant time, though nothing changes in place.

Several chains look at one list, each at its own beginning of it. The longest of them appends to the list; whoever
appends to a shorter one gets a copy. So a state that is thrown away, or stepped from twice, does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from retrain.events import EventKey


class Member(NamedTuple):
    """An event in a window. `at`: when it arrived. `mark`: what it is of those that a window expects. `depth`: its
    lineage's, None where that is not known without the event."""

    event: EventKey
    at: datetime
    mark: str | None = None
    depth: int | None = 0


class Chain:
    """The events that came for `dependency`, oldest first. Get a longer one with `append` or `extend`."""

    __slots__ = ("_items", "_length", "dependency")

    def __init__(self, dependency: str, members: Iterable[Member] = ()) -> None:
        self.dependency = dependency
        self._items = list(members)
        self._length = len(self._items)

    def append(self, member: Member) -> Chain:
        """This chain and one more."""
        return self.extend((member,))

    def extend(self, members: Iterable[Member]) -> Chain:
        """This chain and some more."""
        longer = Chain.__new__(Chain)
        longer.dependency = self.dependency
        items = self._items
        longer._items = items = items if len(items) == self._length else items[: self._length]
        items.extend(members)
        longer._length = len(items)
        return longer

    def extends(self, older: Chain) -> bool:
        """Whether it begins with all of the older one, so that only what comes after it is new."""
        return self._items is older._items and self._length >= older._length

    def since(self, start: int) -> list[Member]:
        """The members from number `start` on."""
        return self._items[start : self._length]

    def events(self) -> list[EventKey]:
        """The keys of all."""
        return [one.event for one in self._items[: self._length]]

    @property
    def first(self) -> Member:
        """The oldest."""
        return self._items[0]

    @property
    def last(self) -> Member:
        """The newest."""
        return self._items[self._length - 1]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Member]:
        items, length = self._items, self._length
        return iter(items) if len(items) == length else iter(items[:length])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Chain):
            return NotImplemented
        return self.dependency == other.dependency and list(self) == list(other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return f"Chain({self.dependency!r}, {list(self)!r})"


class Marks:
    """Different marks that members have, counted. `add` gives more, as `Chain.append` does."""

    __slots__ = ("_length", "_order")

    def __init__(self, marks: Iterable[str] = ()) -> None:
        self._order: dict[str, int] = {}
        for mark in marks:
            self._order.setdefault(mark, len(self._order))
        self._length = len(self._order)

    def add(self, mark: str) -> Marks:
        """These and one more; the same if it is there already."""
        if mark in self:
            return self
        more = Marks.__new__(Marks)
        order = self._order
        if len(order) != self._length:
            order = {name: place for name, place in order.items() if place < self._length}
        order[mark] = self._length
        more._order = order
        more._length = self._length + 1
        return more

    def __contains__(self, mark: object) -> bool:
        return isinstance(mark, str) and self._order.get(mark, self._length) < self._length

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, place in self._order.items() if place < self._length])

    def __len__(self) -> int:
        return self._length

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Marks):
            return NotImplemented
        return set(self) == set(other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return f"Marks({list(self)!r})"
