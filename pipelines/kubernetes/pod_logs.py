"""Logs of pods: what is asked of the API server, what its lines say, and how one goes on after a cut. Pure.

The server gives what was written from a whole second on. So what is remembered of a log is a second, and how many lines
there were since then: asked again from that second on, so many are passed over, and none is lost or told twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipelines.local.logs import LogLine

LONGEST = 256 * 1024
"""Bytes of a line; a longer one comes in parts."""
OVERLAP_S = 1
"""A line may be stamped a little before the one above it: stdout and stderr are stamped apart."""
MANY = 10**7
"""More lines than a container writes in two seconds."""
EXECUTORS_CONTAINERS = frozenset({"wait", "init"})
EXECUTORS = re.compile(r'^(?:time=\S+ level=\S+ msg=.* argo=true(?: |$)|\{.*"argo": ?true[,}])')
"""What Argo's executor says in a step's log, as text or as JSON."""
EXITED = "sub-process exited"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LINE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z ?")
"""How a line begins: its time, in UTC."""


@dataclass(slots=True)
class Place:
    """How far a log has been read: `seen` lines that are not older than `since`, a second. `floor`: where it was begun,
    in nanoseconds, if not at its start."""

    since: int = 0
    seen: int = 0
    floor: int = 0
    _newest: int = 0
    _by_second: dict[int, int] = field(default_factory=dict[int, int])

    @classmethod
    def of(cls, number: int) -> Place:
        """The place that `number` tells of, see there."""
        return cls(*divmod(number, MANY))

    @property
    def number(self) -> int:
        """The place as one number."""
        return self.since * MANY + min(self.seen, MANY - 1)

    def note(self, stamp_ns: int) -> None:
        """A line of this time was read."""
        second = stamp_ns // 10**9
        self._by_second[second] = self._by_second.get(second, 0) + 1
        if second > self._newest:
            self._newest, self.since = second, max(self.since, second - OVERLAP_S)
            self._by_second = {at: many for at, many in self._by_second.items() if at >= self.since}
            self.seen = sum(self._by_second.values())
        elif second >= self.since:
            self.seen += 1


class Reader:
    """Makes lines of what comes of one container's log, and knows how far it has come.

    `place`: from where to go on. After a cut `again` begins anew; what was told already is passed over.
    """

    def __init__(self, place: Place | None = None) -> None:
        self.place = place or Place()
        self.told = 0
        """How many lines it has given."""
        self._first_ns = 0
        self.again()
        self._executor_spoke = False

    def again(self) -> None:
        """What comes next is of a new answer, from `place.since` on."""
        self._over = self.place.seen
        self._passed = Place(self.place.since, 0, self.place.floor)
        self._rest, self._inside, self._stamp_ns = b"", False, 0

    def begin_here(self) -> None:
        """What was written before the first line that was read is not meant, also after a cut."""
        self.place.floor = self._first_ns

    def feed(self, part: bytes, *, last: bool = False) -> Iterator[LogLine]:
        """The lines that are complete now, and parts of those that are very long. `last`: nothing more comes."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            yield from self._line(line, ends=True)
        if last and self._rest:
            yield from self._line(self._rest, ends=True)
            self._rest = b""
        elif len(self._rest) > LONGEST:
            whole_parts = len(self._rest) // LONGEST * LONGEST
            long, self._rest = self._rest[:whole_parts], self._rest[whole_parts:]
            yield from self._line(long, ends=False)

    def _line(self, line: bytes, *, ends: bool) -> Iterator[LogLine]:
        # Cut at the same places however it comes: lines are counted.
        for start in range(0, max(1, len(line)), LONGEST):
            whole = ends and start + LONGEST >= len(line)
            text = self._text(line[start : start + LONGEST])
            self._inside = not whole
            if self._is_new() and not self._is_executors(text):
                self.told += 1
                yield LogLine(_moment(self._stamp_ns), "both", text, whole, self.place.number)

    def _text(self, piece: bytes) -> str:
        found = None if self._inside else LINE.match(piece)
        if found is None:
            return piece.decode(errors="replace")
        self._stamp_ns = _stamp_ns(found)
        return piece[found.end() :].decode(errors="replace")

    def _is_new(self) -> bool:
        if self._stamp_ns < self.place.floor:
            return False
        self._first_ns = self._first_ns or self._stamp_ns
        if not self._over:
            self.place.note(self._stamp_ns)
            return True
        self._passed.note(self._stamp_ns)
        self._over -= 1
        if not self._over:
            self.place = self._passed
        return False

    def _is_executors(self, text: str) -> bool:
        spoke, self._executor_spoke = self._executor_spoke, False
        if "argo" in text and EXECUTORS.match(text):
            self._executor_spoke = EXITED in text
            return True
        return spoke and text.startswith("Error: ")  # its last word


def _stamp_ns(found: re.Match[bytes]) -> int:
    moment = datetime.fromisoformat(found[1].decode() + "+00:00")
    return int((moment - EPOCH).total_seconds()) * 10**9 + int((found[2] or b"0").ljust(9, b"0"))


def asked(container: str, place: Place, *, follow: bool, since: datetime | None = None) -> dict[str, str]:
    """The words of a request for a log, from a place on."""
    words = {"container": container, "timestamps": "true"}
    if follow:
        words["follow"] = "true"
    first = max(place.since, place.floor // 10**9)
    if since is not None:
        first = max(first, int((since - EPOCH).total_seconds()))
    if first:
        words["sinceTime"] = datetime.fromtimestamp(first, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return words


def containers(pod: Mapping[str, Any], wanted: str | None) -> list[str]:
    """The containers of a pod whose logs are meant: all of the step's own, or the one that is wanted."""
    spec: Mapping[str, Any] = pod.get("spec") or {}
    names = [str(one["name"]) for kind in ("initContainers", "containers") for one in spec.get(kind) or ()]
    if wanted is not None:
        return [wanted] if wanted in names else []
    return [name for name in names if name not in EXECUTORS_CONTAINERS]


def state_of(pod: Mapping[str, Any], container: str) -> str:
    """`waiting`, `running` or `terminated`."""
    status: Mapping[str, Any] = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or ():
            if one.get("name") == container and one.get("state"):
                return next(iter(one["state"]))
    return "terminated" if status.get("phase") in {"Succeeded", "Failed"} else "waiting"


def _moment(stamp_ns: int) -> datetime:
    seconds, rest = divmod(stamp_ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
