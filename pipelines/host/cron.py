"""Makes runs of CronWorkflows when they are due: one run for each tick, through restarts and `kill -9`.

A tick is dealt with in one transaction: the run is written down, the event that tells of the tick goes to the outbox,
and the cron's place moves on. So a crash before it leaves the tick to the next look, and one after it loses nothing.
Run ids follow from the tick, and the place moves only from where it was seen: two platforms on one store make one run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import anyio
from anyio.abc import TaskStatus
from sqlalchemy import Connection

from pipelines.host.cron_control import CronState, memory_of, remembered, start_now, states
from pipelines.host.queue import RunRequest, submit
from pipelines.host.schedule import (
    GRACE_S,
    Memory,
    Schedule,
    Verdict,
    compile_schedule,
    due,
    run_id,
    run_name,
    stopped,
    verdict,
    workflow_of,
)
from pipelines.spec import normalize
from retrain import faults
from retrain.clock import Clock
from retrain.errors import ConfigError, NotFound, Refused, RetrainError, Transient
from retrain.events import Event
from retrain.log import get_logger
from retrain.store import Store, crons, outbox, runs
from retrain.store.crons import CronRow, CronRun
from retrain.store.runs import Engine

LONGEST_S = 30.0
"""Seconds until the clock is looked at again at the latest: it may be set, and a laptop may sleep."""
SHOWN = 10
"""Runs of a cron that are shown with it."""

log = get_logger()


class CronHost:
    """The CronWorkflows of a platform."""

    name = "crons"

    def __init__(
        self, store: Store, clock: Clock, documents: Iterable[Mapping[str, Any]] = (), *, engine: Engine = "local"
    ) -> None:
        """`documents` are CronWorkflow manifests, `engine` works on runs that do not say who is to.

        Raises:
            ConfigError: a schedule cannot be read.
        """
        self._store = store
        self._clock = clock
        self._engine: Engine = engine
        self._schedules = _compiled(documents, engine)
        self._looked: dict[tuple[str, str], datetime] = {}
        self.trouble: str | None = None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look whenever something is due, until cancelled."""
        task_status.started()
        while True:
            try:
                await self.look()
                self.trouble = None
            except Transient as error:
                self.trouble = str(error)
                log.warning("crons.waiting", reason=str(error))
            await self._store.signals.wait("crons", self._wait_s())

    def apply(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Run these from now on. One whose times have changed begins anew: nothing of the past is caught up with.

        Raises:
            ConfigError: a schedule cannot be read; nothing has changed.
        """
        self._schedules = _compiled(documents, self._engine)
        self._looked = {key: at for key, at in self._looked.items() if key in self._schedules}
        self._store.signals.notify("crons")

    async def look(self) -> int:
        """Deal with all that is due now; how many runs were made."""
        made = 0
        for schedule in list(self._schedules.values()):
            try:
                made += await self._store.write(_work(schedule, self._clock.now(), self._remember))
            except Transient:
                raise
            except RetrainError as error:
                log.warning("cron.failed", cron=schedule.name, error=str(error))
            faults.point("cron.after_commit")
        if made:
            self._store.signals.notify("runs")
        self._store.signals.notify("outbox")
        return made

    async def states(self) -> list[CronState]:
        """How they are, by name."""
        now = self._clock.now()
        schedules = sorted(self._schedules.values(), key=lambda one: (one.namespace, one.name))
        return await self._store.read(lambda c: states(c, schedules, now))

    async def show(self, name: str, namespace: str | None = None) -> tuple[CronState, list[CronRun]]:
        """One of them, with its newest runs.

        Raises:
            NotFound: there is none of that name.
            ConfigError: there are several; their namespaces tell them apart.
        """
        schedule, now = self._called(name, namespace), self._clock.now()

        def work(connection: Connection) -> tuple[CronState, list[CronRun]]:
            (state,) = states(connection, [schedule], now)
            return state, crons.newest(connection, schedule.parent, SHOWN)

        return await self._store.read(work)

    async def suspend(self, name: str, namespace: str | None, by: str) -> CronState:
        """Let its ticks pass until it is resumed, through restarts and reloads. Errors as `show`."""
        return await self._change(self._called(name, namespace), by)

    async def resume(self, name: str, namespace: str | None) -> CronState:
        """Let it run again what is due from now on. Errors as `show`.

        Raises:
            Refused: its document suspends it.
        """
        schedule = self._called(name, namespace)
        if schedule.suspended:
            raise Refused(f"{name} is suspended by its document (spec.suspend: true); it is resumed there")
        return await self._change(schedule, None)

    async def start(self, name: str, namespace: str | None, parameters: Mapping[str, str]) -> CronRun:
        """Make a run of it now, whatever its times and its policy say. Errors as `show`.

        Raises:
            ConfigError: its workflow cannot be submitted.
        """
        schedule, now = self._called(name, namespace), self._clock.now()
        made = await self._store.write(lambda c: start_now(c, schedule, parameters, now))
        self._store.signals.notify("runs")
        log.info("cron.started", cron=schedule.name, run=made.name)
        return made

    async def _change(self, schedule: Schedule, by: str | None) -> CronState:
        now = self._clock.now()

        def work(connection: Connection) -> CronState:
            remembered(connection, schedule, now)
            if crons.suspend(connection, schedule.namespace, schedule.name, by):
                log.info("cron.suspended" if by else "cron.resumed", cron=schedule.name, by=by)
            (state,) = states(connection, [schedule], now)
            return state

        state = await self._store.write(work)
        self._store.signals.notify("crons")
        return state

    def _called(self, name: str, namespace: str | None) -> Schedule:
        found = [one for one in self._schedules.values() if one.name == name and namespace in {None, one.namespace}]
        if not found:
            where = f" in namespace {namespace!r}" if namespace else ""
            raise NotFound(f"{name}: no such CronWorkflow{where}; `retrain crons list` shows the names")
        if len(found) > 1:
            several = ", ".join(sorted(one.namespace for one in found))
            raise ConfigError(f"{name} is in several namespaces: {several}; say which with --namespace")
        return found[0]

    def _remember(self, schedule: Schedule, looked: datetime) -> None:
        self._looked[schedule.namespace, schedule.name] = looked

    def _wait_s(self) -> float:
        now = self._clock.now()
        ticks = [
            tick
            for key, schedule in self._schedules.items()
            if (tick := schedule.next(self._looked.get(key, now))) is not None
        ]
        left = (min(ticks) - now).total_seconds() if ticks else LONGEST_S
        return min(LONGEST_S, max(0.0, left))


def check_crons(documents: Iterable[Mapping[str, Any]]) -> None:
    """
    Raises:
        ConfigError: a schedule cannot be read.
    """
    _compiled(documents)


def _compiled(documents: Iterable[Mapping[str, Any]], engine: Engine = "local") -> dict[tuple[str, str], Schedule]:
    schedules = [replace(compile_schedule(normalize(document)), engine=engine) for document in documents]
    return {(one.namespace, one.name): one for one in schedules}


# --- one cron, in one transaction -------------------------------------------------------------------------------------


def _work(
    schedule: Schedule, now: datetime, remember: Callable[[Schedule, datetime], None]
) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        row = remembered(connection, schedule, now)
        memory = memory_of(row)
        crons.let_expire(connection, schedule.parent, (schedule.succeeded_kept, schedule.failed_kept), now)
        tick = due(schedule, memory, now)
        if tick is None:
            _keep_phase(connection, schedule, row, memory, now)
            remember(schedule, row.looked)
            return 0
        faults.point("cron.before_commit")
        made = _decide(connection, schedule, row, tick, now)
        remember(schedule, tick)
        return made

    return work


def _decide(connection: Connection, schedule: Schedule, row: CronRow, tick: datetime, now: datetime) -> int:
    open_runs = crons.active(connection, schedule.parent)
    found = verdict(schedule, memory_of(row), len(open_runs), tick, now)
    last = row.last_scheduled
    if found.runs:
        try:
            _submit(connection, schedule, tick)
            last = tick
        except ConfigError as error:
            found = Verdict(False, f"the workflow cannot be submitted: {error}", broken=True)
    if found.runs and found.replace:
        for one in open_runs:
            runs.ask(connection, one.id, "terminate")
    # What was missed is missed up to now: the next look does not find it again.
    looked = tick if now - tick < timedelta(seconds=GRACE_S) else now
    skipped = {} if found.runs else {"skipped": tick, "skipped_why": found.reason}
    if not crons.move(connection, row, looked=looked, last_scheduled=last, message=found.reason, **skipped):
        return 0  # another platform on this store was first, and made the same run
    outbox.add(connection, [_event(schedule, tick, found, now)], now)
    _log(schedule, tick, found)
    return int(found.runs)


def _submit(connection: Connection, schedule: Schedule, tick: datetime) -> None:
    manifest = workflow_of(schedule, tick)
    labels: Mapping[str, str] = manifest["metadata"]["labels"]
    request = RunRequest(run_id(schedule, tick), None, manifest, labels, parent=schedule.parent, engine=schedule.engine)
    submit(connection, request)


def _keep_phase(connection: Connection, schedule: Schedule, row: CronRow, memory: Memory, now: datetime) -> None:
    """A cron stops as soon as its last run says so, not at its next tick."""
    try:
        phase = "Stopped" if stopped(schedule, memory, now) else "Active"
    except ConfigError as error:
        if row.message != str(error):
            crons.move(connection, row, message=str(error))
        return
    if phase != row.phase:
        crons.move(connection, row, phase=phase)
        log.info("cron.phase", cron=schedule.name, phase=phase)


def _event(schedule: Schedule, tick: datetime, found: Verdict, now: datetime) -> Event:
    """What is told of a tick. Its id follows from the tick."""
    moment = "fired" if found.runs else "skipped"
    data: dict[str, Any] = {
        "cron": schedule.name,
        "namespace": schedule.namespace,
        "scheduledTime": tick.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    extensions: dict[str, Any] = {"retraindepth": 1}
    if found.runs:
        data["run"] = {"id": run_id(schedule, tick), "name": run_name(schedule, tick)}
        extensions["retraincause"] = run_id(schedule, tick)
    else:
        data["reason"] = found.reason
    return Event(
        id=f"cron.{schedule.namespace}.{schedule.name}.{int(tick.timestamp())}",
        source="retrain",
        subject=f"cron.{moment}",
        type=f"dev.retrain.cron.{moment}",
        time=now,
        datacontenttype="application/json",
        data=data,
        extensions=extensions,
    )


def _log(schedule: Schedule, tick: datetime, found: Verdict) -> None:
    if found.runs:
        log.info("cron.fired", cron=schedule.name, run=run_name(schedule, tick))
    elif found.broken:
        log.error("cron.skipped", cron=schedule.name, tick=tick.isoformat(), reason=found.reason)
    else:
        log.info("cron.skipped", cron=schedule.name, tick=tick.isoformat(), reason=found.reason)
