"""What a user writes for an S3 source, and what can be wrong with it. `s3_source.py` runs it.

Argo Events has no such kind: it is of retrain.dev/v1.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from eventsources.fields import Limits, Path, Reconcile, check_existing, check_reconcile, check_secret
from eventsources.objects.minio import Bucket, ObjectFilter, check_buckets, check_events
from eventsources.objects.sets import Stable, check_sets
from eventsources.queues.sqs import Sqs
from eventsources.queues.sqs import check as check_sqs
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

EVENTS = ("s3:ObjectCreated:*",)
LISTED, LISTED_BESIDE = "30s", "5m"
"""How often buckets are listed: where nothing else tells of objects, and beside a queue."""


class S3Notifications(Shape):
    """The queue that the buckets notify, also by way of SNS or EventBridge.

    Region and keys are those of the source where the queue names none. `arn` is the queue's; `retrain sources setup`
    writes it into the buckets' rules.
    """

    sqs: Sqs | None = None
    arn: str = ""


class S3(Shape):
    """Objects in buckets of Amazon S3, or of any server that speaks its protocol (`endpoint`, a URL).

    Without keys, those of the environment, a profile or the machine's role are taken. `path_style`: the bucket's name
    stands in the path instead of the host's name; so it is with an endpoint, unless false is said. `existing`: emit or
    skip what is there at the very first start. `stable` and `marker`: an event for each data set that is whole, instead
    of one for each object.
    """

    region: str = ""
    endpoint: str = ""
    path_style: bool | None = None
    bucket: Bucket | None = None
    buckets: tuple[str, ...] = ()
    access_key: KeySelector | None = None
    secret_key: KeySelector | None = None
    session_token: KeySelector | None = None
    role_arn: str = Field(default="", alias="roleARN")
    ca_certificate: KeySelector | None = None
    events: tuple[str, ...] = ()
    filter: ObjectFilter | None = None
    metadata: dict[str, str] = {}
    existing: str | None = None
    reconcile: Reconcile | None = None
    limits: Limits | None = None
    notifications: S3Notifications | None = None
    stable: Stable | None = None
    marker: str = ""


def buckets_of(spec: S3) -> tuple[str, ...]:
    """The buckets that it watches, each once."""
    one = (spec.bucket.name,) if spec.bucket and spec.bucket.name else ()
    return tuple(dict.fromkeys((*one, *spec.buckets)))


def queue_of(spec: S3) -> Sqs | None:
    """The queue, with what the source says of region and keys where it says nothing itself."""
    sqs = spec.notifications.sqs if spec.notifications else None
    if sqs is None:
        return None
    found = {} if sqs.region else {"region": spec.region}
    if sqs.access_key is None and not sqs.role_arn:
        names = ("access_key", "secret_key", "session_token", "role_arn")
        found |= {name: getattr(spec, name) for name in names}
    return sqs.model_copy(update=found)


def check(path: Path, s3: S3, ours: bool) -> Iterator[Problem]:
    """What is wrong with one S3 source."""
    if not s3.region and not s3.endpoint:
        yield Problem(path, "missing-field", "region is missing: where the buckets are, such as us-east-1")
    if s3.endpoint and not s3.endpoint.startswith(("http://", "https://")):
        message = f"endpoint {s3.endpoint!r} must begin with https:// or http://"
        yield Problem((*path, "endpoint"), "wrong-value", message)
    yield from check_buckets(path, buckets_of(s3))
    yield from _check_keys(path, s3)
    yield from check_events((*path, "events"), s3.events)
    yield from check_existing((*path, "existing"), s3.existing)
    yield from check_reconcile((*path, "reconcile"), s3.reconcile)
    yield from check_sets(path, s3.stable, s3.marker)
    if s3.notifications is not None:
        yield from _check_notifications((*path, "notifications"), s3, ours)


def _check_keys(path: Path, s3: S3) -> Iterator[Problem]:
    """Both halves of a key, or none."""
    yield from check_secret((*path, "accessKey"), s3.access_key, required=s3.secret_key is not None)
    yield from check_secret((*path, "secretKey"), s3.secret_key, required=s3.access_key is not None)
    yield from check_secret((*path, "sessionToken"), s3.session_token)
    yield from check_secret((*path, "caCertificate"), s3.ca_certificate)
    if s3.session_token is not None and s3.access_key is None:
        yield Problem((*path, "sessionToken"), "wrong-value", "sessionToken goes with accessKey and secretKey")
    if s3.role_arn and not s3.role_arn.startswith("arn:"):
        yield Problem((*path, "roleARN"), "wrong-value", f"roleARN {s3.role_arn!r} is no ARN of a role")


def _check_notifications(path: Path, s3: S3, ours: bool) -> Iterator[Problem]:
    queue, sent = queue_of(s3), s3.notifications
    if queue is None:
        yield Problem(path, "missing-field", "sqs is missing: the queue that the buckets notify")
    else:
        yield from check_sqs((*path, "sqs"), queue, ours)
    if sent and sent.arn and ":sqs:" not in sent.arn:
        message = f"arn {sent.arn!r} names no queue; they look like arn:aws:sqs:us-east-1:123456789012:name"
        yield Problem((*path, "arn"), "wrong-value", message)
