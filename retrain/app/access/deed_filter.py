"""Which deeds somebody asks for, in the words of the page and the API; and what a deed has changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from retrain.app.runs.filters import time_of
from retrain.events import JsonValue
from retrain.store.audit import DeedFilter


@dataclass(frozen=True, slots=True)
class DeedWish:
    """What is asked for, as it was written; None or "" means any. `since` and `until`: a time, or how long ago."""

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: str | None = None
    until: str | None = None

    @property
    def words(self) -> dict[str, str]:
        """Those that say something."""
        return {name: one for name, one in asdict(self).items() if one}


def deed_filter(wish: DeedWish, now: datetime) -> DeedFilter:
    """The same for the store.

    Raises:
        ConfigError: a time cannot be read.
    """
    since = time_of(wish.since, "since", now) if wish.since else None
    until = time_of(wish.until, "until", now) if wish.until else None
    return DeedFilter(wish.subject or None, wish.actor or None, wish.action or None, since, until)


@dataclass(frozen=True, slots=True)
class Changed:
    """One field, before and after; None: it was not there, or is not any more."""

    name: str
    before: str | None
    after: str | None


def changes(before: JsonValue, after: JsonValue) -> list[Changed]:
    """What is different, field by field."""
    old, new = dict(_fields(before)), dict(_fields(after))
    names = [*old, *(name for name in new if name not in old)]
    return [Changed(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def _fields(value: JsonValue, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _fields(one, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        yield name, ", ".join(one if isinstance(one, str) else str(one) for one in value)
    elif value is not None:
        yield name, value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
