"""What a user writes for a MinIO source, and what can be wrong with it. `minio_source.py` runs it."""

from __future__ import annotations

from collections.abc import Iterator

from eventsources.fields import (
    Limits,
    Path,
    Reconcile,
    WebhookContext,
    check_existing,
    check_reconcile,
    check_secret,
    only_ours,
)
from eventsources.http.doorway import check_hook, route_of
from eventsources.objects.sets import Stable, check_sets
from eventsources.queues.jetstream import JetStream
from eventsources.queues.jetstream import check as check_jetstream
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape


class Bucket(Shape):
    """`key` means nothing to this source; Argo Events shares the shape with artifacts."""

    name: str = ""
    key: str = ""


class ObjectFilter(Shape):
    """Which keys; `expression`, in expr-lang over the event's data, is of retrain.dev/v1."""

    prefix: str = ""
    suffix: str = ""
    expression: str = ""


class Notifications(Shape):
    """Where the server sends notifications to, instead of the stream that it is asked for: one of both.

    `arn` is the server's name for that target; `retrain sources setup` writes it into the bucket's rule.
    """

    webhook: WebhookContext | None = None
    jetstream: JetStream | None = None
    arn: str = ""


class Minio(Shape):
    """Objects in buckets. What begins at `buckets` is of retrain.dev/v1.

    `existing`: emit or skip what is there at the very first start. `stable` and `marker`: an event for each data set
    that is whole, instead of one for each object.
    """

    endpoint: str = ""
    bucket: Bucket | None = None
    region: str = ""
    insecure: bool = False
    access_key: KeySelector | None = None
    secret_key: KeySelector | None = None
    ca_certificate: KeySelector | None = None
    events: tuple[str, ...] = ()
    filter: ObjectFilter | None = None
    metadata: dict[str, str] = {}
    buckets: tuple[str, ...] = ()
    existing: str | None = None
    reconcile: Reconcile | None = None
    limits: Limits | None = None
    notifications: Notifications | None = None
    stable: Stable | None = None
    marker: str = ""

    def routes(self) -> list[tuple[str, str, str]]:
        """The requests that it wants: port (empty: the platform's), method, path."""
        hook = self.notifications.webhook if self.notifications else None
        return [route_of(hook)] if hook else []


OURS = ("buckets", "existing", "reconcile", "notifications", "stable", "marker")
EVENTS = ("s3:ObjectCreated:*",)
RECONCILE = "5m"


def buckets_of(spec: Minio) -> tuple[str, ...]:
    """The buckets that it watches, each once."""
    one = (spec.bucket.name,) if spec.bucket and spec.bucket.name else ()
    return tuple(dict.fromkeys((*one, *spec.buckets)))


def check(path: Path, minio: Minio, ours: bool) -> Iterator[Problem]:
    """What is wrong with one MinIO source."""
    if not minio.endpoint:
        yield Problem(path, "missing-field", "endpoint is missing: host:port of the MinIO server")
    elif "://" in minio.endpoint or "/" in minio.endpoint:
        message = f"endpoint {minio.endpoint!r} is host:port, without scheme and path; `insecure: true` means http"
        yield Problem((*path, "endpoint"), "wrong-value", message)
    yield from check_buckets(path, buckets_of(minio))
    yield from check_secret((*path, "accessKey"), minio.access_key, required=True)
    yield from check_secret((*path, "secretKey"), minio.secret_key, required=True)
    yield from check_secret((*path, "caCertificate"), minio.ca_certificate)
    yield from check_events((*path, "events"), minio.events)
    yield from only_ours(path, minio, OURS, ours=ours)
    yield from check_existing((*path, "existing"), minio.existing)
    yield from check_reconcile((*path, "reconcile"), minio.reconcile)
    yield from check_sets(path, minio.stable, minio.marker)
    if minio.notifications is not None:
        yield from _check_notifications((*path, "notifications"), minio.notifications, ours)


def check_buckets(path: Path, buckets: tuple[str, ...]) -> Iterator[Problem]:
    """That there is a bucket, and that none is nameless."""
    if not buckets:
        yield Problem((*path, "bucket"), "missing-field", "bucket.name is missing")
    elif not all(buckets):
        yield Problem((*path, "buckets"), "wrong-value", "a bucket's name must not be empty")


def check_events(path: Path, events: tuple[str, ...]) -> Iterator[Problem]:
    """Kinds of events, as S3's rules name them."""
    for index, event in enumerate(events):
        if not event.startswith("s3:"):
            message = f"{event!r} is no event of S3; they look like s3:ObjectCreated:*"
            yield Problem((*path, index), "wrong-value", message)


def _check_notifications(path: Path, sent: Notifications, ours: bool) -> Iterator[Problem]:
    if (sent.webhook is None) == (sent.jetstream is None):
        message = "notifications are sent to one place: give either webhook or jetstream"
        yield Problem(path, "missing-field" if sent.webhook is None else "wrong-value", message)
    if sent.webhook is not None:
        yield from check_hook((*path, "webhook"), sent.webhook, ours, ("POST",))
    if sent.jetstream is not None:
        yield from check_jetstream((*path, "jetstream"), sent.jetstream, ours)
    if sent.arn and not sent.arn.startswith("arn:minio:sqs:"):
        message = f"arn {sent.arn!r} names no target of MinIO; they look like arn:minio:sqs::ONE:webhook"
        yield Problem((*path, "arn"), "wrong-value", message)
