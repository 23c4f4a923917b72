"""What a user writes for a MinIO source, and what can be wrong with it. `minio_source.py` runs it."""

from __future__ import annotations

from collections.abc import Iterator

from eventsources.fields import (
    Limits,
    Path,
    Reconcile,
    check_existing,
    check_reconcile,
    check_secret,
    only_ours,
)
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


class Minio(Shape):
    """Objects in a bucket. `existing`, `reconcile` and `limits` are of retrain.dev/v1."""

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
    existing: str | None = None
    reconcile: Reconcile | None = None
    limits: Limits | None = None


def check(path: Path, minio: Minio, ours: bool) -> Iterator[Problem]:
    """What is wrong with one MinIO source."""
    if not minio.endpoint:
        yield Problem(path, "missing-field", "endpoint is missing: host:port of the MinIO server")
    elif "://" in minio.endpoint or "/" in minio.endpoint:
        message = f"endpoint {minio.endpoint!r} is host:port, without scheme and path; `insecure: true` means http"
        yield Problem((*path, "endpoint"), "wrong-value", message)
    if minio.bucket is None or not minio.bucket.name:
        yield Problem((*path, "bucket"), "missing-field", "bucket.name is missing")
    yield from check_secret((*path, "accessKey"), minio.access_key, required=True)
    yield from check_secret((*path, "secretKey"), minio.secret_key, required=True)
    yield from check_secret((*path, "caCertificate"), minio.ca_certificate)
    for index, event in enumerate(minio.events):
        if not event.startswith("s3:"):
            message = f"{event!r} is no event of S3; they look like s3:ObjectCreated:*"
            yield Problem((*path, "events", index), "wrong-value", message)
    yield from only_ours(path, minio, ("existing", "reconcile"), ours=ours)
    yield from check_existing((*path, "existing"), minio.existing)
    yield from check_reconcile((*path, "reconcile"), minio.reconcile)
