"""What is wrong with a CronWorkflow or a WorkflowEventBinding before it is taken up.

Source: workflow/validate/validate.go (`CronWorkflow`) and server/event/dispatch of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.core.plan import Catalog
from retrain.errors import ConfigError
from retrain.manifests import Problem

MAX_CRON_NAME = 52
"""The run's name is this and the second of its time."""
_ZONE = ("CRON_TZ=", "TZ=")


def check_cron(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Of a normalized CronWorkflow, all but its workflow."""
    spec: Mapping[str, Any] = document["spec"]
    name = str(document["metadata"].get("name") or "")
    if len(name) > MAX_CRON_NAME:
        text = f'cron workflow name "{name}" must not be more than 52 characters long (currently {len(name)})'
        yield Problem(("metadata", "name"), "name-invalid", text)
    if not spec.get("schedules"):
        yield Problem(("spec", "schedules"), "missing-field", "cron workflow must have at least one schedule")
    for index, schedule in enumerate(spec.get("schedules") or ()):
        if problem := schedule_problem(schedule):
            text = f"cron schedule {schedule!r} is malformed: {problem}"
            yield Problem(("spec", "schedules", index), "bad-cron", text)
        elif _never(schedule):
            text = f"cron schedule {schedule!r} names no day that exists: it never comes"
            yield Problem(("spec", "schedules", index), "never-fires", text, "warning")
    if (zone := spec.get("timezone")) and not _is_zone(zone):
        yield Problem(("spec", "timezone"), "bad-cron", f"unknown time zone {zone!r}; write one such as Europe/Berlin")
    if (spec.get("startingDeadlineSeconds") or 0) < 0:
        yield Problem(("spec", "startingDeadlineSeconds"), "wrong-value", "startingDeadlineSeconds must be positive")
    stop: Mapping[str, Any] = spec.get("stopStrategy") or {}
    yield from _expression(stop.get("expression"), ("spec", "stopStrategy", "expression"))


def check_binding(document: Mapping[str, Any], catalog: Catalog) -> Iterator[Problem]:
    """Of a normalized WorkflowEventBinding."""
    spec: Mapping[str, Any] = document["spec"]
    selector = str((spec.get("event") or {}).get("selector") or "")
    if not selector:
        yield Problem(("spec", "event", "selector"), "missing-field", "event.selector is required")
    yield from _expression(selector, ("spec", "event", "selector"))
    submit: Mapping[str, Any] = spec.get("submit") or {}
    if not submit:
        return
    ref: Mapping[str, Any] = submit["workflowTemplateRef"]
    if (bool(ref.get("clusterScope")), str(ref.get("name"))) not in catalog.templates:
        kind = "clusterworkflowtemplates" if ref.get("clusterScope") else "workflowtemplates"
        path = ("spec", "submit", "workflowTemplateRef")
        yield Problem(path, "template-reference", f'{kind}.argoproj.io "{ref.get("name")}" not found')
    for index, parameter in enumerate((submit.get("arguments") or {}).get("parameters") or ()):
        source: Mapping[str, Any] = parameter.get("valueFrom") or {}
        path = ("spec", "submit", "arguments", "parameters", index, "valueFrom", "event")
        yield from _expression(source.get("event"), path)


def schedule_problem(schedule: str) -> str:
    """What is wrong with a schedule, which may begin with `CRON_TZ=Europe/Berlin`; empty for nothing."""
    zone, rest = _zone_and_rest(schedule)
    if zone is not None and not _is_zone(zone):
        return f"unknown time zone {zone!r}"
    from retrain.expressions.cron import compile_cron  # the languages are loaded by who uses them

    try:
        compile_cron(rest)
    except ConfigError as error:
        return str(error)
    return ""


def _never(schedule: str) -> bool:
    """Whether a schedule that is right has no time at all, as on the 31st of February."""
    from retrain.expressions.cron import compile_cron

    return compile_cron(_zone_and_rest(schedule)[1]).never


def _zone_and_rest(schedule: str) -> tuple[str | None, str]:
    zone, _, rest = schedule.partition(" ")
    return (zone.partition("=")[2], rest) if zone.startswith(_ZONE) else (None, schedule)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _expression(text: Any, path: tuple[str | int, ...]) -> Iterator[Problem]:
    if not text or "{{" in str(text):
        return
    from retrain.expressions.exprlang import compile_expr

    try:
        compile_expr(str(text))
    except ConfigError as error:
        yield Problem(path, "bad-expression", str(error))
