"""What people say about runs to find them, understood: label selectors, phases, ages.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.host.control import COMPLETED_LABEL, PHASE_LABEL, labels_of
from retrain.errors import ConfigError
from retrain.store.run_search import RunSearch
from retrain.store.runs import OPEN

PHASES = ("Pending", "Running", "Succeeded", "Failed", "Error")
OVER = ("Succeeded", "Failed", "Error")

_SET = re.compile(r"\s*([\w./-]+)\s+(in|notin)\s*\(([^()]*)\)\s*")
_EQUAL = re.compile(r"\s*([\w./-]+)\s*(==|!=|=)\s*([\w.-]*)\s*")
_THERE = re.compile(r"\s*(!?)\s*([\w./-]+)\s*")
_COMMA = re.compile(r",(?![^()]*\))")
_TIME = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_COMPUTED = frozenset({PHASE_LABEL, COMPLETED_LABEL})

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Selector:
    """`fits` decides; `words` stand in every run that fits, where that is known."""

    fits: Callable[[Labels], bool]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """A list as it was asked for; texts as people write them."""

    phase: str | None = None
    workflow: str | None = None
    prefix: str | None = None
    labels: str | None = None
    since: str | None = None
    older: str | None = None
    running: bool = False
    completed: bool = False
    until: str | None = None
    namespace: str | None = None


def search_of(wish: Wish, now: datetime) -> RunSearch:
    """The search that is meant.

    Raises:
        ConfigError: a part of it cannot be read.
    """
    selector = parse_selector(wish.labels) if wish.labels else None
    return RunSearch(
        phases=_phases(wish),
        workflow=wish.workflow,
        prefix=wish.prefix,
        since=_time(wish.since, "since", now),
        older=_time(wish.older, "older", now),
        until=_time(wish.until, "until", now),
        namespace=wish.namespace,
        words=selector.words if selector else (),
        fits=(lambda row: selector.fits(labels_of(row))) if selector else None,
    )


def parse_selector(text: str) -> Selector:
    """A label selector: `a=b,c!=d,e in (f, g),h notin (i),j,!k`.

    Raises:
        ConfigError: a term cannot be read.
    """
    terms = [_term(part) for part in _COMMA.split(text)]
    words = tuple(word for _, found in terms for word in found if word)
    return Selector(lambda labels: all(fits(labels) for fits, _ in terms), words)


def _term(text: str) -> tuple[Callable[[Labels], bool], tuple[str, ...]]:
    if found := _SET.fullmatch(text):
        name, negative = found[1], found[2] == "notin"
        values = {value.strip() for value in found[3].split(",")}
        return (lambda labels: (labels.get(name) in values) is not negative), _words(name, positive=not negative)
    if found := _EQUAL.fullmatch(text):
        name, value, equal = found[1], found[3], found[2] != "!="
        return (lambda labels: (labels.get(name) == value) is equal), _words(name, value, positive=equal)
    if found := _THERE.fullmatch(text):
        name, there = found[2], not found[1]
        return (lambda labels: (name in labels) is there), _words(name, positive=there)
    raise ConfigError(f"label selector {text.strip()!r}: a term is a=b, a!=b, a in (b, c), a notin (b, c), a or !a")


def _words(*words: str, positive: bool) -> tuple[str, ...]:
    """What must stand in a run that fits; nothing for labels that are not written down."""
    return words if positive and words[0] not in _COMPUTED else ()


def _phases(wish: Wish) -> tuple[str, ...]:
    if wish.running and wish.completed:
        raise ConfigError("running and completed: no run is both; leave one out")
    said = tuple(part.strip() for part in (wish.phase or "").split(",") if part.strip())
    for phase in said:
        if phase not in PHASES:
            raise ConfigError(f"phase {phase!r}: there are {', '.join(PHASES)}")
    allowed = OPEN if wish.running else OVER if wish.completed else PHASES
    phases = tuple(phase for phase in said or allowed if phase in allowed)
    return () if phases == PHASES else phases or ("none",)


def _time(text: str | None, name: str, now: datetime) -> datetime | None:
    return None if text is None else time_of(text, name, now)


def time_of(text: str, name: str, now: datetime) -> datetime:
    """A time, or how long ago it was: `2026-11-20T10:00:00Z`, `2026-11-20`, `90s`, `1h30m`, `2d`.

    Raises:
        ConfigError: it is neither.
    """
    ago = _TIME.fullmatch(text.strip())
    if ago and text.strip():
        days, hours, minutes, seconds = (float(part or 0) for part in ago.groups())
        try:
            return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        except OverflowError:
            raise ConfigError(f"{name} {text!r}: nothing is that old") from None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{name} {text!r}: say how long ago (90s, 1h30m, 2d) or when (2026-11-20T10:00:00Z)"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
