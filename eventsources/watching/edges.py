"""When something becomes true, and when it is so no more: series that a query finds, from one look to the next. Pure.

A series is told of once when it has been found for so long, and once when it has been missing for so long. What is
about to be told is written down first (`owed`), so that whoever tells it after a crash tells the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from retrain.events import JsonValue, parse_time

Status = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A series that a query has found now. `value` is a number, or `NaN`, `+Inf`, `-Inf`."""

    labels: Mapping[str, str]
    value: JsonValue


@dataclass(frozen=True, slots=True)
class Series:
    """What is remembered of a series. `since`: found from then on; `seen`: when it was found last; `ended`: it was told
    that it is over, or is about to be. `told`: it fires. `owed`: what is to be told and may not have been."""

    labels: Mapping[str, str]
    value: JsonValue
    since: datetime
    seen: datetime
    told: bool = False
    owed: bool = False
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """Something to tell of a series."""

    status: Status
    name: str
    series: Series


@dataclass(frozen=True, slots=True)
class Turn:
    """What one look leads to. `known` is all that is remembered afterwards, `changed` what of it is new."""

    known: dict[str, Series]
    changed: dict[str, Series]
    gone: list[str]
    edges: list[Edge]


def step(
    known: Mapping[str, Series],
    found: Mapping[str, Sample],
    now: datetime,
    *,
    pending: timedelta = timedelta(),
    keep: timedelta = timedelta(),
) -> Turn:
    """`known` and `found` by the names of series. One fires when it has been found for `pending`, in every look, and is
    over when it has been missing for `keep`."""
    turn = Turn({}, {}, [], [])
    for name in dict.fromkeys((*known, *found)):
        before, sample = known.get(name), found.get(name)
        after = _after(before, sample, now, pending, keep)
        if after is None:
            turn.gone.append(name)
            continue
        turn.known[name] = after
        if after.owed:
            turn.edges.append(Edge("resolved" if after.ended else "firing", name, after))
        if before is None or (after.told, after.owed, after.ended) != (before.told, before.owed, before.ended):
            turn.changed[name] = after
    return turn


def settled(turn: Turn) -> Turn:
    """The same once all of its edges are told: nothing is owed, and what is over is forgotten."""
    done = Turn({}, {}, [], [])
    for name, series in turn.known.items():
        if series.owed and series.ended is not None:
            done.gone.append(name)
            continue
        done.known[name] = replace(series, owed=False)
        if series.owed:
            done.changed[name] = done.known[name]
    return done


def _after(
    before: Series | None, sample: Sample | None, now: datetime, pending: timedelta, keep: timedelta
) -> Series | None:
    """What is to be remembered of one series; None: nothing."""
    if before is not None and before.owed:
        return before
    if sample is None:
        assert before is not None
        if not before.told:
            return None
        over = now - before.seen >= keep
        return replace(before, owed=True, ended=now) if over else before
    if before is None:
        before = Series(sample.labels, sample.value, now, now)
    series = replace(before, seen=now, value=sample.value)
    if not series.told and now - series.since >= pending:
        return replace(series, told=True, owed=True)
    return series


def kept(series: Series) -> JsonValue:
    """A series as the store keeps it."""
    return {
        "labels": dict(series.labels),
        "value": series.value,
        "since": series.since.isoformat(),
        "seen": series.seen.isoformat(),
        "told": series.told,
        "owed": series.owed,
        "ended": series.ended.isoformat() if series.ended else None,
    }


def restored(value: JsonValue) -> Series:
    """What `kept` has made JSON of."""
    assert isinstance(value, dict)
    labels, ended = value["labels"], value["ended"]
    assert isinstance(labels, dict)
    return Series(
        labels={name: str(text) for name, text in labels.items()},
        value=value["value"],
        since=parse_time(str(value["since"])),
        seen=parse_time(str(value["seen"])),
        told=bool(value["told"]),
        owed=bool(value["owed"]),
        ended=parse_time(str(ended)) if ended else None,
    )
