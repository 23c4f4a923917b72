"""A window's rule: what it counts of its events, when it is complete, and when time decides. Of a dependency or of a
trigger; sensors/join.py and sensors/step.py keep the events."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from retrain.errors import ConfigError
from retrain.events import EventKey
from retrain.expressions import parse_float
from sensors.core.cells import Batch, Join
from sensors.core.chain import Marks
from sensors.core.keys import NoKey, ReadKey, compile_key
from sensors.core.telling import counted
from sensors.decision_spec import Expect, Window
from sensors.filtering.content import Content
from sensors.filtering.lookup import Lookup, compile_lookup


class Told(NamedTuple):
    """What a window reads from an event. `note`: what it lacks, "" for nothing."""

    number: float
    mark: str | None
    note: str


MOST = sys.float_info.max
"""Of a sum: what is more could not be written down."""


class Rule:
    """A window, compiled. `default_by`: what tells expected events apart where the window does not say, by
    dependency."""

    __slots__ = (
        "_at_least",
        "_by",
        "_default_by",
        "_expect",
        "_of",
        "_path",
        "_wanted",
        "count",
        "max_wait",
        "quiet",
        "reads",
    )

    def __init__(self, written: Window, default_by: Mapping[str, ReadKey | None]) -> None:
        """Compile.

        Raises:
            ConfigError: a path is none, or expected ones are named and nothing tells which one an event is.
        """
        self.count = written.count
        self.quiet = written.quiet
        self.max_wait = written.max_wait
        self.reads = written.sum is not None or written.expect is not None
        self._at_least = None if written.sum is None else written.sum.at_least
        self._path: Lookup | None = None if written.sum is None else compile_lookup(written.sum.path)
        self._expect: Expect | None = written.expect
        self._of: frozenset[str] = frozenset()
        self._wanted = 0
        self._by: ReadKey | None = None
        self._default_by = default_by
        if written.expect is not None:
            self._read_expect(written.expect)

    def _read_expect(self, expect: Expect) -> None:
        self._of = frozenset(expect.of)
        self._wanted = expect.total - expect.missing
        self._by = None if expect.by is None else compile_key(expect.by)
        if self._of and self._by is None and None in self._default_by.values():
            raise ConfigError("expect lists members, so it needs by: the path of what in an event names its member")

    def count_in(self, before: Batch | Join | None, told: Iterable[Told]) -> tuple[float, Marks | None]:
        """The sum and the marks of a window with what its new events say."""
        total, marks = (0.0, None) if before is None else (before.total, before.marks)
        for one in told:
            total = max(-MOST, min(MOST, total + one.number))
            if one.mark is not None:
                marks = (marks or Marks()).add(one.mark)
        return total, marks

    def read(self, content: Content, dependency: str, event: EventKey) -> Told:
        """What the window counts of an event."""
        number, lack = (0.0, "") if self._path is None else self._read_number(content)
        mark = None
        if self._expect is not None:
            mark, missing = self._read_mark(content, dependency, event)
            lack = lack or missing
        return Told(number, mark, lack)

    def _read_number(self, content: Content) -> tuple[float, str]:
        try:
            found = None if self._path is None else self._path.found(content)
        except ConfigError as error:
            return 0.0, f"it has no number to add: {error}"
        if found is not None and (found.kind == "number" or (found.kind == "string" and _is_number(found.raw))):
            number = found.number()
            if math.isfinite(number):
                return number, ""
        return 0.0, "it has no number to add"

    def _read_mark(self, content: Content, dependency: str, event: EventKey) -> tuple[str | None, str]:
        by = self._by or self._default_by.get(dependency)
        if by is None:
            return event, ""
        try:
            mark = by(content)
        except NoKey as error:
            return None, f"it is none of the expected ones: {error}"
        if self._of and mark not in self._of:
            return None, f"{mark!r} is none of the expected ones"
        return mark, ""

    def is_complete(self, cell: Batch | Join) -> bool:
        """Whether by what has come it is; time apart."""
        if self.count is None and self._at_least is None and self._expect is None:
            return self.quiet is None and self.max_wait is None
        return (
            (self.count is not None and _size(cell) >= self.count)
            or (self._at_least is not None and cell.total >= self._at_least)
            or (self._expect is not None and len(cell.marks or ()) >= self._wanted)
        )

    def is_ripe(self, cell: Batch | Join, now: datetime) -> bool:
        """Whether by the time it is: nothing came for long enough, or it is open for long enough."""
        return (self.max_wait is not None and now >= cell.opened + self.max_wait) or (
            self.quiet is not None and now >= cell.last + self.quiet
        )

    def is_overdue(self, cell: Batch | Join, now: datetime) -> bool:
        """Whether `maxWait` is over."""
        return self.max_wait is not None and now >= cell.opened + self.max_wait

    def ripens(self, opened: datetime, last: datetime) -> datetime | None:
        """When it will be ripe, if nothing else comes after the last."""
        quiet = None if self.quiet is None else last + self.quiet
        longest = None if self.max_wait is None else opened + self.max_wait
        return earliest(quiet, longest)

    def progress(self, cell: Batch | Join) -> str:
        """How far it is, in words."""
        size = _size(cell)
        words = [f"{size} of {counted(self.count, 'event')}" if self.count is not None else counted(size, "event")]
        if self._at_least is not None:
            words.append(f"{cell.total:g} of {self._at_least:g} in sum")
        if self._expect is not None:
            words.append(f"{len(cell.marks or ())} of {self._wanted} expected")
        return ", ".join(words)


def earliest(*moments: datetime | None) -> datetime | None:
    """The first of those that are there."""
    first = None
    for one in moments:
        if one is not None and (first is None or one < first):
            first = one
    return first


def _size(cell: Batch | Join) -> int:
    return sum(map(len, cell.parts))


def _is_number(text: str) -> bool:
    return parse_float(text) is not None
