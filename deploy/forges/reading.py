"""Forges' JSON, read without trust: what is missing or of another kind is empty."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from retrain.events import JsonValue

Object = Mapping[str, JsonValue]


def at(value: JsonValue, *path: str) -> JsonValue:
    """What lies at a path of names; None where it leads nowhere."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def text(value: JsonValue, *path: str) -> str:
    """The text there, or ""."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def number(value: JsonValue, *path: str) -> int:
    """The whole number there, or 0."""
    found = at(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def objects(value: JsonValue, *path: str) -> list[JsonValue]:
    """The objects in the list there."""
    found = at(value, *path)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def time(value: JsonValue, *path: str) -> datetime | None:
    """The moment there, aware; None if there is none."""
    try:
        found = datetime.fromisoformat(text(value, *path))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
