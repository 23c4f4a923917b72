"""MinIO's API as this room needs it: list a bucket, look up an object, listen. Blocking; run in threads.

Errors are told in the words of an operator, as Transient: whatever is wrong outside may be mended while we wait.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from http import HTTPStatus
from typing import Any

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from minio.notificationconfig import NotificationConfig, PrefixFilterRule, QueueConfig, SuffixFilterRule

from eventsources.objects.s3_records import NO_VERSION, ObjectVersion
from retrain.errors import Transient
from retrain.events import JsonValue

CONNECT_S = 5.0
READ_S = 20.0
SILENCE_S = 10.0
"""A stream in which nothing comes for so long is dead: MinIO sends a blank every half second."""

REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bucket is and how to get in."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    secure: bool
    region: str = ""
    ca: str = ""


class _Pool(urllib3.PoolManager):
    """Connections that give the stream's response away and make a stream only once.

    minio-py connects again by itself when a stream ends, and says nothing: what came between would be lost unseen.
    """

    stream: urllib3.BaseHTTPResponse | None = None
    on_stream: Callable[[], object] | None = None

    def urlopen(self, method: str, url: str, redirect: bool = True, **more: Any) -> urllib3.BaseHTTPResponse:
        if more.get("preload_content", True):
            return super().urlopen(method, url, redirect, **more)
        if self.stream is not None:
            raise Transient("the server ended the stream")
        self.stream = super().urlopen(method, url, redirect, **more)
        if self.on_stream is not None and self.stream.status == HTTPStatus.OK:
            self.on_stream()
        return self.stream


class Bucket:
    """One bucket. Its methods may be called from several threads. Close it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._pool = _pool(place, READ_S)
        self._client = _client(place, self._pool)
        self._versions = True

    def close(self) -> None:
        """Let go of its connections; one that is in use ends with its call."""
        self._pool.clear()

    def list(self, prefix: str) -> Iterator[ObjectVersion]:
        """All objects with a prefix, in every version where the bucket keeps versions, page by page.

        Raises:
            Transient: it cannot be listed now; in the words of an operator.
        """
        with self._told():
            try:
                yield from self._list(prefix)
                return
            except S3Error as error:
                if error.code != "AccessDenied" or not self._versions:
                    raise
            # The right to list may be given without the right to list versions.
            self._versions = False
            yield from self._list(prefix)

    def _list(self, prefix: str) -> Iterator[ObjectVersion]:
        place = self._place
        for one in self._client.list_objects(
            place.bucket, prefix=prefix, recursive=True, include_version=self._versions
        ):
            yield ObjectVersion(
                bucket=place.bucket,
                key=str(one.object_name),
                etag=(one.etag or "").strip('"'),
                version=_version(one.version_id),
                modified=one.last_modified.astimezone(UTC) if one.last_modified else None,
                size=one.size or 0,
                marker=bool(one.is_delete_marker),
                latest=not self._versions or str(one.is_latest).lower() != "false",
            )

    def look_up(self, key: str) -> ObjectVersion | None:
        """The object as it is now; None if it is gone, or may not be looked at.

        Raises:
            Transient: the server cannot be asked now.
        """
        with self._told():
            try:
                one = self._client.stat_object(self._place.bucket, key)
            except S3Error as error:
                if error.code in {"NoSuchKey", "NoSuchObject", "AccessDenied", "MethodNotAllowed"}:
                    return None
                raise
            modified = one.last_modified.astimezone(UTC) if one.last_modified else None
            etag = (one.etag or "").strip('"')
            version = _version(one.version_id)
            return ObjectVersion(self._place.bucket, key, etag, version, modified, one.size or 0)

    def notify(self, name: str, arn: str, events: Sequence[str], prefix: str, suffix: str) -> bool:
        """Write the rule by which the bucket notifies a target, beside its other rules; whether it is new.

        `name` is kept by S3 and by MinIO forgotten; one rule for each target is what MinIO takes.

        Raises:
            Transient: the server does not take it, as when it has no such target.
        """
        wanted = QueueConfig(
            queue=arn,
            events=list(events),
            config_id=name,
            prefix_filter_rule=PrefixFilterRule(prefix) if prefix else None,
            suffix_filter_rule=SuffixFilterRule(suffix) if suffix else None,
        )
        with self._told():
            there = self._client.get_bucket_notification(self._place.bucket)
            before = list(there.queue_config_list or ())
            if any(_same_rule(one, wanted) for one in before):
                return False
            kept = [one for one in before if one.queue != arn or one.config_id != name]
            whole = NotificationConfig(
                cloud_func_config_list=there.cloud_func_config_list,
                queue_config_list=[*kept, wanted],
                topic_config_list=there.topic_config_list,
            )
            self._client.set_bucket_notification(self._place.bucket, whole)
        return True

    @contextmanager
    def _told(self) -> Generator[None]:
        with told(self._place):
            yield


class Stream:
    """One stream of notifications. `close` may be called from another thread, and ends it.

    `on_open` is called, in the reading thread, once the server has begun to answer. (MinIO of 2025-10 and later does
    not before 4 KiB are full.)
    """

    def __init__(self, place: Place, on_open: Callable[[], object]) -> None:
        self._place = place
        self._pool = _pool(place, SILENCE_S)
        self._pool.on_stream = on_open
        self._closed = threading.Event()

    def records(self, prefix: str, suffix: str, events: Sequence[str]) -> Iterator[list[JsonValue]]:
        """The records of each notification, as they come.

        Raises:
            Transient: the stream ended, broke, was silent for SILENCE_S, or was refused.
        """
        client = _client(self._place, self._pool)
        with told(self._place):
            notices = client.listen_bucket_notification(self._place.bucket, prefix, suffix, tuple(events))
            try:
                for notice in notices:
                    yield notice["Records"]
            finally:
                if self._pool.stream is not None:
                    self._pool.stream.close()
                self._pool.clear()

    def close(self) -> None:
        """End the stream; a thread that reads from it gets a Transient."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._pool.stream is not None:
            try:
                self._pool.stream.shutdown()
            except (OSError, ValueError, RuntimeError):
                return  # it had ended


def _same_rule(one: QueueConfig, other: QueueConfig) -> bool:
    def said(rule: QueueConfig) -> tuple[object, ...]:
        prefix = rule.prefix_filter_rule.value if rule.prefix_filter_rule else ""
        suffix = rule.suffix_filter_rule.value if rule.suffix_filter_rule else ""
        return rule.queue, frozenset(rule.events), prefix, suffix

    return said(one) == said(other)


def _version(version_id: str | None) -> str:
    return "" if version_id in (None, NO_VERSION) else str(version_id)


def _pool(place: Place, read_s: float) -> _Pool:
    context = ssl.create_default_context(cadata=place.ca or None) if place.secure else None
    return _Pool(
        timeout=urllib3.Timeout(connect=CONNECT_S, read=read_s), retries=False, maxsize=10, ssl_context=context
    )


def _client(place: Place, pool: _Pool) -> Minio:
    try:
        return Minio(
            endpoint=place.endpoint,
            access_key=place.access_key,
            secret_key=place.secret_key,
            secure=place.secure,
            region=place.region or REGION,
            http_client=pool,
        )
    except (ValueError, MinioException) as error:
        raise Transient(f"MinIO endpoint {place.endpoint!r} cannot be used: {error}") from error


_WORDS = {
    "NoSuchBucket": "there is no bucket {bucket!r} on {endpoint}",
    "InvalidAccessKeyId": "{endpoint} does not know the access key",
    "SignatureDoesNotMatch": "{endpoint} says that the secret key is wrong",
    "AuthorizationHeaderMalformed": "{endpoint} wants another region than the source's: {message}",
    "AccessDenied": "{endpoint} does not let this access key list and listen to bucket {bucket!r}",
}


@contextmanager
def told(place: Place) -> Generator[None]:
    """Say what goes wrong inside as Transient, without secrets."""
    try:
        yield
    except S3Error as error:
        words = _WORDS.get(error.code or "", "{endpoint} answered {code}: {message}")
        text = words.format(bucket=place.bucket, endpoint=place.endpoint, code=error.code, message=error.message)
        raise Transient(text) from error
    except urllib3.exceptions.ReadTimeoutError as error:
        raise Transient(f"{place.endpoint} was silent for too long") from error
    except urllib3.exceptions.HTTPError as error:
        raise Transient(f"{place.endpoint} is not reached: {_cause(error)}") from error
    except (MinioException, ValueError, OSError, AttributeError) as error:
        # minio-py lets the errors of a response that was closed under it through as they are.
        raise Transient(f"{place.endpoint}: {error}") from error


def _cause(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    text = str(reason)
    return text.rpartition(": ")[2] if ": " in text else text
