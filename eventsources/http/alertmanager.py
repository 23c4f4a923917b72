"""The alertmanager source (retrain.dev/v1): Prometheus' Alertmanager calls, and each alert is an event.

Drift that a rule of Prometheus has found becomes an event when its alert fires, and another when it is resolved.
Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from anyio.abc import TaskStatus

from eventsources.fields import Filter, Limits, Path, WebhookContext
from eventsources.http.answers import Reply
from eventsources.http.doorway import Doorway, Taken, check_guarded, check_hook, route_of
from eventsources.http.request import Request, digest_of, json_of
from eventsources.port import SourceContext, SourceState
from retrain.errors import ConfigError
from retrain.events import Event, JsonValue, parse_time
from retrain.manifests import Problem
from retrain.manifests.argo import Shape

STATES = ("firing", "resolved")
VERSION = "4"


class Alertmanager(WebhookContext):
    """An endpoint for a `webhook_configs` entry of Alertmanager. `states`: which alerts become events."""

    states: tuple[str, ...] = STATES
    filter: Filter | None = None
    limits: Limits | None = None

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants."""
        return [route_of(self)]


def check(path: Path, spec: Alertmanager, ours: bool) -> Iterator[Problem]:
    """What is wrong with one alertmanager source."""
    yield from check_hook(path, spec, ours, ("POST",))
    yield from check_guarded(path, spec, ours)
    for index, state in enumerate(spec.states):
        if state not in STATES:
            yield Problem((*path, "states", index), "wrong-value", f"{state!r} is none of {', '.join(STATES)}")


class AlertmanagerSource:
    """One entry of `spec.alertmanager`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Alertmanager)
        self._context = context
        self._states = spec.states
        self._doorway = Doorway(spec, context, self._take, answer=Reply(200))

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        await self._doorway.run(task_status=task_status)

    async def _take(self, request: Request) -> Taken:
        message = json_of(request.body)
        if not isinstance(message, dict) or not isinstance(message.get("alerts"), list):
            raise ConfigError("the body is no message of Alertmanager: it has no list of alerts")
        if message.get("version") != VERSION:
            raise ConfigError(f"the message has version {str(message.get('version'))[:20]!r}; {VERSION} is known")
        group = {name: value for name, value in message.items() if name != "alerts"}
        events = [self._event(alert, group) for alert in message["alerts"]]
        return [event for event in events if event is not None]

    def _event(self, alert: JsonValue, group: JsonValue) -> Event | None:
        """The event of one alert. Alertmanager repeats what still fires: that is the same event."""
        state = alert.get("status") if isinstance(alert, dict) else None
        if state not in STATES:
            raise ConfigError("an alert's status is neither firing nor resolved")
        if state not in self._states:
            return None
        fingerprint, began = alert.get("fingerprint"), alert.get("startsAt")
        if not (isinstance(fingerprint, str) and fingerprint and isinstance(began, str)):
            raise ConfigError("an alert has no fingerprint or no startsAt")
        thing = f"{fingerprint}/{began}/{state}"
        if len(thing) > 200:
            thing = f"{digest_of(thing.encode())}/{state}"
        happened = began if state == "firing" else alert.get("endsAt")
        return self._context.event(thing, {"body": alert, "group": group}, time=_time(happened))


def _time(text: JsonValue) -> datetime | None:
    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None
