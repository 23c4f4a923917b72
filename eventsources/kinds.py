"""The kinds of source that are built."""

from __future__ import annotations

from eventsources.file import FileSource
from eventsources.minio import MinioSource
from eventsources.port import Kind
from eventsources.webhook import WebhookSource

KINDS: dict[str, Kind] = {
    "webhook": WebhookSource,
    "file": FileSource,
    "minio": MinioSource,
}
"""By the name of their map in `spec`. The app adds those of the entry-point group `retrain.sources` at its start."""
