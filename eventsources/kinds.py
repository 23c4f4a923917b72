"""The kinds of source that are built."""

from __future__ import annotations

from eventsources.http.webhook import WebhookSource
from eventsources.objects.minio import MinioSource
from eventsources.port import Kind
from eventsources.watching.file import FileSource

KINDS: dict[str, Kind] = {
    "webhook": WebhookSource,
    "file": FileSource,
    "minio": MinioSource,
}
"""By the name of their map in `spec`. The app adds those of the entry-point group `retrain.sources` at its start."""
