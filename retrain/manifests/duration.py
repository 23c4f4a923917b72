"""How long, as users write it: `90s`, `1h30m`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
LONGEST = timedelta(days=3660)


def parse_duration(value: object) -> timedelta:
    """Numbers with ms, s, m, h, d or w, added up. More than nothing, ten years at most.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, timedelta):
        return value
    text = value if isinstance(value, str) and len(value) <= 100 else ""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{_shown(value)} is no duration; write one like 90s, 1h30m or 7d")
    length = timedelta(seconds=min(sum(float(number) * _UNITS[unit] for number, unit in parts), 1e10))
    if not timedelta() < length <= LONGEST:
        raise ValueError(f"{_shown(value)} is not more than nothing and at most ten years")
    return length


def _shown(value: object) -> str:
    return repr(value[:80] if isinstance(value, str) else value)[:100]


def spell(length: timedelta) -> str:
    """The same in the largest units: `1d12h`."""
    left, words = length.total_seconds(), ""
    for unit in ("d", "h", "m"):
        whole, left = divmod(left, _UNITS[unit])
        words += f"{int(whole)}{unit}" if whole else ""
    return words + (f"{left:g}s" if left or not words else "")


AS_TEXT = PlainSerializer(lambda length: f"{length.total_seconds():g}s")
PATTERN = rf"^({_PART.pattern})+$"
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    AS_TEXT,
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["90s", "1h30m", "7d"]}),
]
