"""What has changed in a model registry, by what is remembered of it. Pure.

A version is remembered as `{"c": creation time in ms, "t": {tag: value}, "n": changes of its tags so far}`, a model as
`{"a": {alias: version}, "n": changes of its aliases so far}`. The number of a change is part of its event's id: an
alias that goes from 1 to 2 and back to 1 has moved twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from retrain.events import JsonValue


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model, as the registry has it. `version` is a text of digits."""

    name: str
    version: str
    created_ms: int
    source: str
    run_id: str
    description: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `thing` identifies it, `entity` and `action` are MLflow's words; no `time` where nobody knows it."""

    thing: str
    entity: str
    action: str
    data: dict[str, JsonValue]
    time: datetime | None = None

    @property
    def event(self) -> str:
        """As manifests name it."""
        return f"{self.entity}.{self.action}"


def changes_of_version(old: JsonValue, now: Version) -> tuple[list[Change], JsonValue]:
    """What has changed about a version, and what to remember of it. `old`: what was remembered, None for nothing."""
    where = f"{now.name}/{now.version}/{now.created_ms}"
    if not isinstance(old, dict) or old.get("c") != now.created_ms:  # a name may be used again after a removal
        created = Change(where, "model_version", "created", _described(now), _time(now.created_ms))
        return [created], {"c": now.created_ms, "t": dict(now.tags), "n": 0}
    tags = cast("dict[str, str]", old.get("t") or {})
    found: list[Change] = []
    number = cast("int", old.get("n", 0))
    for key in sorted({*tags, *now.tags}):
        if tags.get(key) == now.tags.get(key):
            continue
        number += 1
        data: dict[str, JsonValue] = {"name": now.name, "version": now.version, "key": key}
        if key in now.tags:
            data["value"] = now.tags[key]
        action = "set" if key in now.tags else "deleted"
        found.append(Change(f"{where}/tag/{number}", "model_version_tag", action, data))
    return found, {"c": now.created_ms, "t": dict(now.tags), "n": number}


def changes_of_aliases(old: JsonValue, model: str, aliases: Mapping[str, str]) -> tuple[list[Change], JsonValue]:
    """What has changed about a model's aliases, and what to remember. An alias that moves is created anew, as MLflow's
    webhooks have it."""
    known = cast("dict[str, JsonValue]", old) if isinstance(old, dict) else {}
    before = cast("dict[str, str]", known.get("a") or {})
    number = cast("int", known.get("n", 0))
    found: list[Change] = []
    for alias in sorted({*before, *aliases}):
        if before.get(alias) == aliases.get(alias):
            continue
        number += 1
        data: dict[str, JsonValue] = {"name": model, "alias": alias}
        if alias in aliases:
            data["version"] = aliases[alias]
        action = "created" if alias in aliases else "deleted"
        found.append(Change(f"{model}/alias/{number}/{alias}", "model_version_alias", action, data))
    return found, {"a": dict(aliases), "n": number}


def _described(version: Version) -> dict[str, JsonValue]:
    return {
        "name": version.name,
        "version": version.version,
        "source": version.source,
        "run_id": version.run_id or None,
        "tags": dict(version.tags),
        "description": version.description or None,
    }


def _time(ms: int) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, UTC) if 0 < ms < 1 << 43 else None
