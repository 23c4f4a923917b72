"""Times of day and time zones, as time filters write them."""

from __future__ import annotations

import re
from datetime import time, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from retrain.errors import ConfigError

_CLOCK = re.compile(r"(\d{1,2}):(\d\d):(\d\d)", re.ASCII)


def parse_clock(text: str) -> time:
    """HH:MM:SS. The hour may have one digit, as Go's reader has it.

    Raises:
        ConfigError: it is none.
    """
    match = _CLOCK.fullmatch(text)
    if match is not None:
        hour, minute, second = (int(part) for part in match.groups())
        if hour < 24 and minute < 60 and second < 60:
            return time(hour, minute, second)
    raise ConfigError(f"{text!r} is no time of day like 08:15:00")


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """The time zone with an IANA name; "" is UTC.

    Raises:
        ConfigError: there is none.
    """
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, OSError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ConfigError(f"there is no time zone {name!r}; write one like Europe/Berlin") from error
