"""The S3 source: objects that are made, changed or removed in buckets, also while the platform was away.

Listing finds everything; where the buckets notify a queue, that tells of objects at once. `s3_watch.py` makes one of
both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

from eventsources.duration import seconds
from eventsources.objects.minio import ObjectFilter
from eventsources.objects.s3 import EVENTS, LISTED, LISTED_BESIDE, S3, buckets_of, queue_of
from eventsources.objects.s3_buckets import Buckets, Reads
from eventsources.objects.s3_client import Place, S3Bucket
from eventsources.objects.s3_watch import Wanted, Watch
from eventsources.objects.s3_ways import by_sqs
from eventsources.objects.sets import rule_of
from eventsources.port import SourceContext, SourceState
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.objects.s3_buckets import Connection


class S3Source:
    """One entry of `spec.s3`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - it names no thing
        assert isinstance(spec, S3)
        self._spec = spec
        self._context = context
        self._queue = queue_of(spec)

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        wanted = {bucket: self._wanted_of(bucket) for bucket in buckets_of(self._spec)}
        buckets = Buckets(self._context, wanted, self._connect)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(buckets.run)
            if self._queue is not None:
                tasks.start_soon(by_sqs, self._queue, buckets, self._context)

    def _connect(self, bucket: str, context: SourceContext) -> Connection:
        return _ListedBucket(place_of(self._spec, bucket, context))

    def _wanted_of(self, bucket: str) -> Wanted:
        spec, chosen = self._spec, self._spec.filter or ObjectFilter()
        usual = LISTED if self._queue is None else LISTED_BESIDE
        return Wanted(
            scope=f"{spec.endpoint or 's3'}/{bucket}",
            bucket=bucket,
            by="aws:s3",
            events=spec.events or EVENTS,
            prefix=chosen.prefix,
            suffix=chosen.suffix,
            tell_first=spec.existing != "skip",
            every_s=seconds(spec.reconcile.every if spec.reconcile else usual),
            only_listed=self._queue is None,
            rule=rule_of(spec.stable, spec.marker, chosen.suffix),
        )


class _ListedBucket(S3Bucket):
    """A bucket that has no notifications of its own."""

    def missed(self) -> None:
        return

    async def listen(self, watch: Watch) -> None:
        del watch


def place_of(spec: S3, bucket: str, context: Reads) -> Place:
    """Where a bucket is, with the keys to it read now.

    Raises:
        NotFound: a secret is not there yet.
    """
    return Place(
        bucket=bucket,
        region=spec.region,
        endpoint=spec.endpoint,
        path_style=bool(spec.endpoint) if spec.path_style is None else spec.path_style,
        access_key=context.read(spec.access_key),
        secret_key=context.read(spec.secret_key),
        session_token=context.read(spec.session_token),
        role_arn=spec.role_arn,
        ca=context.read(spec.ca_certificate),
    )
