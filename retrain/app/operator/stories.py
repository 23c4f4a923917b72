"""Kubernetes Events: what `kubectl describe` tells of an object, made from what has changed about it. Pure.

Events of one object that tell the same (`about`) are one Event that counts. An object that has very much to tell is cut
short: of each, so many at once, and after that one now and then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from eventsources import SourceState
from retrain.app.operator.fired import LastFiring
from retrain.app.operator.said import Said
from retrain.app.operator.statuses import LISTENING, Facts, worded
from retrain.app.operator.watched import Key, Object
from retrain.events import format_time

TEXT = 1000
"""Characters of a message; the API server takes 1024."""
BURST = 10
REFILL = timedelta(seconds=30)
"""New Events of one object at once, and how long each further one takes to be allowed."""
SAME_FOR = timedelta(minutes=10)
"""How long what is told again counts up the Event of before."""
CONTROLLER = "retrain"


@dataclass(frozen=True, slots=True)
class Story:
    """Something to tell of an object. `about`: what stays the same when it is told again."""

    key: Key
    reason: str
    message: str
    about: str = ""
    warning: bool = False


def of_versions(key: Key, before: Facts | None, now: Facts) -> Iterator[Story]:
    """That a version runs, or is refused, as far as that was not told before."""
    if now.runs is not None and (before is None or before.runs is None or before.runs.digest != now.runs.digest):
        message = f"generation {now.runs.generation} runs"
        warnings = [one for one in now.findings if one.severity == "warning"]
        if warnings and not now.old:
            message += f"; {len(warnings)} warning{'s' * (len(warnings) > 1)}, the first: {worded(warnings[0])}"
        yield Story(key, "Applied", message)
    if now.errors and (before is None or [*map(worded, before.errors)] != [*map(worded, now.errors)]):
        first, more = now.errors[0], len(now.errors) - 1
        runs_on = f"; generation {now.runs.generation} runs on" if now.runs is not None else ""
        message = worded(first) + (f" (and {more} more)" if more else "") + runs_on
        yield Story(key, "Refused", message, warning=True)
    for one in now.lacking:
        if before is None or one not in before.lacking:
            yield Story(key, "Lacking", one, about=one, warning=True)


def of_sources(key: Key, before: Sequence[SourceState], now: Sequence[SourceState]) -> Iterator[Story]:
    """That entries of an EventSource have come to listen, or have lost what they listen to."""
    known = {one.name: one for one in before}
    for one in now:
        was, event = known.get(one.name), one.name.partition("/")[2]
        if one.state in LISTENING and (was is None or was.state not in LISTENING):
            yield Story(key, "Connected", f"{event} ({one.kind}) is {one.state}", about=event)
        elif one.state == "waiting" and (was is None or was.state != "waiting"):
            yield Story(key, "Disconnected", f"{event} ({one.kind}): {one.waiting_for}", about=event, warning=True)


def of_firing(key: Key, one: LastFiring) -> Story | None:
    """That a trigger has acted, or could not."""
    if one.state == "done":
        return Story(key, "Fired", f"{one.trigger}: firing {one.id} {one.result}".rstrip(), about=one.trigger)
    if one.state == "dead":
        message = f"{one.trigger}: firing {one.id} is a dead letter: {one.error}"
        return Story(key, "TriggerFailed", message, about=one.trigger, warning=True)
    if one.open and one.error:
        message = f"{one.trigger}: firing {one.id}, attempt {one.attempts}, is tried again: {one.error}"
        return Story(key, "TriggerRetried", message, about=one.trigger, warning=True)
    return None


def of_said(key: Key, before: Sequence[Said], now: Sequence[Said]) -> Iterator[Story]:
    """What a reconciler says anew."""
    known = {(one.type, one.status, one.reason, one.message) for one in before}
    for one in now:
        if one.message and (one.type, one.status, one.reason, one.message) not in known:
            yield Story(key, one.reason, one.message, about=one.type, warning=one.warning)


# --- as Events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """An Event that was made. `body` is that of `v1`; `count` is how often it was told by now."""

    name: str
    first: datetime
    last: datetime
    count: int
    message: str
    warning: bool = False
    written: int = 0
    """How much of `count` the server knows."""


@dataclass(slots=True)
class Book:
    """The Events of this process, and how much each object may still tell."""

    nonce: str
    told: dict[tuple[Key, str, str], Told] = field(default_factory=dict[tuple[Key, str, str], Told])
    _left: dict[Key, tuple[int, datetime]] = field(default_factory=dict[Key, tuple[int, datetime]])

    def tell(self, story: Story, now: datetime) -> bool:
        """Take a story in; False: its object has told too much."""
        which = (story.key, story.reason, story.about)
        known = self.told.get(which)
        message = story.message[:TEXT]
        if known is not None and now - known.last < SAME_FOR:
            self.told[which] = replace(known, last=now, count=known.count + 1, message=message)
            return True
        if not self._may(story.key, now):
            return False
        text = "\n".join((str(story.key), story.reason, story.about, self.nonce, format_time(now)))
        name = f"{story.key.name[:200]}.{sha256(text.encode()).hexdigest()[:16]}"
        self.told[which] = Told(name, now, now, 1, message, story.warning)
        return True

    def unwritten(self) -> list[tuple[tuple[Key, str, str], Told]]:
        """What the server does not know yet."""
        return [(which, one) for which, one in self.told.items() if one.written < one.count]

    def written(self, which: tuple[Key, str, str], one: Told) -> None:
        """The server knows an Event as it was then."""
        if which in self.told:
            self.told[which] = replace(self.told[which], written=one.count)

    def forget(self, now: datetime) -> None:
        """Drop what will not be counted up any more, and what could not be written for so long."""
        for which, one in list(self.told.items()):
            if now - one.last > SAME_FOR:
                del self.told[which]
        for key, (_, since) in list(self._left.items()):
            if now - since > REFILL * BURST:
                del self._left[key]

    def _may(self, key: Key, now: datetime) -> bool:
        left, since = self._left.get(key, (BURST, now))
        gained = int((now - since) / REFILL)
        left, since = min(BURST, left + gained), since + REFILL * gained
        if not left:
            return False
        self._left[key] = (left - 1, since)
        return True


def event_of(found: Object, key: Key, reason: str, told: Told) -> dict[str, Any]:
    """The Event to make for an object."""
    metadata: Mapping[str, Any] = found["metadata"]
    namespace = key.namespace or "default"
    times = {"firstTimestamp": _time(told.first), "lastTimestamp": _time(told.last)}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": told.name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": found["apiVersion"],
            "kind": found["kind"],
            "name": key.name,
            "namespace": key.namespace,
            "uid": metadata.get("uid", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
        "reason": reason,
        "message": told.message,
        "type": "Warning" if told.warning else "Normal",
        "source": {"component": CONTROLLER},
        "reportingComponent": CONTROLLER,
        "count": told.count,
        **times,
    }


def counted(told: Told) -> dict[str, Any]:
    """What changes in an Event that is told again."""
    return {"count": told.count, "lastTimestamp": _time(told.last), "message": told.message}


def _time(time: datetime) -> str:
    return format_time(time.replace(microsecond=0))
