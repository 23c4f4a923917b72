"""S3's API as this room needs it, by boto3: list a bucket, look up an object. Blocking; run in threads.

Errors are told in the words of an operator, as Transient: whatever is wrong outside may be mended while we wait.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from eventsources.objects.s3_records import NO_VERSION, ObjectVersion
from retrain.errors import Transient

DIAL_S, ANSWER_S = 5, 30
ROLE_S = 3600
REGION = "us-east-1"
NO_VERSIONS = ("AccessDenied", "NotImplemented", "MethodNotAllowed")
"""Answers to a listing of versions after which a plain one may do."""

_HIDDEN = (403, 404, 405)
"""Answers to a look at an object that is gone, has a delete marker, or may not be looked at."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bucket is and how to get in. Empty keys: the machine's own."""

    bucket: str
    region: str = ""
    endpoint: str = ""
    path_style: bool = False
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    role_arn: str = ""
    ca: str = field(default="", repr=False)

    @property
    def where(self) -> str:
        return self.endpoint or f"S3 in {self.region}"


class S3Bucket:
    """One bucket. Its methods may be called from several threads. Close it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._ca = _file(place.ca)
        self._versions = True
        with told(place):
            self._client = _client("s3", place, _keys(place), self._ca.name if self._ca else None)

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()
        if self._ca is not None:
            self._ca.close()

    def list(self, prefix: str) -> Iterator[ObjectVersion]:
        """All objects with a prefix, in every version where the bucket keeps versions, page by page.

        Raises:
            Transient: it cannot be listed now; in the words of an operator.
        """
        with told(self._place):
            if self._versions:
                try:
                    yield from self._list_versions(prefix)
                    return
                except ClientError as error:
                    if _code(error) not in NO_VERSIONS:
                        raise
                self._versions = False
            yield from self._list_objects(prefix)

    def _list_versions(self, prefix: str) -> Iterator[ObjectVersion]:
        pages = self._client.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self._place.bucket, Prefix=prefix):
            found = [self._version(one) for one in page.get("Versions", ())]
            found += [self._version(one, marker=True) for one in page.get("DeleteMarkers", ())]
            # A page has both in lists of their own, each in the order of keys; sorting keeps a key's versions' order.
            yield from sorted(found, key=lambda one: one.key.encode("utf-8", "surrogateescape"))

    def _list_objects(self, prefix: str) -> Iterator[ObjectVersion]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._place.bucket, Prefix=prefix):
            yield from (self._version(one) for one in page.get("Contents", ()))

    def _version(self, one: Any, *, marker: bool = False) -> ObjectVersion:
        return ObjectVersion(
            bucket=self._place.bucket,
            key=one["Key"],
            etag="" if marker else str(one.get("ETag") or "").strip('"'),
            version=_named(one.get("VersionId")),
            modified=one["LastModified"].astimezone(UTC) if one.get("LastModified") else None,
            size=int(one.get("Size") or 0),
            marker=marker,
            latest=one.get("IsLatest", True),
        )

    def look_up(self, key: str) -> ObjectVersion | None:
        """The object as it is now; None if it is gone, or may not be looked at.

        Raises:
            Transient: the server cannot be asked now.
        """
        with told(self._place):
            try:
                found = self._client.head_object(Bucket=self._place.bucket, Key=key)
            except ClientError as error:
                if _status(error) in _HIDDEN:
                    return None
                raise
            return ObjectVersion(
                bucket=self._place.bucket,
                key=key,
                etag=str(found.get("ETag") or "").strip('"'),
                version=_named(found.get("VersionId")),
                modified=found["LastModified"].astimezone(UTC),
                size=int(found.get("ContentLength") or 0),
            )

    def notify(self, name: str, arn: str, events: tuple[str, ...], prefix: str, suffix: str) -> bool:
        """Write the rule `name` by which the bucket notifies a queue, beside its other rules; whether it is new.

        Raises:
            Transient: the bucket does not take it.
        """
        rules = [{"Name": side, "Value": text} for side, text in (("prefix", prefix), ("suffix", suffix)) if text]
        wanted: dict[str, Any] = {"Id": name, "QueueArn": arn, "Events": list(events)}
        if rules:
            wanted["Filter"] = {"Key": {"FilterRules": rules}}
        with told(self._place):
            there = self._client.get_bucket_notification_configuration(Bucket=self._place.bucket)
            there.pop("ResponseMetadata", None)
            before = there.get("QueueConfigurations", [])
            if any(_same_rule(one, wanted) for one in before):
                return False
            there["QueueConfigurations"] = [*(one for one in before if one.get("Id") != name), wanted]
            self._client.put_bucket_notification_configuration(
                Bucket=self._place.bucket, NotificationConfiguration=there
            )
        return True


def _same_rule(one: Any, other: Any) -> bool:
    def said(rule: Any) -> tuple[Any, ...]:
        rules = (rule.get("Filter") or {}).get("Key", {}).get("FilterRules", [])
        sides = {(one["Name"].lower(), one["Value"]) for one in rules if one.get("Value")}
        return rule.get("Id"), rule.get("QueueArn"), frozenset(rule.get("Events", ())), frozenset(sides)

    return said(one) == said(other)


def _named(version_id: str | None) -> str:
    return "" if version_id in (None, NO_VERSION) else str(version_id)


def _file(text: str) -> Any:
    """A file with this text, as boto3 wants certificates; private, and gone when it is closed."""
    if not text:
        return None
    file = tempfile.NamedTemporaryFile("w", suffix=".pem")  # noqa: SIM115 - it lives as long as the bucket
    file.write(text)
    file.flush()
    return file


def _keys(place: Place) -> dict[str, str]:
    """What the client signs with; a role is assumed now. Its keys last for an hour, and a new try assumes it again."""
    keys: dict[str, str] = {}
    if place.access_key:
        keys = {"aws_access_key_id": place.access_key, "aws_secret_access_key": place.secret_key}
    if place.session_token:
        keys["aws_session_token"] = place.session_token
    if not place.role_arn:
        return keys
    sts = _client("sts", place, keys, None)
    try:
        given = sts.assume_role(RoleArn=place.role_arn, RoleSessionName="retrain", DurationSeconds=ROLE_S)[
            "Credentials"
        ]
    finally:
        sts.close()
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


def _client(service: str, place: Place, keys: dict[str, str], ca: str | None) -> Any:
    # One try: whoever reads here tries again, and says so.
    config = Config(
        connect_timeout=DIAL_S,
        read_timeout=ANSWER_S,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path" if place.path_style else "auto"},
    )
    session = boto3.Session(region_name=place.region or REGION, **keys)
    return session.client(service, endpoint_url=place.endpoint or None, config=config, verify=ca)


_WORDS = {
    "NoSuchBucket": "there is no bucket {bucket!r} at {where}",
    "404": "there is no bucket {bucket!r} at {where}",
    "InvalidAccessKeyId": "{where} does not know the access key",
    "SignatureDoesNotMatch": "{where} says that the secret key is wrong",
    "PermanentRedirect": "bucket {bucket!r} is in another region than {where}",
    "AuthorizationHeaderMalformed": "bucket {bucket!r} is in another region than {where}: {text}",
    "ExpiredToken": "{where} says that the keys have run out",
    "AccessDenied": "{where} does not let this access key list bucket {bucket!r}",
}


@contextmanager
def told(place: Place) -> Generator[None]:
    """Say what goes wrong inside as Transient, without secrets."""
    try:
        yield
    except ClientError as error:
        words = _WORDS.get(_code(error), "{where} answered {code}: {text}")
        text = str(error.response.get("Error", {}).get("Message", ""))[:200]
        said = words.format(bucket=place.bucket, where=place.where, code=_code(error), text=text)
        raise Transient(said) from error
    except EndpointConnectionError as error:
        raise Transient(f"{place.where} is not reached: nobody answers") from error
    except (BotoCoreError, OSError, ValueError) as error:
        raise Transient(f"{place.where}: {str(error)[:300] or type(error).__name__}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "?"))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
