"""Which events and firings somebody asks for, in the words of the page, the API and the command line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from retrain.app.runs.filters import time_of
from retrain.errors import ConfigError
from retrain.store.events import EventFilter
from retrain.store.firings import FiringFilter, FiringState
from sensors.core.outcome import Outcome

OUTCOMES = tuple(one.value for one in Outcome)
"""How an event may have been decided; `unmatched` is one that no sensor decided about."""
STATES = tuple(one.value for one in FiringState)


class _Words:
    """What was asked for, as it was written; "" means any."""

    @property
    def words(self) -> Mapping[str, str]:
        """Those that say something."""
        return {name: value for name, value in asdict(self).items() if value}  # type: ignore[call-overload]


@dataclass(frozen=True)
class EventWish(_Words):
    """`since` and `until`: a time, or how long ago."""

    source: str = ""
    subject: str = ""
    type: str = ""
    text: str = ""
    since: str = ""
    until: str = ""
    outcome: str = ""


@dataclass(frozen=True)
class FiringWish(_Words):
    """`since` and `until`: a time, or how long ago, at which they were made."""

    sensor: str = ""
    trigger: str = ""
    key: str = ""
    state: str = ""
    since: str = ""
    until: str = ""


def event_filter(wish: EventWish, now: datetime) -> EventFilter:
    """Which events of the store those are.

    Raises:
        ConfigError: a time cannot be read, or there is no such outcome.
    """
    outcome = _known("outcome", wish.outcome, OUTCOMES)
    times = {"since": _time("since", wish.since, now), "until": _time("until", wish.until, now)}
    words = (wish.source or None, wish.subject or None, wish.type or None, wish.text or None)
    return EventFilter(*words, outcome=outcome, **times)


def firing_filter(wish: FiringWish, now: datetime) -> FiringFilter:
    """Which firings of the store those are.

    Raises:
        ConfigError: a time cannot be read.
    """
    return FiringFilter(
        wish.sensor or None,
        wish.state or None,
        trigger=wish.trigger or None,
        key=wish.key or None,
        since=_time("since", wish.since, now),
        until=_time("until", wish.until, now),
    )


def _known(name: str, word: str, words: tuple[str, ...]) -> str | None:
    if word and word not in words:
        raise ConfigError(f"{name} {word[:80]!r}: there are {', '.join(words)}")
    return word or None


def _time(name: str, text: str, now: datetime) -> datetime | None:
    return time_of(text, name, now) if text else None
