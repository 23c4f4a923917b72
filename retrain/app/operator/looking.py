"""What the running platform knows of each object that is watched: gathered from its parts, for statuses and Events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventsources import SourceState
from retrain.app.operator.fired import Fired
from retrain.app.operator.naming import Names
from retrain.app.operator.said import Said
from retrain.app.operator.statuses import Facts
from retrain.app.operator.values import Named
from retrain.app.operator.watched import Key
from retrain.app.operator.world import Outlook, World
from retrain.app.sensing.sensing import Sensing

SHOWN = 2
"""Keys that a sensor waits for that are told in words."""


@dataclass(frozen=True, slots=True)
class View:
    """The running platform: its sources, its sensors, and what its Promotions wait for, by their names inside it."""

    sources: Callable[[], Sequence[SourceState]]
    sensing: Sensing
    promotions: Callable[[], Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Now:
    """What there is to tell of at a moment."""

    world: World
    outlook: Outlook
    lacking: Mapping[Named, str]
    said: Sequence[Said]


async def facts_of(now: Now, view: View, names: Names, fired: Fired) -> dict[Key, Facts]:
    """The facts of every object that gets a status."""
    rows = {str(one["name"]): one for one in view.sensing.rows()}
    sources: defaultdict[str, list[SourceState]] = defaultdict(list)
    for state in view.sources():
        sources[state.name.partition("/")[0]].append(state)
    promotions = view.promotions()
    said: defaultdict[tuple[str, str, str], list[Said]] = defaultdict(list)
    for one in now.said:
        said[one.kind, one.namespace, one.name].append(one)
    found: dict[Key, Facts] = {}
    for key, standing in now.world.standings.items():
        kind, runs = str(standing.newest.found["kind"]), now.outlook.running.get(key)
        name = names.internal(key.name, key.namespace) if runs is not None else ""
        row = rows.get(name) if kind == "Sensor" else None
        found[key] = Facts(
            standing,
            runs,
            said=now.outlook.said.get(key, ()),
            lacking=_lacking(key, standing.wanted or standing.newest, now.lacking),
            conditions=said.get((kind, key.namespace, key.name), ()),
            sources=sources.get(name, ()) if kind == "EventSource" else (),
            sensor=row,
            waiting=await _waiting(view.sensing, row),
            last=fired.last.get(name) if kind == "Sensor" else None,
            waits=str(promotions.get(name, {}).get("reason") or "") if kind == "Promotion" else "",
        )
    return found


def _lacking(key: Key, version: Any, lacking: Mapping[Named, str]) -> tuple[str, ...]:
    named = (Named(one.kind, key.namespace, one.name) for one in version.verdict.references)
    return tuple(dict.fromkeys(lacking[one] for one in named if one in lacking))


async def _waiting(sensing: Sensing, row: Mapping[str, Any] | None) -> str:
    """What a sensor waits for, in words: of the first keys what is there, and what is to come."""
    if row is None or not (row.get("open") or row.get("held")):
        return ""
    shown = await sensing.show(str(row["name"]), None, SHOWN)
    texts = [_worded(one) for one in shown["waiting"][:SHOWN]]
    more = int(row.get("open", 0)) - len(texts)
    return "; ".join(texts) + (f" (and {more} more)" if more > 0 else "")


def _worded(one: Mapping[str, Any]) -> str:
    where = f"{one['trigger']}/{one['key']}" if one["key"] else str(one["trigger"])
    if one["held"]:
        return f"{where}: held: {one['held'][0]['reason']}"
    parts = [f"has {', '.join(map(str, one['have']))}" if one["have"] else ""]
    parts += [f"needs {', '.join(map(str, one['need']))}" if one["need"] else str(one["progress"] or "")]
    parts += [f"until {one['until']}" if one["until"] else ""]
    return f"{where}: " + ", ".join(part for part in parts if part)
