"""What the record says of each action: to what it was done, how that was before and after, and with which words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection

from retrain.app.looking.queries import stamp
from retrain.events import JsonValue
from retrain.store import crons, deadletters, runs
from retrain.store.audit import Deed

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LONGEST = 500
"""Letters of one word of an action that go on record."""
Look = Callable[[Connection], JsonValue]


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of an action before it is done. `asked`: its words; `look`: how the thing is."""

    subject: str
    look: Look
    asked: Mapping[str, JsonValue]
    reason: str = ""
    actor: str = ""
    rides: bool = True

    def complete(self, deed: Deed, before: JsonValue, after: JsonValue, made: Any) -> Deed:
        """The deed with how it was, how it is, what was asked, and what came of it."""
        extra: dict[str, JsonValue] = {}
        if self.asked:
            extra["asked"] = dict(self.asked)
        came = _made(made)
        if came is not None and came != self.subject.rpartition("/")[2]:
            extra["made"] = came
        if isinstance(after, Mapping):
            return replace(deed, before=before, after={**after, **extra})
        return replace(deed, before=before, after=extra or after)


def told_of(name: str, words: tuple[Any, ...], more: Mapping[str, Any]) -> Told:
    """What the record says of an action with these words."""
    noun, _, verb = name.partition(".")
    first: Any = words[0] if words else next(iter(more.values()), "")
    reason, actor = str(more.get("reason") or ""), str(more.get("actor") or "")
    asked = _plain({key: one for key, one in more.items() if key not in {"reason", "actor", "by"}})
    if noun == "runs":
        options = _options(words[1]) if len(words) > 1 else {}
        return Told(first.name, lambda c: _run(c, first.id), options, reason, str(options.get("by") or actor))
    if noun == "crons":
        return _cron(verb, words)
    if noun == "deadletters":
        return Told(str(first), lambda c: _letter(c, str(first)), asked, reason, actor)
    rides = noun != "project"
    return Told("" if not rides else str(first)[:LONGEST], lambda _: None, asked, reason, actor, rides)


def _cron(verb: str, words: tuple[Any, ...]) -> Told:
    name, namespace = str(words[0]), str((words[1] if len(words) > 1 else "") or "")
    by = str(words[2]) if verb == "suspend" and len(words) > 2 else ""
    options = _plain(words[2]) if verb == "run" and len(words) > 2 else {}

    def look(connection: Connection) -> JsonValue:
        rows = [one for one in crons.called(connection, name) if namespace in {"", one.namespace}]
        return {"suspendedBy": rows[0].suspended_by, "phase": rows[0].phase} if len(rows) == 1 else None

    return Told(f"{namespace}/{name}" if namespace else name, look, options, actor=by)


def _run(connection: Connection, run_id: str) -> JsonValue:
    row = runs.get(connection, run_id)
    return {"phase": row.phase, "asked of it": row.control} if row else None


def _letter(connection: Connection, letter_id: str) -> JsonValue:
    row = deadletters.get(connection, letter_id)
    return {"redriven": stamp(row.redriven)} if row else None


def _options(value: Any) -> dict[str, JsonValue]:
    if not is_dataclass(value) or isinstance(value, type):
        return {}
    return _plain({key: one for key, one in _fields(value) if one not in (None, "", {}, False)})


def _fields(value: DataclassInstance) -> list[tuple[str, Any]]:
    """As they are: `asdict` copies, and some cannot be copied."""
    return [(one.name, getattr(value, one.name)) for one in fields(value)]


def _plain(value: Any) -> dict[str, JsonValue]:
    return {str(key): _json(one) for key, one in cast("Mapping[Any, Any]", value).items()}


def _json(value: Any) -> JsonValue:
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, bool | int | float) or value is None:
        return value
    return str(value)[:LONGEST]


def _made(made: Any) -> JsonValue:
    """What an action gave, in short."""
    if isinstance(made, Mapping):
        return {
            key: one
            for key, one in _plain(made).items()
            if key in {"id", "of", "firing", "run", "event", "verdict", "status"}
        }
    name = getattr(made, "name", None)
    return name if isinstance(name, str) else made if isinstance(made, str) else None
