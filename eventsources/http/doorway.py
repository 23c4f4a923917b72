"""One entry's way in: its endpoint, open as long as the source runs, and what every kind does with what comes.

A kind says what a request means (`take`: its events, or an answer of its own); who may come in by token, the bus, the
answers and the counting are here.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any

import anyio
from anyio.abc import TaskStatus

from eventsources.fields import MAX_PAYLOAD, Path, WebhookContext, check_secret, only_ours
from eventsources.http.answers import RETRY, TEXT, Refusal, Reply, json_reply, unauthorized
from eventsources.http.door import Endpoint
from eventsources.http.paths import BadTemplate, Template
from eventsources.http.ports import Port
from eventsources.http.request import Request
from eventsources.http.serving_tls import identity_of
from eventsources.port import SourceContext
from eventsources.trying import FIRST_S, LAST_S, keep_trying
from retrain.errors import ConfigError, NotFound, Permanent, RetrainError, Transient
from retrain.events import Event
from retrain.log import get_logger
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector
from retrain.serving import Headers
from retrain.telemetry.ids import of_headers

log = get_logger()

METHODS = ("GET", "POST", "PUT")
RENEW_S = 60.0
"""Seconds between two looks at the certificate's secrets: a renewed certificate is shown without a restart."""

Taken = Sequence[Event] | Reply
Beside = Callable[[], Coroutine[Any, Any, None]]
Take = Callable[[Request], Awaitable[Taken]]
"""What a request means. Raises Refusal, ConfigError (400), NotFound (a secret is missing: 503), Transient (503)."""


class Doorway:
    """One endpoint. `answer` is what a sender gets whose events are safe, where the usual answer would not do.

    `needs`: the secrets that senders are checked by. While one is not there the source says that it waits for it, and
    answers 503.
    """

    def __init__(
        self,
        hook: WebhookContext,
        context: SourceContext,
        take: Take,
        *,
        answer: Reply | None = None,
        needs: Sequence[KeySelector | None] = (),
    ) -> None:
        self._needs = [one for one in (hook.auth_secret, *needs) if one is not None]
        self._hook = hook
        self._context = context
        self._take = take
        self._answer = answer
        self._port = int(hook.port) if hook.port else None
        self._endpoint = Endpoint(
            owner=f"{context.source}/{context.name}",
            method=method_of(hook),
            path=slashed(hook.endpoint),
            limit=hook.max_payload_size or MAX_PAYLOAD,
            take=self._serve_one,
            admit=self._admit if hook.auth_secret is not None else None,
            kind=context.status.kind,
        )

    async def run(self, *, task_status: TaskStatus[None], beside: Beside | None = None) -> None:
        """Serve until cancelled. `beside` runs as long as the endpoint is open, and is over before it closes."""

        async def attempt() -> None:
            await self._open(task_status, beside)

        await keep_trying(self._context, attempt)

    async def _open(self, task_status: TaskStatus[None], beside: Beside | None) -> None:
        identity = identity_of(self._hook, self._context)
        async with self._context.ports.open(self._port, identity) as port:
            port.app.add(self._endpoint)
            try:
                task_status.started()
                await self._wait_for_secrets()
                async with anyio.create_task_group() as tasks:
                    if beside is not None:
                        tasks.start_soon(beside)
                    while True:
                        await anyio.sleep(RENEW_S)
                        self._renew(port)
                        await self._wait_for_secrets()
            finally:
                port.app.remove(self._endpoint)

    async def _wait_for_secrets(self) -> None:
        """Returns when all are there; says meanwhile what is lacking."""
        status, delay = self._context.status, FIRST_S
        while (lacking := self._lacking()) is not None:
            status.failed(lacking)
            status.waiting(lacking)
            await anyio.sleep(delay)
            delay = min(delay * 2, LAST_S)
        if status.state().state != "listening":
            status.listening()

    def _lacking(self) -> str | None:
        for selector in self._needs:
            try:
                if not self._context.read(selector):
                    return f"the secret {selector.name!r} has nothing under {selector.key!r}"
            except RetrainError as error:
                return str(error)
        return None

    def _renew(self, port: Port) -> None:
        """Show a certificate that was renewed; one that cannot be used leaves the old one in place."""
        try:
            port.show(identity_of(self._hook, self._context))
        except RetrainError as error:
            log.warning("webhook.certificate_kept", source=self._endpoint.owner, error=str(error))

    def _admit(self, headers: Headers) -> None:
        """Who may come in, by the bearer token; before anything of the body is read."""
        secret = self.secret(self._hook.auth_secret)
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1 or not hmac.compare_digest(given[0], b"Bearer " + secret.encode()):
            raise unauthorized("a valid bearer token is required", b"Bearer")

    def secret(self, selector: KeySelector | None) -> str:
        """A secret that clients are checked by.

        Raises:
            Refusal: 503: it is not there, or empty. Nobody comes in then.
        """
        try:
            found = self._context.read(selector)
        except RetrainError as error:
            log.warning("webhook.secret_missing", source=self._endpoint.owner, error=str(error))
            found = ""
        if not found:
            raise Refusal(503, "the endpoint's secret is not there yet", RETRY)
        return found

    async def _serve_one(self, request: Request) -> Reply:
        status = self._context.status
        try:
            taken = await self._take(request)
            if isinstance(taken, Reply):
                return taken
            trace = of_headers(request.headers)
            for event in taken:
                await self._context.emit(event.with_extensions(trace))
        except ConfigError as error:
            raise Refusal(400, str(error)) from error
        except Permanent as error:
            status.failed(str(error))
            raise Refusal(422, str(error)) from error
        except (Transient, NotFound) as error:
            status.failed(str(error))
            log.warning("webhook.not_accepted", source=self._endpoint.owner, error=status.clean(str(error)))
            raise Refusal(503, "the event could not be made safe; send it again", RETRY) from error
        if taken:
            status.received(self._context.clock.now(), len(taken))
        return self._answer or self._accepted(taken)

    def _accepted(self, taken: Sequence[Event]) -> Reply:
        if not self._context.ours:
            return Reply(200, b"success", TEXT)  # as Argo Events answers
        if len(taken) == 1:
            return json_reply(202, {"id": taken[0].id})
        return json_reply(202, {"ids": [event.id for event in taken]})


# --- what the user writes -------------------------------------------------------------------------------------------


def method_of(hook: WebhookContext) -> str:
    """The method that the endpoint takes."""
    return hook.method.upper() or "POST"


def slashed(endpoint: str) -> str:
    """The endpoint as a path: upstream takes one without the slash, too."""
    return endpoint if endpoint.startswith("/") else f"/{endpoint}"


def route_of(hook: WebhookContext) -> tuple[str, str, str]:
    """The requests that an endpoint wants: port (empty: the platform's), method, path."""
    return hook.port, method_of(hook), slashed(hook.endpoint)


def check_hook(path: Path, hook: WebhookContext | None, ours: bool, methods: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with an endpoint; that no two want the same requests is checked for all kinds together."""
    if hook is None:
        yield Problem(path, "missing-field", "webhook is missing: the endpoint that is called")
        return
    if not hook.endpoint:
        yield Problem((*path, "endpoint"), "missing-field", "endpoint is missing; it is the path, like /example")
    try:
        Template(slashed(hook.endpoint))
    except BadTemplate as error:
        yield Problem((*path, "endpoint"), "unsupported-field", str(error))
    if hook.method and hook.method.upper() not in methods:
        message = f"method {hook.method!r} is none of {', '.join(methods)}"
        yield Problem((*path, "method"), "wrong-value", message)
    if hook.port and not (hook.port.isdecimal() and 0 < int(hook.port) < 65536):
        yield Problem((*path, "port"), "wrong-value", f"port {hook.port!r} is no number from 1 to 65535")
    if hook.max_payload_size < 0:
        yield Problem((*path, "maxPayloadSize"), "wrong-value", "maxPayloadSize is in bytes, and not negative")
    yield from check_secret((*path, "authSecret"), hook.auth_secret)
    yield from _check_tls(path, hook, ours)


def _check_tls(path: Path, hook: WebhookContext, ours: bool) -> Iterator[Problem]:
    yield from only_ours(path, hook, ("clientCaSecret",), ours=ours)
    for name, secret in (
        ("serverCertSecret", hook.server_cert_secret),
        ("serverKeySecret", hook.server_key_secret),
        ("clientCaSecret", hook.client_ca_secret),
    ):
        yield from check_secret((*path, name), secret)
    if (hook.server_cert_secret is None) != (hook.server_key_secret is None):
        missing = "serverKeySecret" if hook.server_key_secret is None else "serverCertSecret"
        yield Problem((*path, missing), "missing-field", f"{missing} is missing: certificate and key go together")
    if hook.client_ca_secret is not None and hook.server_cert_secret is None:
        message = "clientCaSecret wants serverCertSecret and serverKeySecret: clients show certificates over TLS only"
        yield Problem((*path, "clientCaSecret"), "missing-field", message)
    if hook.server_cert_secret is not None and not hook.port:
        message = "port is missing: TLS is served on a port of its own, not on the platform's"
        yield Problem((*path, "port"), "missing-field", message)


def check_guarded(path: Path, hook: WebhookContext | None, ours: bool, *proofs: object) -> Iterator[Problem]:
    """A warning where anybody may send events: no secret of the kind (`proofs`), no token, no client certificates."""
    guards = (*proofs, hook and hook.auth_secret, hook and hook.client_ca_secret)
    if ours and not any(guard is not None for guard in guards):
        message = "anybody who reaches this endpoint can send events; give it a secret"
        yield Problem(path, "open-endpoint", message, "warning")
