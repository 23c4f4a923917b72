"""What was live in an environment, from when to when, and what happened there: from its promotions and deeds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from retrain.store.audit import Deed
from retrain.store.promotion_history import PastRow

Json = dict[str, Any]

REACHED = frozenset({"committed", "stepping", "live", "unhealthy", "rolled-back"})
"""States of promotions whose commit is, or was, in the branch."""
REFUSED = ("refused", "rejected", "failed", "superseded")
"""States of candidates that did not get there."""
BAD = frozenset({"failed", "timeout", "error", "stopped"})
"""Outcomes of a verification that said no."""


@dataclass(slots=True)
class Span:
    """A model that was live from `begin` to `end` (None: it is). `back`: it came back by a rollback.

    `taken_back`: it ended by one; `sick`: its verification said no.
    """

    row: PastRow
    begin: datetime
    end: datetime | None = None
    back: bool = False
    taken_back: bool = False
    sick: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: live, rollback, unhealthy, hold, release, refused, rejected, failed or superseded."""

    at: datetime
    what: str
    promotion: str | None
    reason: str = ""
    actor: str = ""
    row: PastRow | None = None


@dataclass(slots=True)
class _Stack:
    """What is live at a time, over what it went back to."""

    below: list[PastRow] = field(default_factory=list[PastRow])
    spans: list[Span] = field(default_factory=list[Span])

    def put(self, row: PastRow, at: datetime) -> None:
        self._end(at)
        self.below.append(row)
        self.spans.append(Span(row, at, sick=_is_sick(row)))

    def take(self, digest: object, at: datetime) -> None:
        """Go back from the model of that digest."""
        while self.below and (gone := self.below.pop()).candidate.get("digest") != digest:
            del gone
        self._end(at, taken_back=True)
        if self.below:
            self.spans.append(Span(self.below[-1], at, back=True))

    def _end(self, at: datetime, *, taken_back: bool = False) -> None:
        if self.spans and self.spans[-1].end is None:
            self.spans[-1].end, self.spans[-1].taken_back = at, taken_back


def spans(rows: Iterable[PastRow]) -> list[Span]:
    """Which model was live when, oldest first. `rows` in any order."""
    stack = _Stack()
    for row in sorted((one for one in rows if one.state in REACHED), key=lambda one: one.at):
        if row.action == "rollback":
            stack.take(row.candidate.get("digest"), row.at)
        else:
            stack.put(row, row.at)
    return stack.spans


def moments(rows: Iterable[PastRow], deeds: Iterable[Deed]) -> list[Moment]:
    """What happened there, newest first."""
    found = [moment for row in rows for moment in _of_row(row)]
    found += [moment for deed in deeds if (moment := _of_deed(deed)) is not None]
    return sorted(found, key=lambda one: one.at, reverse=True)


def holds(deeds: Iterable[Deed], now: datetime) -> list[tuple[datetime, datetime]]:
    """From when to when the target was held, oldest first."""
    found: list[tuple[datetime, datetime]] = []
    begun: datetime | None = None
    for deed in sorted(deeds, key=lambda one: (one.at, one.id)):
        if deed.action in {"promotions.hold", "promotions.rollback", "promotions.reject"}:
            begun = begun or deed.at
        elif deed.action == "promotions.release" and begun is not None:
            found.append((begun, deed.at))
            begun = None
    return [*found, (begun, now)] if begun is not None else found


def refused(rows: Iterable[PastRow], limit: int) -> list[PastRow]:
    """Candidates that did not get there, newest first."""
    found = [row for row in rows if row.action == "promote" and row.state in REFUSED]
    return sorted(found, key=lambda one: one.at, reverse=True)[:limit]


def figures(candidate: Mapping[str, Any]) -> dict[str, float]:
    """A candidate's metrics that are numbers: of its evaluation, else its own."""
    evaluation: Any = candidate.get("evaluation")
    inner: Any = evaluation.get("metrics") if isinstance(evaluation, Mapping) else None
    given: Any = inner or candidate.get("metrics")
    if not isinstance(given, Mapping):
        return {}
    pairs = ((str(name), _number(value)) for name, value in cast("Mapping[Any, Any]", given).items())
    return {name: value for name, value in pairs if value is not None}


def version_of(candidate: Mapping[str, Any]) -> str:
    """How people call a model: its version, else the end of its URI, else the beginning of its digest."""
    if version := candidate.get("version"):
        return str(version)
    uri = str(candidate.get("uri") or "").rstrip("/")
    last = uri.rpartition("/")[2].partition("?")[0]
    return last or str(candidate.get("digest") or "").removeprefix("sha256:")[:12]


def metric_names(rows: Sequence[PastRow], wanted: Iterable[str] = ()) -> list[str]:
    """The metrics that there are figures of: those that gates ask for first."""
    there = dict.fromkeys(name for row in reversed(rows) for name in figures(row.candidate))
    first = [name for name in dict.fromkeys(wanted) if name in there]
    return [*first, *(name for name in there if name not in first)]


def _of_row(row: PastRow) -> list[Moment]:
    found: list[Moment] = []
    if row.state in REACHED:
        what = "rollback" if row.action == "rollback" else "live"
        reason = str(row.candidate.get("reason") or row.reason) if what == "rollback" else ""
        found.append(Moment(row.at, what, row.id, reason, row.actor, row))
    elif row.state in REFUSED and row.action == "promote":
        found.append(Moment(row.at, row.state, row.id, row.reason, row.actor, row))
    if _is_sick(row):
        seen = cast("Mapping[str, Any]", row.verification or {})
        at = datetime.fromisoformat(str(seen["at"])) if seen.get("at") else row.updated
        found.append(Moment(at, "unhealthy", row.id, str(seen.get("reason") or row.reason), "", row))
    return found


def _of_deed(deed: Deed) -> Moment | None:
    verb = deed.action.removeprefix("promotions.")
    if verb not in {"hold", "release"}:
        return None
    said = deed.after if isinstance(deed.after, Mapping) else {}
    return Moment(deed.at, verb, None, deed.reason or str(said.get("reason") or ""), deed.actor)


def _is_sick(row: PastRow) -> bool:
    """Whether a verification said no to it, whatever was done about it then."""
    seen = row.verification if isinstance(row.verification, Mapping) else {}
    return row.state == "unhealthy" or (row.state in REACHED and seen.get("outcome") in BAD)


def _number(value: object) -> float | None:
    try:
        found = float(cast("Any", value)) if isinstance(value, int | float | str) and value is not True else None
    except ValueError:
        return None
    return found if found is not None and found - found == 0 else None
