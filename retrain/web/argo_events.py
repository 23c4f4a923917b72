"""`POST /api/v1/events/{namespace}/{discriminator}`: any JSON, as Argo's server takes it for WorkflowEventBindings.

200 and `{}` once the bus has it. A delivery that says which one it is (`X-GitHub-Delivery` and its like) is the same
event however often it comes; without that every request is an event of its own.

Source: https://argo-workflows.readthedocs.io/en/latest/events/
"""

from __future__ import annotations

from urllib.parse import unquote
from uuid import uuid4

import orjson

from eventsources.http.answers import Refusal
from eventsources.http.reading import Gone, read_whole
from pipelines.host.bindings import SOURCE
from retrain.bus import Bus
from retrain.clock import Clock
from retrain.errors import EventError, Permanent, Transient
from retrain.events import Event
from retrain.serving import Receive, Scope, Send, answer
from retrain.web.intake import RETRY

PREFIX = "/api/v1/events/"
DELIVERIES = ("x-github-delivery", "x-gitlab-event-uuid", "x-request-uuid", "x-event-id")
"""Headers by which senders name a delivery."""


class ArgoEvents:
    """Takes events of that form."""

    def __init__(self, bus: Bus, clock: Clock, max_body: int) -> None:
        self._bus = bus
        self._clock = clock
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_whole(scope["headers"], receive, self._max_body)
            await self._bus.publish(self._event(scope, body))
        except Gone:
            return
        except Refusal as refusal:
            await answer(send, refusal.status, {"error": refusal.text}, refusal.headers)
        except EventError as error:
            await answer(send, 400, {"error": str(error), "attribute": error.attribute})
        except orjson.JSONDecodeError as error:
            await answer(send, 400, {"error": f"the body is no JSON that an event can hold: {error}"})
        except Permanent as error:
            await answer(send, 413, {"error": str(error)})
        except Transient as error:
            await answer(send, 503, {"error": str(error)}, RETRY)
        else:
            await answer(send, 200, {})

    def _event(self, scope: Scope, body: bytes) -> Event:
        path: str = scope["path"]
        namespace, _, discriminator = path.removeprefix(PREFIX).partition("/")
        if not (namespace + discriminator).replace(" ", "").isprintable():
            raise EventError("discriminator", "holds control characters")
        headers = metadata_of(scope["headers"])
        delivery = next((headers[name][0] for name in DELIVERIES if headers.get(name)), None)
        data = {
            "namespace": unquote(namespace),
            "discriminator": unquote(discriminator),
            "metadata": headers,
            "payload": orjson.loads(body) if body else None,
        }
        return Event(
            id=f"{namespace}/{discriminator}/{delivery}" if delivery else uuid4().hex,
            source=SOURCE,
            subject=unquote(discriminator) or None,
            type="dev.retrain.workflow-event",
            time=self._clock.now(),
            datacontenttype="application/json",
            data=data,
        )


def is_argo_event(scope: Scope) -> bool:
    """Whether a request is of this form."""
    path: str = scope["path"]
    return scope["method"] == "POST" and path.startswith(PREFIX) and path.count("/") == PREFIX.count("/") + 1


def metadata_of(headers: list[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    """The `x-` headers, lower-case, each with all of its values."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower().startswith(b"x-"):
            found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found
