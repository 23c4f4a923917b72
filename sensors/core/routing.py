"""Which sensors an event concerns. Asking is all that an event costs to those which it does not concern."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from retrain.events import Event
from sensors.core.addresses import address_of, owner_of

Address = tuple[str, str]
"""(event source, event name): an event's `source` and `subject`."""

Matches = Callable[[Address], bool]

REMEMBERED = 20_000
"""Addresses for which it is remembered which patterns they meet. Beyond, all is forgotten and begins again."""


class Routed(Protocol):
    """What of a sensor says which events concern it.

    `addresses`: exactly these. `matchers`: tell whether an address is among those that a name with wildcards means.
    What becomes of its own firings concerns it too.
    """

    @property
    def name(self) -> str: ...
    @property
    def addresses(self) -> Collection[Address]: ...
    @property
    def matchers(self) -> Collection[Matches]: ...


class Routes:
    """The index. Adding and removing a sensor costs what it has, not what all have."""

    def __init__(self) -> None:
        self._order: dict[str, int] = {}
        self._next = 0
        self._exact: dict[Address, tuple[str, ...]] = {}
        self._patterns: dict[str, Collection[Matches]] = {}
        self._resolved: dict[Address, tuple[str, ...]] = {}
        self._addresses: dict[str, Collection[Address]] = {}

    def add(self, sensor: Routed) -> None:
        """Let a sensor hear of its events; in the place of the one that had its name."""
        name = sensor.name
        if name in self._order:
            self.remove(name)
        self._order[name] = self._next
        self._next += 1
        self._addresses[name] = sensor.addresses
        for address in sensor.addresses:
            self._exact[address] = (*self._exact.get(address, ()), name)
        if sensor.matchers:
            self._patterns[name] = sensor.matchers
        self._resolved.clear()

    def remove(self, name: str) -> None:
        """A sensor hears of nothing any more."""
        del self._order[name]
        for address in self._addresses.pop(name):
            rest = tuple(one for one in self._exact[address] if one != name)
            if rest:
                self._exact[address] = rest
            else:
                del self._exact[address]
        self._patterns.pop(name, None)
        self._resolved.clear()

    def caring(self, event: Event) -> tuple[str, ...]:
        """The names of the sensors that an event concerns, each once, in the order in which they were added."""
        address = address_of(event)
        found = self._resolve(address) if self._patterns else self._exact.get(address, ())
        owner = owner_of(event)
        if owner is not None and owner in self._order and owner not in found:
            return (*found, owner)
        return found

    def _resolve(self, address: Address) -> tuple[str, ...]:
        found = self._resolved.get(address)
        if found is None:
            exact = self._exact.get(address, ())
            met = [
                name
                for name, matchers in self._patterns.items()
                if name not in exact and any(matches(address) for matches in matchers)
            ]
            found = tuple(sorted((*exact, *met), key=self._order.__getitem__)) if met else exact
            if len(self._resolved) >= REMEMBERED:
                self._resolved.clear()
            self._resolved[address] = found
        return found
