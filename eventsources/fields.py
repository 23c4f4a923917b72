"""Shapes that several kinds of source share, and what can be wrong with them. Names are Argo Events'.

What only retrain.dev/v1 has is said, and refused in `argoproj.io/v1alpha1` by `only_ours`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import re2
from pydantic import BaseModel

from eventsources.duration import seconds
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

Path = tuple[str | int, ...]
"""Where a value stands in a document, keys as they are written."""

MECHANISMS = ("PLAIN", "OAUTHBEARER", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")
MAX_PAYLOAD = 1024 * 1024


class Filter(Shape):
    """`expression` is in expr-lang, over the members of the event's data; it must give true or false."""

    expression: str = ""


class Limits(Shape):
    """What a source may take in; of retrain.dev/v1. 0 is no limit.

    `max_bytes`: of one event's data as JSON. `rate_per_second`: events of this entry; what fetches slows down, what is
    called answers 503. `in_flight`: events that are on their way to the bus at the same time.
    """

    max_bytes: int = 0
    rate_per_second: float = 0.0
    in_flight: int = 0


class TLS(Shape):
    """How a connection is secured. `server_name`, the name that the certificate must have, is of retrain.dev/v1."""

    ca_cert_secret: KeySelector | None = None
    client_cert_secret: KeySelector | None = None
    client_key_secret: KeySelector | None = None
    insecure_skip_verify: bool = False
    enabled: bool = False
    server_name: str = ""


class BasicAuth(Shape):
    """A user and a password, both from secrets."""

    username: KeySelector | None = None
    password: KeySelector | None = None


class SASL(Shape):
    """`mechanism` empty is PLAIN."""

    mechanism: str = ""
    user_secret: KeySelector | None = None
    password_secret: KeySelector | None = None


class Backoff(Shape):
    """Argo Events' pauses between attempts to connect. Taken, and without effect: pauses here are `trying.py`'s."""

    duration: JsonValue = None
    factor: JsonValue = None
    jitter: JsonValue = None
    steps: int = 0


class Reconcile(Shape):
    """How often to look at everything, whatever was reported. `every` is a duration."""

    every: str = "5m"


class WebhookContext(Shape):
    """An HTTP endpoint. `port` empty: the platform's own.

    `max_payload_size` in bytes, 0 for the default of 1 MiB. `client_ca_secret` is of retrain.dev/v1: whose certificates
    clients must show (mutual TLS).
    """

    endpoint: str = ""
    method: str = ""
    port: str = ""
    url: str = ""
    server_cert_secret: KeySelector | None = None
    server_key_secret: KeySelector | None = None
    metadata: dict[str, str] = {}
    auth_secret: KeySelector | None = None
    max_payload_size: int = 0
    client_ca_secret: KeySelector | None = None


# --- checks: generators of problems, at a path of the document ------------------------------------------------------


def check_secret(path: Path, secret: KeySelector | None, *, required: bool = False) -> Iterator[Problem]:
    """A reference to a key of a Secret or ConfigMap: both of its parts, and whether it is there at all."""
    if secret is None:
        if required:
            yield Problem(path, "missing-field", f"{path[-1]} is missing: {{name: SECRET, key: KEY}}")
    elif not secret.name or not secret.key:
        yield Problem(path, "missing-field", f"{path[-1]} wants both name and key of a Secret")


def check_tls(path: Path, tls: TLS | None, *, ours: bool) -> Iterator[Problem]:
    """As upstream's validator: a CA, or a certificate with its key, or `enabled`, unless nothing is verified."""
    if tls is None:
        return
    yield from only_ours(path, tls, ("serverName",), ours=ours)
    for name in ("caCertSecret", "clientCertSecret", "clientKeySecret"):
        yield from check_secret((*path, name), getattr(tls, _field(tls, name)))
    if (tls.client_cert_secret is None) != (tls.client_key_secret is None):
        missing = "clientKeySecret" if tls.client_key_secret is None else "clientCertSecret"
        yield Problem(
            (*path, missing), "missing-field", f"{missing} is missing: a client's certificate and key go together"
        )
    if not (tls.insecure_skip_verify or tls.enabled or tls.ca_cert_secret or tls.client_cert_secret):
        message = "tls says nothing: give caCertSecret, clientCertSecret with clientKeySecret, or enabled: true"
        yield Problem(path, "missing-field", message)


def check_basic(path: Path, auth: BasicAuth | None) -> Iterator[Problem]:
    """A user and a password: one alone is a mistake."""
    if auth is not None:
        yield from check_secret((*path, "username"), auth.username, required=True)
        yield from check_secret((*path, "password"), auth.password, required=True)


def check_sasl(path: Path, sasl: SASL | None, built: Iterable[str]) -> Iterator[Problem]:
    """`built`: the mechanisms that this kind can speak."""
    if sasl is None:
        return
    mechanism = sasl.mechanism or "PLAIN"
    if mechanism not in MECHANISMS:
        message = f"mechanism {mechanism!r} is none of {', '.join(MECHANISMS)}"
        yield Problem((*path, "mechanism"), "wrong-value", message)
    elif mechanism not in built:
        message = f"mechanism {mechanism} is not built; there are {', '.join(built)}"
        yield Problem((*path, "mechanism"), "unsupported-field", message)
    yield from check_secret((*path, "userSecret"), sasl.user_secret, required=True)
    yield from check_secret((*path, "passwordSecret"), sasl.password_secret, required=True)


def check_duration(path: Path, text: str, *, least: float = 0.0, most: float = 0.0) -> Iterator[Problem]:
    """A duration like 30s, with its bounds in seconds; `most` 0 is none."""
    try:
        length = seconds(text)
    except ValueError as error:
        yield Problem(path, "wrong-value", str(error))
        return
    if length < least:
        yield Problem(path, "wrong-value", f"{text!r} is too short; {least:g}s is the least")
    elif most and length > most:
        yield Problem(path, "wrong-value", f"{text!r} is too long; {most:g}s is the most")


def check_reconcile(path: Path, reconcile: Reconcile | None) -> Iterator[Problem]:
    """How often to look at everything: once in a second at most."""
    if reconcile is not None:
        yield from check_duration((*path, "every"), reconcile.every, least=1.0)


def check_limits(path: Path, spec: BaseModel, *, ours: bool) -> Iterator[Problem]:
    """The `limits` of a source's spec."""
    if "limits" not in type(spec).model_fields:
        return
    yield from only_ours(path, spec, ("limits",), ours=ours)
    limits: Limits | None = getattr(spec, "limits", None)
    for name in ("maxBytes", "ratePerSecond", "inFlight") if limits is not None else ():
        if getattr(limits, _field(Limits(), name)) < 0:
            yield Problem((*path, "limits", name), "wrong-value", f"{name} must not be negative; 0 is no limit")


def check_existing(path: Path, existing: str | None) -> Iterator[Problem]:
    """What becomes of what is there at the very first start."""
    if existing not in (None, "emit", "skip"):
        yield Problem(path, "wrong-value", "existing is emit or skip")


def check_regexp(path: Path, pattern: str) -> Iterator[Problem]:
    """A regular expression of RE2, as Go has them."""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        text = str(cast("object", error)).removeprefix("b'").removesuffix("'")
        yield Problem(path, "wrong-value", f"{pattern!r} is no regular expression (RE2): {text}")


def only_ours(path: Path, spec: BaseModel, fields: Iterable[str], *, ours: bool) -> Iterator[Problem]:
    """Refuse what only retrain.dev/v1 has in a document of Argo Events. `fields` as they are written."""
    for name in fields:
        if not ours and _field(spec, name) in spec.model_fields_set:
            yield Problem((*path, name), "unknown-field", f"{name} is of retrain.dev/v1; change apiVersion to use it")


def not_built(path: Path, spec: BaseModel, fields: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """Refuse by name what upstream has and we have not: (field as it is written, what to do instead)."""
    for name, instead in fields:
        value: Any = getattr(spec, _field(spec, name))
        if value not in (None, "", False, 0, {}, (), []):
            yield Problem((*path, name), "unsupported-field", f"{name} is not built yet; {instead}")


def _field(spec: BaseModel, alias: str) -> str:
    """The attribute that a written name belongs to."""
    return next(name for name, field in type(spec).model_fields.items() if alias in (field.alias, name))
