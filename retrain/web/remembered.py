"""What was looked up is believed for some seconds, so that not every request asks the store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

T = TypeVar("T")
BELIEVED = timedelta(seconds=5)
"""How long a token or session that another process has ended still opens this one's door, at most."""
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What was found, or that nothing was."""

    value: T | None
    until: datetime


class Remembered(Generic[T]):
    """The newest answers by their key; those that were asked for longest ago go first."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._found: OrderedDict[str, Seen[T]] = OrderedDict()
        self._first: OrderedDict[str, datetime] = OrderedDict()

    def get(self, key: str) -> Seen[T] | None:
        """What is known; None: ask the store."""
        found = self._found.get(key)
        return found if found is not None and self._now() < found.until else None

    def keep(self, key: str, value: T | None) -> Seen[T]:
        """Remember an answer."""
        found = self._found[key] = Seen(value, self._now() + BELIEVED)
        self._found.move_to_end(key)
        while len(self._found) > MOST:
            self._found.popitem(last=False)
        return found

    def drop(self, key: str) -> None:
        """Ask the store the next time."""
        self._found.pop(key, None)

    def first(self, key: str, per: timedelta = timedelta(minutes=1)) -> bool:
        """Whether nobody has asked this of the key within that time."""
        now = self._now()
        if now - self._first.get(key, now - per) < per:
            return False
        self._first[key] = now
        self._first.move_to_end(key)
        while len(self._first) > MOST:
            self._first.popitem(last=False)
        return True
