"""When a CronWorkflow is due, and what becomes of a tick. Pure: the clock and what is remembered come in.

    schedule = compile_schedule(normalize(document))
    due(schedule, memory, now)          # the tick to decide on, if there is one
    verdict(schedule, memory, active, tick, now)

A tick that was missed while nobody looked is caught up with if `startingDeadlineSeconds` allows it, and of several only
the last one. One that is late by no more than `GRACE_S` was not missed: somebody started the platform again.

Source: workflow/cron/operator.go of Argo Workflows (`run`, `enforceRuntimePolicy`, `shouldOutstandingWorkflowsBeRun`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import sha256
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pipelines.spec import of_cron
from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.expressions.cron import Cron, compile_cron
from retrain.expressions.exprlang import Expr, compile_expr
from retrain.expressions.govaluate import evaluate
from retrain.store.runs import Engine

GRACE_S = 10.0
"""Seconds by which a tick may be late and still is on time."""
SUCCEEDED_KEPT, FAILED_KEPT = 3, 1
"""Argo's history limits where nothing is said."""
CRON_LABEL = "workflows.argoproj.io/cron-workflow"
SCHEDULED = "workflows.argoproj.io/scheduled-time"

Policy = Literal["Allow", "Forbid", "Replace"]

_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+")
_TAG = re.compile(r"\{\{(=?)(.*?)\}\}", re.S)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A CronWorkflow, compiled. `document` is the normalized manifest; `digest` changes when its times do."""

    name: str
    namespace: str
    document: Mapping[str, Any]
    times: tuple[tuple[Cron, tzinfo], ...]
    digest: str
    policy: Policy = "Allow"
    suspended: bool = False
    deadline_s: int | None = None
    when: str = ""
    stop: Expr | None = None
    succeeded_kept: int = SUCCEEDED_KEPT
    failed_kept: int = FAILED_KEPT
    engine: Engine = "local"
    """Who is to work on its runs where they do not say."""

    @property
    def parent(self) -> str:
        """`RunRow.parent` of its runs."""
        return f"CronWorkflow/{self.namespace}/{self.name}"

    def next(self, after: datetime) -> datetime | None:
        """The first tick after a moment; None if there is none."""
        return min((tick for cron, zone in self.times if (tick := cron.next(after, zone)) is not None), default=None)


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a cron: ticks up to `looked` are dealt with; `last` is the newest that became a run.
    `suspended_by`: whoever has suspended it, beside its document."""

    looked: datetime
    last: datetime | None = None
    succeeded: int = 0
    failed: int = 0
    suspended_by: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a tick: a run (`replace`: in the place of those that are open), or none, and why.

    `broken`: the document is at fault, not the moment.
    """

    runs: bool
    reason: str = ""
    replace: bool = False
    broken: bool = False


def compile_schedule(document: Mapping[str, Any]) -> Schedule:
    """
    `document` is a normalized CronWorkflow.

    Raises:
        ConfigError: a schedule, the zone or the expression to stop by cannot be read.
    """
    spec: Mapping[str, Any] = document["spec"]
    metadata: Mapping[str, Any] = document["metadata"]
    written = [str(one) for one in spec.get("schedules") or ()]
    zone_name = str(spec.get("timezone") or "")
    stop = str((spec.get("stopStrategy") or {}).get("expression") or "")
    kept = (spec.get("successfulJobsHistoryLimit"), spec.get("failedJobsHistoryLimit"))
    return Schedule(
        name=str(metadata["name"]),
        namespace=str(metadata.get("namespace") or "default"),
        document=document,
        times=tuple(_time(one, zone_name) for one in written),
        digest=sha256(json.dumps([written, zone_name]).encode()).hexdigest()[:20],
        policy=spec.get("concurrencyPolicy") or "Allow",
        suspended=bool(spec.get("suspend")),
        deadline_s=spec.get("startingDeadlineSeconds"),
        when=str(spec.get("when") or ""),
        stop=compile_expr(stop) if stop else None,
        succeeded_kept=SUCCEEDED_KEPT if kept[0] is None else kept[0],
        failed_kept=FAILED_KEPT if kept[1] is None else kept[1],
    )


def _time(written: str, zone_name: str) -> tuple[Cron, tzinfo]:
    if match := _ZONE.match(written):
        written, zone_name = written[match.end() :], match[1]
    return compile_cron(written), _zone(zone_name)


def _zone(name: str) -> tzinfo:
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"unknown time zone {name!r}; write one such as Europe/Berlin") from error


def due(schedule: Schedule, memory: Memory, now: datetime) -> datetime | None:
    """The last tick after `memory.looked` that has come; None if none has. Of a cron that nobody looked at for long
    it is the first one, which is as much missed as those after it."""
    last: datetime | None = None
    for cron, zone in schedule.times:
        # From shortly before now, lest a cron that slept for a year walks through a million ticks.
        after = max(memory.looked, now - _reach(schedule))
        while (tick := cron.next(after, zone)) is not None and tick <= now:
            last = tick if last is None else max(last, tick)
            after = tick
    if last is None and (first := schedule.next(memory.looked)) is not None and first <= now:
        return first
    return last


def _reach(schedule: Schedule) -> timedelta:
    return timedelta(seconds=max(schedule.deadline_s or 0, GRACE_S) + 1)


def verdict(schedule: Schedule, memory: Memory, active: int, tick: datetime, now: datetime) -> Verdict:
    """What becomes of a tick, with `active` runs of the cron that are not over."""
    if now - tick > timedelta(seconds=max(schedule.deadline_s or 0, GRACE_S)):
        return Verdict(False, f"missed: it was {int((now - tick).total_seconds())} s ago")
    if schedule.suspended:
        return Verdict(False, "the CronWorkflow is suspended")
    if memory.suspended_by is not None:
        return Verdict(False, f"the CronWorkflow is suspended by {memory.suspended_by}")
    try:
        if stopped(schedule, memory, now):
            return Verdict(False, "the CronWorkflow has stopped: its stopStrategy says so")
        if schedule.when and not evaluate(filled(schedule.when, schedule, memory, now)):
            return Verdict(False, f"when '{schedule.when}' evaluated false")
    except ConfigError as error:
        return Verdict(False, str(error), broken=True)
    if active and schedule.policy == "Forbid":
        return Verdict(False, f"concurrencyPolicy Forbid: {active} of its runs are not over")
    return Verdict(True, replace=bool(active) and schedule.policy == "Replace")


def stopped(schedule: Schedule, memory: Memory, now: datetime) -> bool:
    """Whether the `stopStrategy` says that it is enough.

    Raises:
        ConfigError: it cannot be evaluated.
    """
    if schedule.stop is None:
        return False
    value = schedule.stop.evaluate(_environment(schedule, memory), now=now)
    if not isinstance(value, bool):
        raise ConfigError(f"stopStrategy.expression {schedule.stop.text!r} gives no true or false but {value!r}")
    return value


def filled(text: str, schedule: Schedule, memory: Memory, now: datetime) -> str:
    """A text of the document with its tags filled in; all of them must be known.

    Raises:
        ConfigError: one is not.
    """
    environment = _environment(schedule, memory)

    def one(match: re.Match[str]) -> str:
        expression, inner = bool(match[1]), match[2].strip()
        if not expression and not re.fullmatch(r"cronworkflow(\.[\w./-]+)+", inner):
            raise ConfigError(f"failed to resolve {{{{{inner}}}}}")
        try:
            value = compile_expr(match[2]).evaluate(environment, now=now) if expression else _plain(inner, environment)
        except ConfigError as error:
            raise ConfigError(f"failed to evaluate {{{{{match[1]}{inner}}}}}: {error}") from error
        return value if isinstance(value, str) else json.dumps(value)

    return _TAG.sub(one, text)


def _plain(tag: str, environment: Mapping[str, Any]) -> JsonValue:
    """`cronworkflow.labels.app`, as the tags of workflows are read."""
    _, field, *rest = tag.split(".", 2)
    value = environment["cronworkflow"].get(field)
    if rest and field in {"labels", "annotations"}:
        value = json.dumps(value) if rest[0] == "json" else value.get(rest[0])
    elif rest:
        value = None
    if value is None:
        raise ConfigError("there is no such value")
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value


def _environment(schedule: Schedule, memory: Memory) -> dict[str, Any]:
    """What expressions of a CronWorkflow know. Upstream fills `annotations` from the labels; that is mended."""
    metadata: Mapping[str, Any] = schedule.document["metadata"]
    known: dict[str, Any] = {
        "name": schedule.name,
        "namespace": schedule.namespace,
        "labels": dict(metadata.get("labels") or {}),
        "annotations": dict(metadata.get("annotations") or {}),
        "lastScheduledTime": memory.last,
        "succeeded": memory.succeeded,
        "failed": memory.failed,
    }
    return {"cronworkflow": known}


def run_name(schedule: Schedule, tick: datetime) -> str:
    """The name of a tick's run, and of one that somebody starts at that time."""
    return f"{schedule.name}-{int(tick.timestamp())}"


def run_id(schedule: Schedule, tick: datetime) -> str:
    """The id of a tick's run: it follows from the tick, so a tick makes one run however often it is dealt with."""
    text = f"{schedule.parent}@{int(tick.timestamp())}"
    return f"r-{sha256(text.encode()).hexdigest()[:20]}"


def workflow_of(schedule: Schedule, tick: datetime) -> dict[str, Any]:
    """The Workflow that a tick runs."""
    manifest = of_cron(schedule.document)
    metadata: dict[str, Any] = {**manifest["metadata"], "name": run_name(schedule, tick)}
    metadata["labels"] = {**(metadata.get("labels") or {}), CRON_LABEL: schedule.name}
    stamp = tick.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata["annotations"] = {**(metadata.get("annotations") or {}), SCHEDULED: stamp}
    return {**manifest, "metadata": metadata}


def surplus(schedule: Schedule, succeeded: int, failed: int) -> tuple[int, int]:
    """How many of its runs that succeeded and that failed are more than are kept."""
    return max(0, succeeded - schedule.succeeded_kept), max(0, failed - schedule.failed_kept)
