"""The mlflow source (retrain.dev/v1): what changes in MLflow's model registry: new versions, aliases and tags.

The registry is asked every so often, and compared with what the store remembers: that is the truth. MLflow's signed
webhook only says that it is worth asking now.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from eventsources.fields import (
    TLS,
    BasicAuth,
    Filter,
    Limits,
    Path,
    WebhookContext,
    check_basic,
    check_duration,
    check_existing,
    check_secret,
    check_tls,
)
from eventsources.http.doorway import check_hook, route_of
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

EVERY = "30s"
EVENTS = (
    "model_version.created",
    "model_version_alias.created",
    "model_version_alias.deleted",
    "model_version_tag.set",
    "model_version_tag.deleted",
)
"""As MLflow's webhooks name them."""


class Mlflow(Shape):
    """A model registry. `models`: names, exact or with `*` at the end; none means all. `events`: none means all.

    `every` is a duration. `existing`: emit or skip what is there at the first start. `webhook` with `webhook_secret`:
    the endpoint for MLflow's webhook, which is registered where it has a `url`.
    """

    tracking_uri: str = Field(default="", alias="trackingURI")
    models: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    every: str = EVERY
    existing: str | None = None
    auth: BasicAuth | None = None
    token: KeySelector | None = None
    tls: TLS | None = None
    webhook: WebhookContext | None = None
    webhook_secret: KeySelector | None = None
    delete_hook_on_finish: bool = False
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants."""
        return [route_of(self.webhook)] if self.webhook is not None else []


def check(path: Path, spec: Mlflow, ours: bool) -> Iterator[Problem]:
    """What is wrong with one mlflow source."""
    if not spec.tracking_uri.startswith(("http://", "https://")):
        message = f"trackingURI {spec.tracking_uri!r} is no URL of a server, such as http://mlflow:5000"
        yield Problem((*path, "trackingURI") if spec.tracking_uri else path, "wrong-value", message)
    for index, event in enumerate(spec.events):
        if event not in EVENTS:
            yield Problem((*path, "events", index), "wrong-value", f"{event!r} is none of {', '.join(EVENTS)}")
    for index, model in enumerate(spec.models):
        if not model or "*" in model[:-1]:
            message = f"{model!r} is no name of a model, nor the beginning of one with * at its end"
            yield Problem((*path, "models", index), "wrong-value", message)
    yield from check_duration((*path, "every"), spec.every, least=1.0)
    yield from check_existing((*path, "existing"), spec.existing)
    yield from check_basic((*path, "auth"), spec.auth)
    yield from check_secret((*path, "token"), spec.token)
    yield from check_tls((*path, "tls"), spec.tls, ours=ours)
    if spec.auth is not None and spec.token is not None:
        yield Problem((*path, "token"), "wrong-value", "give one of auth and token")
    if spec.webhook is not None:
        yield from check_hook((*path, "webhook"), spec.webhook, ours, ("POST",))
    needed = spec.webhook is not None
    yield from check_secret((*path, "webhookSecret"), spec.webhook_secret, required=needed)
