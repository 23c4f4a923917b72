"""Which events concern a sensor: by event source and name, exact or with `*` and `?`; and what is its own business.

Names match whole and with their case; `*` stands for any number of characters, also none, `?` for one. There is no
other special character. Events that the platform tells of a sensor's own firings name it in `retrainsensor`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate

from retrain.events import OWN_SOURCE, Event

Address = tuple[str, str]
"""(event source, event name): an event's `source` and `subject`."""

Matches = Callable[[Address], bool]
"""Whether an address meets a pattern."""

SENSOR, TRIGGER, FIRING, DEPENDENCY = "retrainsensor", "retraintrigger", "retrainfiring", "retraindependency"
"""Extensions that say whose business an event is."""

"""The source of events that the platform tells itself."""

ABSENT, EXPIRED = "sensor.absent", "sensor.expired"

LIFECYCLE = frozenset(
    {
        "firing.done",
        "firing.failed",
        "firing.redriven",
        "run.succeeded",
        "run.failed",
        "approval.granted",
        "approval.rejected",
        ABSENT,
    }
)
"""Names of the events that a sensor takes as its own where they name it."""


def address_of(event: Event) -> Address:
    """Where sensors look for it."""
    return event.source, event.subject or ""


def owner_of(event: Event) -> str | None:
    """The name of the sensor whose own business the event is."""
    if event.source != OWN_SOURCE or event.subject not in LIFECYCLE:
        return None
    owner = event.extensions.get(SENSOR)
    return owner if isinstance(owner, str) else None


def is_silence(event: Event, sensor: str) -> bool:
    """Whether the event tells this sensor that something of it is silent."""
    return event.subject == ABSENT and owner_of(event) == sensor


def compile_address(source: str, name: str) -> Address | Matches:
    """The address itself, to be looked up; or, where a name has wildcards, a test of an event's address."""
    if not is_pattern(source) and not is_pattern(name):
        return source, name
    sources, names = _compile(source), _compile(name)
    return lambda address: sources(address[0]) is not None and names(address[1]) is not None


def is_pattern(name: str) -> bool:
    """Whether a name stands for several."""
    return "*" in name or "?" in name


def _compile(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(translate(pattern.replace("[", "[[]"))).match
