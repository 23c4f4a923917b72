"""What a user writes for an AMQP source (RabbitMQ), and what can be wrong with it. `amqp_source.py` runs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import yaml

from eventsources.fields import (
    TLS,
    Backoff,
    BasicAuth,
    Filter,
    Limits,
    Path,
    check_basic,
    check_secret,
    check_tls,
    only_ours,
)
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

EXCHANGES = ("direct", "fanout", "topic", "headers")
SCHEMES = {"amqp": False, "amqps": True}
"""Schemes of a URL, and whether they mean TLS."""


class ExchangeDeclare(Shape):
    """`no_wait` is taken; the answer is waited for all the same."""

    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    no_wait: bool = False


class QueueDeclare(Shape):
    """`arguments`: a mapping, or as Argo Events has it, the YAML text of one."""

    name: str = ""
    durable: bool = False
    auto_delete: bool = False
    exclusive: bool = False
    no_wait: bool = False
    arguments: JsonValue = None


class QueueBind(Shape):
    """`no_wait` is taken; the answer is waited for all the same."""

    no_wait: bool = False


class Consume(Shape):
    """`auto_ack` is taken, and messages are acknowledged when safe all the same; `no_local` changes nothing."""

    consumer_tag: str = ""
    auto_ack: bool = False
    exclusive: bool = False
    no_local: bool = False
    no_wait: bool = False


class Amqp(Shape):
    """Messages of a queue, which is declared and bound to an exchange. `prefetch` and `limits` are of retrain.dev/v1.

    Left out, `exchange_declare` is a durable exchange. Left out, `queue_declare` is in Argo's a queue of this
    connection alone, which is gone with it; in retrain.dev/v1 a durable one named `retrain.EVENTSOURCE.EVENT`.
    `exchange_name` left out, in retrain.dev/v1: the queue is there, and nothing is declared. `prefetch`: messages that
    are in hand at the same time, 500 if left out.
    """

    url: str = ""
    url_secret: KeySelector | None = None
    exchange_name: str = ""
    exchange_type: str = ""
    routing_key: str = ""
    exchange_declare: ExchangeDeclare | None = None
    queue_declare: QueueDeclare | None = None
    queue_bind: QueueBind | None = None
    consume: Consume | None = None
    json_body: bool | None = None
    auth: BasicAuth | None = None
    tls: TLS | None = None
    connection_backoff: Backoff | None = None
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    prefetch: int | None = None
    limits: Limits | None = None


def arguments_of(queue: QueueDeclare) -> dict[str, Any]:
    """The arguments of a queue.

    Raises:
        ValueError: they are no mapping.
    """
    written: Any = queue.arguments
    if isinstance(written, str):
        try:
            written = yaml.load(written, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - it is safe
        except yaml.YAMLError as error:
            raise ValueError(f"they are no YAML: {error}") from error
    if written is None:
        return {}
    if not isinstance(written, dict):
        raise ValueError("they are no mapping")  # noqa: TRY004 - wrong text, not a wrong call
    return {str(name): value for name, value in written.items()}


def check(path: Path, amqp: Amqp, ours: bool) -> Iterator[Problem]:
    """What is wrong with one AMQP source."""
    yield from _check_url(path, amqp)
    yield from _check_places(path, amqp, ours=ours)
    yield from check_basic((*path, "auth"), amqp.auth)
    yield from check_tls((*path, "tls"), amqp.tls, ours=ours)
    yield from only_ours(path, amqp, ("prefetch",), ours=ours)
    if amqp.prefetch is not None and not 0 < amqp.prefetch <= 65_535:
        yield Problem((*path, "prefetch"), "wrong-value", "prefetch is a number from 1 to 65535")


def _check_url(path: Path, amqp: Amqp) -> Iterator[Problem]:
    if bool(amqp.url) == (amqp.url_secret is not None):
        yield Problem(path, "missing-field", "give one of url and urlSecret: amqp://HOST:PORT/VHOST")
    yield from check_secret((*path, "urlSecret"), amqp.url_secret)
    if amqp.url and not is_url(amqp.url):
        yield Problem((*path, "url"), "wrong-value", "url must be amqp://HOST:PORT/VHOST, or amqps:// with TLS")


def _check_places(path: Path, amqp: Amqp, *, ours: bool) -> Iterator[Problem]:
    if not amqp.exchange_name:
        queue = amqp.queue_declare
        if not ours or queue is None or not queue.name:
            message = "exchangeName is missing; without an exchange retrain.dev/v1 wants queueDeclare.name"
            yield Problem(path, "missing-field", message)
    else:
        if not amqp.exchange_type:
            yield Problem(path, "missing-field", f"exchangeType is missing: one of {', '.join(EXCHANGES)}")
        elif amqp.exchange_type not in EXCHANGES and not amqp.exchange_type.startswith("x-"):
            message = f"exchangeType {amqp.exchange_type!r} is none of {', '.join(EXCHANGES)}, x-..."
            yield Problem((*path, "exchangeType"), "wrong-value", message)
        if not amqp.routing_key and (not ours or amqp.exchange_type in ("direct", "topic")):
            yield Problem(path, "missing-field", "routingKey is missing; `#` is all messages of a topic exchange")
    if amqp.queue_declare is not None:
        try:
            arguments_of(amqp.queue_declare)
        except ValueError as error:
            yield Problem((*path, "queueDeclare", "arguments"), "wrong-value", f"arguments are wrong: {error}")


def is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in SCHEMES and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
