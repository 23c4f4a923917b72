"""CronWorkflows as the doors show them, and what people may do to them, by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pipelines.host.cron import CronHost
from pipelines.host.cron_control import CronState
from retrain.app.looking.queries import stamp
from retrain.app.services import Action
from retrain.store.crons import CronRun

Json = dict[str, Any]


def cron_actions(host: CronHost) -> dict[str, Action]:
    """Every action on a CronWorkflow, and the two questions that are asked about them."""
    return {
        "crons.list": partial(_list, host),
        "crons.show": partial(_show, host),
        "crons.suspend": partial(_suspend, host),
        "crons.resume": partial(_resume, host),
        "crons.run": partial(_run, host),
    }


def cron(state: CronState) -> Json:
    """A CronWorkflow as lists show it."""
    return {
        "name": state.name,
        "namespace": state.namespace,
        "schedules": list(state.schedules),
        "timezone": state.timezone,
        "concurrencyPolicy": state.policy,
        "suspended": state.suspended,
        "suspendedBy": state.suspended_by,
        "phase": state.phase,
        "next": stamp(state.next),
        "last": stamp(state.last),
        "active": list(state.active),
        "succeeded": state.succeeded,
        "failed": state.failed,
        "message": state.message or None,
        "lastSkipped": {"time": stamp(state.skipped[0]), "reason": state.skipped[1]} if state.skipped else None,
    }


async def _list(host: CronHost) -> Json:
    return {"items": [cron(state) for state in await host.states()], "next": None}


async def _show(host: CronHost, name: str, namespace: str | None) -> Json:
    state, runs = await host.show(name, namespace)
    return {**cron(state), "runs": [_short(run) for run in runs]}


async def _suspend(host: CronHost, name: str, namespace: str | None, by: str) -> Json:
    return cron(await host.suspend(name, namespace, by))


async def _resume(host: CronHost, name: str, namespace: str | None) -> Json:
    return cron(await host.resume(name, namespace))


async def _run(host: CronHost, name: str, namespace: str | None, parameters: Mapping[str, str]) -> Json:
    made = await host.start(name, namespace, parameters)
    return {"name": made.name, "asked": "run", "run": made.id, "of": name}


def _short(run: CronRun) -> Json:
    return {"name": run.name, "id": run.id, "phase": run.phase, "created": stamp(run.created)}
