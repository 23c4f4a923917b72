"""From a rendered `http` action to a request, and from an answer to a verdict. Pure, but for asking for secrets."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from ssl import SSLContext

from yarl import URL

from retrain.errors import ConfigError, NotFound, Permanent, Transient
from triggers.action_fields import Fields, Redaction, fields_of
from triggers.port import Firing, RetryAfter, Secrets
from triggers.retry import MAX_DELAY_S, read_duration
from triggers.settings import HttpSettings
from triggers.tls import TlsContexts

FIELDS = frozenset(
    {"url", "method", "payload", "body", "headers", "secureHeaders", "basicAuth", "timeout", "host", "tls"}
)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
AGAIN = frozenset({408, 425, 429})
"""Client errors that say "later", besides every 5xx."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. `redact` blacks out the secrets in it, wherever the answer repeats them. `tls`: None where what
    the machine trusts is trusted."""

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None
    timeout_s: float
    allow: frozenset[int]
    redact: Redaction
    tls: SSLContext | None = None

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url.origin()})"  # headers hold secrets


def build_request(firing: Firing, secrets: Secrets, settings: HttpSettings, contexts: TlsContexts) -> Request:
    """The request of a firing, with its secrets looked up now.

    Raises:
        Permanent: the action is no request that can be sent, or a secret is missing.
    """
    fields = fields_of(firing, "http", secrets)
    fields.only(FIELDS)
    url = _url(fields)
    body = _body(fields)
    try:
        headers = _headers(fields, firing.id, has_body=body is not None)
        tls = contexts.get(fields, fields.action.get("tls"))
    except (ConfigError, NotFound) as error:
        raise Permanent(str(error)) from error
    if tls is not None and url.scheme != "https":
        raise Permanent("http.tls is for https:// only: change the url, or take tls out")
    return Request(
        method=_method(fields),
        url=url,
        headers=headers,
        body=body,
        timeout_s=_timeout(fields, settings),
        allow=fields.allowed_statuses(),
        redact=fields.redaction(),
        tls=tls,
    )


def judge(status: int, reason: str, retry_after: str | None, allow: frozenset[int], now: datetime) -> None:
    """Decide what an answer's status means.

    With `policy.status.allow` those are success, and any other is tried again, as upstream does. Without it 2xx is
    success, 408, 425, 429 and 5xx are tried again, the rest is final. (Upstream takes any status for success then.)

    Raises:
        Transient: try again (`RetryAfter` if the answer names a time).
        Permanent: the answer would be the same.
    """
    if (status in allow) if allow else (200 <= status < 300):
        return
    said = f"answered {status} {reason}".rstrip()
    if allow:
        said += f", which policy.status.allow ({', '.join(map(str, sorted(allow)))}) does not have"
    elif 300 <= status < 400:
        raise Permanent(f"{said}; redirects are not followed: write the final URL")
    elif status < 500 and status not in AGAIN:
        raise Permanent(said)
    wait = read_retry_after(retry_after, now)
    if wait is not None:
        raise RetryAfter(said, wait)
    raise Transient(said)


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks for, an hour at most; None if it says nothing we understand."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), MAX_DELAY_S)
    try:
        when = parsedate_to_datetime(text)
        seconds = (when - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_DELAY_S)


def _headers(fields: Fields, firing_id: str, *, has_body: bool) -> dict[str, str]:
    headers = fields.headers()
    if (credentials := fields.basic_auth(fields.action.get("basicAuth"), "basicAuth")) is not None:
        coded = b64encode(":".join(credentials).encode()).decode()
        headers["Authorization"] = f"Basic {coded}"
        fields.hidden.append(coded)
    if has_body and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    if host := fields.text("host"):
        headers["Host"] = host
    headers["Idempotency-Key"] = firing_id
    for name, value in headers.items():
        # An event's text may be in here: a line break would begin a header of its author's choice.
        if any((ord(c) < 32 and c != "\t") or ord(c) == 127 for c in value) or not _is_token(name):
            raise Permanent(f"http header {name[:80]!r} holds characters that a header cannot have")
    return headers


def _url(fields: Fields) -> URL:
    text = fields.action.get("url")
    if not isinstance(text, str) or not text:
        raise Permanent("http.url is missing")
    try:
        url = URL(text)
        port = url.port
    except ValueError as error:
        raise Permanent(f"http.url is no URL: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host or port == 0:
        raise Permanent("http.url must be http://HOST... or https://HOST...")
    if url.password:
        fields.hidden.append(url.password)
    return url


def _method(fields: Fields) -> str:
    method = fields.text("method") or "POST"
    if method not in METHODS:
        raise Permanent(f"http.method {method!r} is none of {', '.join(sorted(METHODS))}")
    return method


def _body(fields: Fields) -> bytes | None:
    if fields.action.get("body") is None and fields.action.get("payload") is None:
        return None
    return fields.payload()


def _timeout(fields: Fields, settings: HttpSettings) -> float:
    value = fields.action.get("timeout")
    if not value:
        return settings.timeout_s
    try:
        # Upstream's `timeout` is a number of seconds, and not a duration as elsewhere.
        seconds = float(value) if isinstance(value, int | float) else read_duration(value)
    except ConfigError as error:
        raise Permanent(f"http.timeout: {error}") from error
    if not (math.isfinite(seconds) and seconds > 0):
        raise Permanent(f"http.timeout must be more than 0 seconds, not {value!r}")
    return min(seconds, settings.max_timeout_s)


def _is_token(name: str) -> bool:
    return bool(name) and all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name)
