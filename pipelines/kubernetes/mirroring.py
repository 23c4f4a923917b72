"""Writes what was seen on a cluster into the store: a batch is one transaction, with the events that tell of it.

A run's row is what was seen last of its object, whatever came twice, late or not at all: the object's resourceVersion
says what is later, and what there is to tell follows from what the row says already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection

from pipelines.host.announce import Moment, Tale, told
from pipelines.host.counting import count_run
from pipelines.host.labels import is_of_the_run
from pipelines.host.saving import cause_of, close
from pipelines.kubernetes import kinds
from pipelines.kubernetes.kinds.port import Reading
from pipelines.kubernetes.sightings import Sighting, Written, digests, folded, kept, newer, node_changes
from retrain.store import elsewhere, outbox, runs
from retrain.store.runs import ENDING, OPEN, RETRIES, RunRow


@dataclass(slots=True)
class Outcome:
    """What a batch has come to. `strangers`: sightings of runs that there are not (yet); `told`: how many events."""

    strangers: list[Sighting] = field(default_factory=list[Sighting])
    told: int = 0
    written: dict[str, Written | None] = field(default_factory=dict[str, "Written | None"])
    ended: list[RunRow] = field(default_factory=list[RunRow])


class Mirror:
    """What is written of the open runs of a cluster."""

    def __init__(self) -> None:
        self._written: dict[str, Written] = {}

    def keep(self, connection: Connection, sightings: Sequence[Sighting], now: datetime) -> Outcome:
        """Write a batch, in the order in which it was seen. Runs on the writer thread; `done` follows the commit."""
        outcome = Outcome()
        batch = folded(sightings)
        rows = runs.many(connection, {one.run_id for one in batch})
        for one in batch:
            if (row := rows.get(one.run_id)) is None:
                outcome.strangers.append(one)
            elif (change := change_of(row, one, now)) is not None:
                rows[row.id] = self._write(connection, change, outcome, now)
        return outcome

    def done(self, outcome: Outcome) -> None:
        """The transaction of `keep` is committed."""
        for run_id, written in outcome.written.items():
            if written is None:
                self._written.pop(run_id, None)
            else:
                self._written[run_id] = written
        for row in outcome.ended:
            count_run(row, row.phase, row.started, row.finished)

    def _write(self, connection: Connection, change: Change, outcome: Outcome, now: datetime) -> RunRow:
        row = change.after
        written = outcome.written[row.id] if row.id in outcome.written else self._written.get(row.id)
        known = None if written is None else written.nodes
        nodes = node_changes(known, change.reading)
        if nodes.whole:
            runs.replace_nodes(connection, row.id, nodes.bodies)
        else:
            runs.save_nodes(connection, row.id, cast("Mapping[str, Any]", nodes.bodies), nodes.edges)
        elsewhere.reflect(connection, row.id, change.values)
        if change.moments:
            cause = cause_of(connection, row)
            spec = change.spec
            outbox.add(connection, [told(row, one, tale_of(change, one), spec, cause) for one in change.moments], now)
            outcome.told += len(change.moments)
        over = row.phase not in OPEN
        if over and (change.before.phase in OPEN or change.again):
            close(connection, row, now, succeeded=row.phase == "Succeeded")
            outcome.ended.append(row)
        if change.reading.nodes is not None:
            known = digests(change.reading)
        outcome.written[row.id] = None if over else Written(known)
        return row


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a row. `again`: somebody has had the run tried again since."""

    before: RunRow
    after: RunRow
    reading: Reading
    version: str
    spec: Mapping[str, Any]
    moments: tuple[Moment, ...]
    again: bool

    @property
    def values(self) -> dict[str, Any]:
        """The columns that differ."""
        names = RunRow.__dataclass_fields__
        before, after = self.before, self.after
        return {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}


def change_of(row: RunRow, seen: Sighting, now: datetime) -> Change | None:
    """What a sighting makes of a row; None where it says nothing new. Pure."""
    had: Mapping[str, Any] = (row.object or {}).get("metadata") or {}
    if had.get("uid") not in {None, seen.metadata.get("uid")}:
        return None  # somebody else's, made of ours
    is_open = row.phase in OPEN
    if not is_open and (seen.gone or row.engine != "argo"):
        return None  # it stays as it ended; of all kinds only Workflows are tried again
    if not newer(seen.version, had.get("resourceVersion")) and not seen.gone and not _unread(row, seen):
        return None
    reading = _lost(seen.reading, seen, now) if seen.gone and not seen.reading.over else seen.reading
    again = not is_open and _is_again(row, reading)
    after = _after(row, seen, reading, again=again)
    over, was_over = reading.over, not is_open and not again
    moments: list[Moment] = []
    if row.started is None and reading.started is not None:
        moments.append("started")
    if over and not was_over:
        moments.append("succeeded" if reading.phase == "Succeeded" else "failed")
    spec: Mapping[str, Any] = seen.object.get("spec") or {}
    return Change(row, after, reading, seen.version, spec, tuple(moments), again)


def _unread(row: RunRow, seen: Sighting) -> bool:
    """The object came into the row by its maker, who reads no status."""
    return row.started is None and (seen.reading.started is not None or seen.reading.over)


def _is_again(row: RunRow, reading: Reading) -> bool:
    if not reading.over:
        return True
    began, ended = reading.started, row.finished
    return began is not None and ended is not None and began >= ended and began != row.started


def _after(row: RunRow, seen: Sighting, reading: Reading, *, again: bool) -> RunRow:
    spec: Mapping[str, Any] = seen.object.get("spec") or {}
    written: Mapping[str, Any] = seen.metadata.get("labels") or {}
    labels = {**row.labels, **{key: str(value) for key, value in written.items() if not is_of_the_run(key)}}
    if again:
        labels[RETRIES] = str(row.retries + 1)
    object_ = kept(seen.object, row.manifest.get("spec"))
    if seen.gone and not seen.reading.over:
        object_["gone"] = (reading.finished or row.created).isoformat()
    return replace(
        row,
        namespace=str(seen.metadata.get("namespace") or row.namespace),
        phase=reading.phase,
        message=reading.message,
        started=reading.started or row.started,
        finished=reading.finished if reading.over else None,
        outputs=reading.outputs,
        pods=reading.pods or ("" if reading.nodes == {} else row.pods),
        control=_control(spec) if row.engine == "argo" else _control_of_object(seen.object, reading),
        labels=labels,
        object=object_,
        expires=None if again else row.expires,
    )


def _control(spec: Mapping[str, Any]) -> str | None:
    if shutdown := spec.get("shutdown"):
        return str(shutdown).lower()
    return "suspend" if spec.get("suspend") is True else None


def _control_of_object(found: Mapping[str, Any], reading: Reading) -> str | None:
    """What was asked of the object: an end for good, a suspension for as long as it has not begun again."""
    asked = kinds.asked_of(found)
    if asked in ENDING:
        return asked
    return _control(found.get("spec") or {}) or (asked if reading.phase == "Pending" else None)


def _lost(reading: Reading, seen: Sighting, now: datetime) -> Reading:
    """Deleted in the middle: there will never be an end to read."""
    what = f"the {seen.object.get('kind')} {seen.metadata.get('namespace')}/{seen.metadata.get('name')}"
    if seen.gone == "deleted" and (asked := kinds.asked_of(seen.object)) in ENDING:
        return replace(reading, phase="Failed", message=f"{asked}: {what} was deleted", finished=now)
    if seen.gone == "deleted":
        message = f"{what} was deleted from the cluster while it was {reading.phase}"
    else:
        message = (
            f"{what} is not on the cluster any more: it was deleted, by somebody or by its ttlStrategy, while nobody "
            f"watched, so its end is not known; it was {reading.phase} when it was last seen"
        )
    return replace(reading, phase="Error", message=message, finished=now)


def tale_of(change: Change, moment: Moment) -> Tale:
    """What there is to tell of a change. Pure."""
    reading, row = change.reading, change.after
    if moment == "started":
        return Tale("Running", "", {}, row.started, None, {}, {})
    phases = Counter(str(node.get("phase")) for node in (reading.nodes or {}).values())
    return Tale(
        row.phase, row.message, _parameters(row.outputs), row.started, row.finished, reading.resources, dict(phases)
    )


def _parameters(outputs: Any) -> dict[str, str]:
    found = (outputs or {}).get("parameters") or ()
    return {str(one["name"]): str(one["value"]) for one in found if one.get("value") is not None}
