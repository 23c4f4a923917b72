"""What a user writes for a source on Google Cloud Storage, and what can be wrong with it. `gcs_source.py` runs it.

Argo Events has no such kind: it is of retrain.dev/v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from eventsources.fields import Path
from eventsources.objects.minio import ObjectFilter
from eventsources.queues.pubsub import Subscribed, check_place
from retrain.manifests import Problem

FINALIZE = "OBJECT_FINALIZE"
EVENTS = (FINALIZE, "OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


class Gcs(Subscribed):
    """Objects in a bucket, by the notifications that it sends to a topic of Pub/Sub.

    `bucket`: which of the buckets that notify the topic; all if left out. `events`: OBJECT_FINALIZE (an object is
    there) if left out. `filter`: which objects, by prefix and suffix of their names.
    """

    bucket: str = ""
    events: tuple[str, ...] = ()
    filter: ObjectFilter | None = None


def check(path: Path, gcs: Gcs, ours: bool) -> Iterator[Problem]:  # noqa: ARG001 - the whole kind is ours
    """What is wrong with one source on Cloud Storage."""
    if gcs.bucket and not _BUCKET.fullmatch(gcs.bucket):
        yield Problem((*path, "bucket"), "wrong-value", f"bucket {gcs.bucket!r} is no name of a bucket")
    for index, event in enumerate(gcs.events):
        if event not in EVENTS:
            message = f"{event!r} is none of {', '.join(EVENTS)}"
            yield Problem((*path, "events", index), "wrong-value", message)
    yield from check_place(path, gcs)
