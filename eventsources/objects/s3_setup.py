"""Writes the rules by which buckets send their notifications, for sources that name an `arn`: `retrain sources setup`.

Rules that others have written stay. A rule that is there already is left as it is, so it may be run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from eventsources.objects import minio, s3
from eventsources.objects.minio import ObjectFilter
from eventsources.port import Secrets
from eventsources.spec import EventSourceDocument
from retrain.errors import ConfigError
from retrain.manifests.argo import KeySelector


class RuledBucket(Protocol):
    """A bucket whose notifications can be set up."""

    def notify(self, name: str, arn: str, events: tuple[str, ...], prefix: str, suffix: str) -> bool: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A bucket's rule as a source wants it; `name` says whose it is."""

    source: str
    event: str
    bucket: str
    arn: str
    events: tuple[str, ...]
    prefix: str
    suffix: str

    @property
    def name(self) -> str:
        return f"retrain-{self.source}-{self.event}"


class Reader:
    """Reads secrets as a source's context does."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def read(self, selector: KeySelector | None) -> str:
        """A secret's value without one trailing newline; empty where none is named."""
        if selector is None or not selector.name:
            return ""
        return self._secrets.secret(selector.name, selector.key).removesuffix("\n")


def rules_of(document: EventSourceDocument, event: str = "") -> list[Rule]:
    """The rules that an EventSource asks for; of one event, where it is named."""
    return [rule for rule, _ in _wanted(document) if event in ("", rule.event)]


def write(document: EventSourceDocument, rule: Rule, secrets: Secrets) -> bool:
    """Write one rule; False if it was there.

    Raises:
        NotFound: a secret is not there. Transient: the server does not take it; in the words of an operator.
    """
    spec = next((spec for wanted, spec in _wanted(document) if wanted == rule), None)
    if spec is None:
        raise ConfigError(f"{document.name} has no rule {rule.name!r}")
    with closing(_bucket(spec, rule.bucket, Reader(secrets))) as bucket:
        return bucket.notify(rule.name, rule.arn, rule.events, rule.prefix, rule.suffix)


def _bucket(spec: minio.Minio | s3.S3, bucket: str, reader: Reader) -> RuledBucket:
    if isinstance(spec, minio.Minio):
        from eventsources.objects import minio_client, minio_source

        return minio_client.Bucket(minio_source.place_of(spec, bucket, reader))
    from eventsources.objects import s3_client, s3_source

    return s3_client.S3Bucket(s3_source.place_of(spec, bucket, reader))


def _wanted(document: EventSourceDocument) -> Iterator[tuple[Rule, minio.Minio | s3.S3]]:
    for kind, buckets_of, usual in (("minio", minio.buckets_of, minio.EVENTS), ("s3", s3.buckets_of, s3.EVENTS)):
        for event, spec in document.spec.entries(kind).items():
            if spec.notifications is None or not spec.notifications.arn:
                continue
            chosen = spec.filter or ObjectFilter()
            # A set's marker has another suffix than its parts.
            suffix = "" if spec.marker or spec.stable else chosen.suffix
            for bucket in buckets_of(spec):
                named = (document.name, event, bucket, spec.notifications.arn, spec.events or usual)
                yield Rule(*named, chosen.prefix, suffix), spec
