"""Cron expressions: when `30 2 * * mon-fri` is next, in a time zone. What Argo Events and Argo Workflows can say.

Five fields (minute, hour, day of month, month, day of week) of numbers, names, `*`, `?`, lists, ranges and steps, or
@yearly, @monthly, @weekly, @daily, @hourly, or `@every 90m`. As in robfig's cron: where day of month and day of week
are both restricted, one of them is enough; `*` and `?` restrict nothing.

Time zones: a moment that the clock skips in spring happens when it jumps (02:30 at 03:00); one that it shows twice in
autumn happens once, the first time. An expression whose hour or minute begins with `*` follows real time instead: every
hour is every hour, the repeated one too.

`@every D` counts from the beginning of 1970, so that a restart and a second platform have the same ticks; robfig's
counts from when the program started. D is whole seconds, one at least.

Source: https://pkg.go.dev/github.com/robfig/cron/v3; the walk through the calendar is the package cronsim.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

from cronsim import CronSim, CronSimError

from retrain.errors import ConfigError

NAMED: Mapping[str, str] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_WORD = re.compile(r"\S+")
_EVERY = "@every "
_LONGEST = 1024
_FAR = datetime(9990, 1, 1, tzinfo=UTC)


class CronError(ConfigError):
    """The text is no cron expression."""


class Cron:
    """A cron expression. Get one from `compile_cron`."""

    __slots__ = ("_plain", "never", "text")

    def __init__(self, text: str, plain: str) -> None:
        self.text = text
        self._plain = plain
        self.never = next(self._walk(datetime(2024, 1, 1, tzinfo=UTC), UTC), None) is None

    def next(self, after: datetime, zone: tzinfo = UTC) -> datetime | None:
        """The first moment after `after`, in UTC; None if there is none within 50 years."""
        for found in self._walk(after, zone):
            if found > after:
                return found
        return None

    def _walk(self, after: datetime, zone: tzinfo) -> Iterator[datetime]:
        if after >= _FAR:
            return
        try:
            for found in CronSim(self._plain, after.astimezone(zone)):
                yield found.astimezone(UTC)
        except CronSimError:
            return  # a day that no month has

    def __repr__(self) -> str:
        return f"Cron({self.text!r})"


class Every(Cron):
    """A time again and again: `@every 90m`."""

    __slots__ = ("_seconds",)

    def __init__(self, text: str, seconds: int) -> None:
        self._seconds = seconds
        super().__init__(text, "")

    def _walk(self, after: datetime, zone: tzinfo) -> Iterator[datetime]:  # noqa: ARG002 - the same in every zone
        passed = int(after.timestamp()) // self._seconds
        while after < _FAR:
            passed += 1
            yield datetime.fromtimestamp(passed * self._seconds, UTC)


@lru_cache(maxsize=1024)
def compile_cron(text: str) -> Cron:
    """Read a cron expression.

    Raises:
        CronError: it is none; the message names the field.
    """
    if len(text) > _LONGEST:
        raise CronError(f"a cron expression has {_LONGEST} characters at most, this has {len(text)}")
    written = text.strip()
    if written.startswith(_EVERY):
        return Every(text, _every(text, written.removeprefix(_EVERY)))
    if written.startswith("@"):
        plain = NAMED.get(written.lower())
        if plain is None:
            raise CronError(f"cron {text!r}: there is no {written}; there are {', '.join(NAMED)}, @every 90m")
        return Cron(text, plain)
    words = list(_WORD.finditer(text))
    if len(words) != len(_FIELDS):
        raise CronError(
            f"cron {text!r} has {len(words)} fields; write five: minute, hour, day of month, month, day of week"
        )
    return Cron(text, " ".join(_read(text, word, field) for word, field in zip(words, _FIELDS, strict=True)))


def _every(text: str, duration: str) -> int:
    """Seconds."""
    from retrain.expressions.sprig.time import parse_duration

    try:
        seconds = parse_duration(duration.strip()) // 10**9
    except ConfigError as error:
        raise CronError(f"cron {text!r}: {error}") from error
    if seconds < 1:
        raise CronError(f"cron {text!r}: it must be one second at least")
    return seconds


def _read(text: str, word: re.Match[str], field: tuple[str, int, int, tuple[str, ...]]) -> str:
    """One field as cronsim reads it: numbers only."""
    column = word.start() + 1
    try:
        terms = [_term(term, field) for term in word[0].upper().split(",")]
    except ValueError as error:
        raise CronError(f"cron {text!r}: {field[0]} at column {column}: {error}") from None
    # cronsim tells whether a field restricts by its first character.
    return "*" if "*" in terms else ",".join(terms)


def _term(term: str, field: tuple[str, int, int, tuple[str, ...]]) -> str:
    _, low, high, names = field
    whole, slash, step_text = term.partition("/")
    step = _number(step_text, 1, 9999, ()) if slash else 1
    if whole in ("*", "?"):
        # With a step it does restrict, and for days that must show; an hour's star tells cronsim to follow real time.
        return "*" if step == 1 else f"{low}-{high}/{step}" if names or high == 31 else f"*/{step}"
    first_text, dash, last_text = whole.partition("-")
    # Seven is Sunday to many crons; robfig's refuses it, and so do we, since elsewhere 5-7 and 7-1 differ.
    first = _number(first_text, low, high, names)
    last = _number(last_text, low, high, names) if dash else (high if slash else first)
    if last < first:
        raise ValueError(f"{whole!r} ends before it begins")
    if not dash and not slash:
        return str(first)
    return f"{first}-{last}/{step}" if step > 1 else f"{first}-{last}"


def _number(text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text in names:
        return low + names.index(text)
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and low <= int(text) <= high):
        known = f", or {names[0].lower()} to {names[-1].lower()}" if names else ""
        raise ValueError(f"{text!r} is no number from {low} to {high}{known}")
    return int(text)
