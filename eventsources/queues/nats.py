"""What a user writes for a source on core NATS, and what can be wrong with it. `nats_source.py` runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from eventsources.fields import TLS, Backoff, BasicAuth, Filter, Limits, Path, check_basic, check_secret, check_tls
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

SCHEMES = {"nats": False, "tls": True}
"""Schemes of a URL, and whether they mean TLS."""

PORT = 4222
_WORD = r"[^\s\x00-\x1f\x7f*>.]+"
_SUBJECT = re.compile(rf"(?:(?:{_WORD}|\*)\.)*(?:{_WORD}|\*|>)")
_QUEUE = re.compile(r"[^\s\x00-\x1f\x7f]+")


class NatsAuth(Shape):
    """Who the client is: one of these. `nkey` is a seed, `credential` the text of a .creds file."""

    basic: BasicAuth | None = None
    token: KeySelector | None = None
    nkey: KeySelector | None = None
    credential: KeySelector | None = None


class Nats(Shape):
    """Messages of a subject, as core NATS hands them out: once, to whoever is there. `limits` is of retrain.dev/v1.

    `url`: nats://HOST:PORT, or tls://; several servers of one cluster with commas between. `queue`: a queue group.
    `connection_backoff` is taken and changes nothing.
    """

    url: str = ""
    subject: str = ""
    queue: str | None = None
    auth: NatsAuth | None = None
    tls: TLS | None = None
    json_body: bool | None = None
    connection_backoff: Backoff | None = None
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None


def urls_of(url: str) -> tuple[str, ...]:
    """The servers in a `url`; one without a scheme is nats://."""
    words = [one.strip() for one in url.split(",") if one.strip()]
    return tuple(one if "://" in one else f"nats://{one}" for one in words)


def check(path: Path, nats: Nats, ours: bool) -> Iterator[Problem]:
    """What is wrong with one source on core NATS."""
    yield from check_server(path, nats.url, nats.auth, nats.tls, ours=ours)
    yield from check_subject(path, nats.subject)
    if nats.queue and not _QUEUE.fullmatch(nats.queue):
        yield Problem((*path, "queue"), "wrong-value", f"queue {nats.queue!r} is no name of a queue group")


def check_server(path: Path, url: str, auth: NatsAuth | None, tls: TLS | None, *, ours: bool) -> Iterator[Problem]:
    """Where to connect, and as whom."""
    if not urls_of(url):
        yield Problem(path, "missing-field", "url is missing: nats://HOST:PORT, several with commas between")
    for one in urls_of(url):
        if not _is_url(one):
            message = "url must be nats://HOST:PORT or tls://HOST:PORT, several with commas between"
            yield Problem((*path, "url"), "wrong-value", message)
    yield from check_tls((*path, "tls"), tls, ours=ours)
    if auth is None:
        return
    given = [name for name in ("basic", "token", "nkey", "credential") if getattr(auth, name) is not None]
    if len(given) > 1:
        yield Problem((*path, "auth"), "wrong-value", f"auth has {' and '.join(given)}: write one of them")
    yield from check_basic((*path, "auth", "basic"), auth.basic)
    for name in ("token", "nkey", "credential"):
        yield from check_secret((*path, "auth", name), getattr(auth, name))


def check_subject(path: Path, subject: str, *, required: bool = True) -> Iterator[Problem]:
    """A subject, with wildcards if one likes."""
    if not subject:
        if required:
            yield Problem(path, "missing-field", "subject is missing; `data.>` is all subjects below data")
    elif not _SUBJECT.fullmatch(subject):
        message = (
            f"subject {subject!r} is none: words with dots between, * for one word, > at the end for all that follow"
        )
        yield Problem((*path, "subject"), "wrong-value", message)


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in SCHEMES and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
