"""What a user writes for an MQTT source, and what can be wrong with it. `mqtt_source.py` runs it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from eventsources.fields import (
    TLS,
    Backoff,
    BasicAuth,
    Filter,
    Limits,
    Path,
    check_basic,
    check_duration,
    check_tls,
    only_ours,
)
from retrain.manifests import Problem
from retrain.manifests.argo import Shape

SCHEMES = {"tcp": False, "mqtt": False, "ssl": True, "tls": True, "mqtts": True, "tcps": True}
"""Schemes of a URL, and whether they mean TLS."""

VERSIONS = ("3.1.1", "5")
MAX_TOPIC = 65_535


class Mqtt(Shape):
    """Messages of a topic. `version`, `qos`, `session_expiry` and `limits` are of retrain.dev/v1.

    `url`: tcp://HOST:PORT, or ssl://. `client_id`: whose session it is; made of the EventSource's and the event's name
    if left out, which Argo's documents may not. `qos`: 1 if left out, and the broker keeps what was not acknowledged;
    with 0 it hands out what it has to whoever is there. `session_expiry`: how long a broker of MQTT 5 keeps the session
    of a client that is away, 168h if left out.
    """

    url: str = ""
    topic: str = ""
    client_id: str = ""
    json_body: bool | None = None
    auth: BasicAuth | None = None
    tls: TLS | None = None
    connection_backoff: Backoff | None = None
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    version: str | None = None
    qos: int | None = None
    session_expiry: str | None = None
    limits: Limits | None = None


def check(path: Path, mqtt: Mqtt, ours: bool) -> Iterator[Problem]:
    """What is wrong with one MQTT source."""
    if not mqtt.url:
        yield Problem(path, "missing-field", "url is missing: tcp://HOST:PORT, or ssl:// with TLS")
    elif not _is_url(mqtt.url):
        yield Problem((*path, "url"), "wrong-value", "url must be tcp://HOST:PORT, or ssl://HOST:PORT with TLS")
    if not mqtt.topic:
        yield Problem(path, "missing-field", "topic is missing; `sensors/#` is all topics below sensors")
    elif not _is_topic(mqtt.topic):
        message = f"topic {mqtt.topic!r} is none: + stands for one whole word, # for all that follow, at the end"
        yield Problem((*path, "topic"), "wrong-value", message)
    if not mqtt.client_id and not ours:
        yield Problem(path, "missing-field", "clientId is missing: the broker keeps messages for it")
    yield from check_basic((*path, "auth"), mqtt.auth)
    yield from check_tls((*path, "tls"), mqtt.tls, ours=ours)
    yield from only_ours(path, mqtt, ("version", "qos", "sessionExpiry"), ours=ours)
    if mqtt.version not in (None, *VERSIONS):
        yield Problem((*path, "version"), "wrong-value", f"version {mqtt.version!r} is none of {', '.join(VERSIONS)}")
    if mqtt.qos not in (None, 0, 1):
        code, message = ("unsupported-field", "2 is not built") if mqtt.qos == 2 else ("wrong-value", "it is 0 or 1")
        yield Problem(
            (*path, "qos"), code, f"qos {mqtt.qos}: {message}; with 1, a message that comes twice is one event"
        )
    if mqtt.session_expiry is not None:
        yield from check_duration((*path, "sessionExpiry"), mqtt.session_expiry, most=0xFFFFFFFE)


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in SCHEMES and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _is_topic(text: str) -> bool:
    """Whether it is a topic filter: wildcards stand alone between slashes, and # is the last word."""
    words = text.split("/")
    wild = all(word == "+" or "+" not in word for word in words) and all("#" not in word for word in words[:-1])
    return wild and (words[-1] == "#" or "#" not in words[-1]) and "\x00" not in text and len(text) <= MAX_TOPIC
