"""What people see of CronWorkflows and may do to them: how each is, suspend, resume, run now. All by way of the store.

Each is one function on a connection. What a person has suspended stays so through restarts and other versions of the
document, until a person resumes it; what the document suspends is resumed there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from pipelines.host.queue import RunRequest, submit
from pipelines.host.schedule import Memory, Schedule, run_name, workflow_of
from pipelines.local.foreground import with_parameters
from retrain.store import crons, runs
from retrain.store.crons import CronRow, CronRun

DOCUMENT = "its document"
"""`CronState.suspended_by` where `spec.suspend` says so."""


@dataclass(frozen=True, slots=True)
class CronState:
    """How a CronWorkflow is.

    `phase`: Active, or Stopped by its stopStrategy. `suspended_by`: its document, or who has suspended it. `next`: its
    next tick; None if it waits for none. `last`: the newest tick that became a run. `active`: its runs that are not
    over. `message`: why its last tick became no run; `skipped` is the newest of which that is so, whatever came after.
    """

    name: str
    namespace: str
    schedules: tuple[str, ...]
    timezone: str
    policy: str
    phase: str
    suspended_by: str | None
    next: datetime | None
    last: datetime | None
    active: tuple[str, ...]
    succeeded: int
    failed: int
    message: str
    skipped: tuple[datetime, str] | None

    @property
    def suspended(self) -> bool:
        """Whether its ticks pass."""
        return self.suspended_by is not None


def states(connection: Connection, schedules: Sequence[Schedule], now: datetime) -> list[CronState]:
    """How these are."""
    rows = {(row.namespace, row.name): row for row in crons.listing(connection)}
    active: dict[str, list[str]] = {}
    for run in crons.active(connection, schedules[0].parent if len(schedules) == 1 else None):
        active.setdefault(run.parent, []).append(run.name)
    return [
        _state(one, rows.get((one.namespace, one.name)), tuple(active.get(one.parent, ())), now) for one in schedules
    ]


def _state(schedule: Schedule, row: CronRow | None, active: tuple[str, ...], now: datetime) -> CronState:
    spec: Mapping[str, Any] = schedule.document["spec"]
    row = row or _unseen(schedule, now)
    suspended_by = DOCUMENT if schedule.suspended else row.suspended_by
    waits = suspended_by is None and row.phase == "Active"
    return CronState(
        name=schedule.name,
        namespace=schedule.namespace,
        schedules=tuple(str(one) for one in spec.get("schedules") or ()),
        timezone=str(spec.get("timezone") or "UTC"),
        policy=schedule.policy,
        phase=row.phase,
        suspended_by=suspended_by,
        next=schedule.next(now) if waits else None,
        last=row.last_scheduled,
        active=active,
        succeeded=row.succeeded,
        failed=row.failed,
        message=row.message,
        skipped=(row.skipped, row.skipped_why) if row.skipped else None,
    )


def remembered(connection: Connection, schedule: Schedule, now: datetime) -> CronRow:
    """What is remembered of a cron; it begins here and now for one that is new, or has other times than before."""
    row = crons.get(connection, schedule.namespace, schedule.name)
    if row is None:
        row = _unseen(schedule, now)
        crons.add(connection, row)
    elif row.digest != schedule.digest:
        crons.move(connection, row, looked=now, digest=schedule.digest)
        return crons.get(connection, schedule.namespace, schedule.name) or row
    return row


def memory_of(row: CronRow) -> Memory:
    """What decisions on its ticks go by."""
    return Memory(row.looked, row.last_scheduled, row.succeeded, row.failed, row.suspended_by)


def start_now(connection: Connection, schedule: Schedule, parameters: Mapping[str, str], now: datetime) -> CronRun:
    """Write down a run of a cron that somebody starts; it counts among the cron's runs, and is no tick.

    Raises:
        ConfigError: the workflow cannot be submitted.
    """
    at = now.astimezone(UTC).replace(microsecond=0)
    while runs.named(connection, run_name(schedule, at), schedule.namespace) is not None:
        at += timedelta(seconds=1)  # two in one second, or a tick's own run: each has its name
    manifest = with_parameters(workflow_of(schedule, at), parameters)
    metadata: Mapping[str, Any] = manifest["metadata"]
    run_id = f"r-{uuid4().hex[:20]}"
    request = RunRequest(run_id, None, manifest, metadata["labels"], parent=schedule.parent, engine=schedule.engine)
    submit(connection, request)
    return CronRun(run_id, str(metadata["name"]), "Pending", now, schedule.parent)


def _unseen(schedule: Schedule, now: datetime) -> CronRow:
    return CronRow(schedule.namespace, schedule.name, since=now, looked=now, digest=schedule.digest)
