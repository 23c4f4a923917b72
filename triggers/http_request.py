"""From a rendered `http` action to a request, and from an answer to a verdict. Pure, but for asking for secrets."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import orjson
from yarl import URL

from retrain.errors import ConfigError, Permanent, Transient
from retrain.events import JsonValue
from triggers.port import Firing, RetryAfter, Secrets
from triggers.retry import MAX_DELAY_S, read_duration
from triggers.settings import HttpSettings

FIELDS = frozenset(
    {"kind", "url", "method", "payload", "body", "headers", "secureHeaders", "basicAuth", "timeout", "host"}
    | {"policy", "retryStrategy"}
)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
AGAIN = frozenset({408, 425, 429})
"""Client errors that say "later", besides every 5xx."""

_SHORTEST_SECRET = 4
"""Shorter values are not blacked out: they would turn up everywhere in an answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. `hidden` are the secret texts in it, to be blacked out wherever the answer repeats them."""

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None
    timeout_s: float
    allow: frozenset[int]
    hidden: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url.origin()})"  # headers hold secrets

    def redact(self, text: str) -> str:
        """The text without the secrets of this request."""
        for secret in self.hidden:
            text = text.replace(secret, "***")
        return text


def build_request(firing: Firing, secrets: Secrets, settings: HttpSettings) -> Request:
    """The request of a firing, with its secrets looked up now.

    Raises:
        Permanent: the action is no request that can be sent, or a secret is missing.
    """
    action = firing.action
    if unknown := sorted(set(action) - FIELDS):
        raise Permanent(f"http.{unknown[0]} is not supported by this trigger; take it out of the sensor")
    headers = {str(name): _text(value) for name, value in _object(action, "headers").items()}
    hidden: list[str] = []
    for name, value in _secret_headers(action, secrets):
        headers[name] = value
        hidden.append(value)
    if (credentials := _basic(action, secrets)) is not None:
        headers["Authorization"] = f"Basic {b64encode(':'.join(credentials).encode()).decode()}"
        hidden += [credentials[1], headers["Authorization"].removeprefix("Basic ")]
    url = _url(action)
    if url.password:
        hidden.append(url.password)
    body = _body(action)
    if body is not None and not _has(headers, "content-type"):
        headers["Content-Type"] = "application/json"
    if host := action.get("host"):
        headers["Host"] = _text(host)
    headers["Idempotency-Key"] = firing.id
    _check_headers(headers)
    # The longest first: a secret may be a part of another.
    known = sorted({text for text in hidden if len(text) >= _SHORTEST_SECRET}, key=len, reverse=True)
    return Request(_method(action), url, headers, body, _timeout(action, settings), _allowed(action), tuple(known))


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


def _url(action: Mapping[str, JsonValue]) -> URL:
    text = action.get("url")
    if not isinstance(text, str) or not text:
        raise Permanent("http.url is missing")
    try:
        url = URL(text)
        port = url.port
    except ValueError as error:
        raise Permanent(f"http.url is no URL: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host or port == 0:
        raise Permanent("http.url must be http://HOST... or https://HOST...")
    return url


def _method(action: Mapping[str, JsonValue]) -> str:
    method = _text(action.get("method") or "POST")
    if method not in METHODS:
        raise Permanent(f"http.method {method!r} is none of {', '.join(sorted(METHODS))}")
    return method


def _body(action: Mapping[str, JsonValue]) -> bytes | None:
    if (whole := action.get("body")) is not None:
        return whole.encode() if isinstance(whole, str) else orjson.dumps(whole)
    payload = action.get("payload")
    return None if payload is None else orjson.dumps(payload)


def _timeout(action: Mapping[str, JsonValue], settings: HttpSettings) -> float:
    value = action.get("timeout")
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


def _allowed(action: Mapping[str, JsonValue]) -> frozenset[int]:
    policy = _object(action, "policy")
    if other := sorted(set(policy) - {"status"}):
        raise Permanent(f"policy.{other[0]} is not supported for http; use policy.status.allow")
    allow = _object(policy, "status").get("allow") or []
    try:
        return frozenset(int(status) for status in allow)
    except (TypeError, ValueError):
        raise Permanent(f"policy.status.allow must be a list of status codes, not {allow!r}") from None


def _secret_headers(action: Mapping[str, JsonValue], secrets: Secrets) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in cast("list[dict[str, Any]]", action.get("secureHeaders") or []):
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            raise Permanent("http.secureHeaders: an entry has no name")
        found.append((name, _value_from(entry.get("valueFrom"), f"secureHeaders[{name}].valueFrom", secrets)))
    return found


def _value_from(source: JsonValue, where: str, secrets: Secrets) -> str:
    chosen: dict[str, Any] = source if isinstance(source, dict) else {}
    match chosen:
        case {"secretKeyRef": {"name": str(name), "key": str(key)}}:
            return secrets.secret(name, key).removesuffix("\n")
        case {"configMapKeyRef": {"name": str(name), "key": str(key)}}:
            return secrets.config(name, key).removesuffix("\n")
        case _:
            raise Permanent(f"http.{where} must be a secretKeyRef or configMapKeyRef with name and key")


def _basic(action: Mapping[str, JsonValue], secrets: Secrets) -> tuple[str, str] | None:
    given = _object(action, "basicAuth")
    if not given:
        return None
    parts: list[str] = []
    for part in ("username", "password"):
        chosen = given.get(part)
        match chosen:
            case None:
                parts.append("")
            case {"name": str(name), "key": str(key)}:
                parts.append(secrets.secret(name, key).removesuffix("\n"))
            case _:
                raise Permanent(f"http.basicAuth.{part} must name a secret: name and key")
    return parts[0], parts[1]


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        # An event's text may be in here: a line break would begin a header of its author's choice.
        if any((ord(c) < 32 and c != "\t") or ord(c) == 127 for c in value) or not _is_token(name):
            raise Permanent(f"http header {name[:80]!r} holds characters that a header cannot have")


def _is_token(name: str) -> bool:
    return bool(name) and all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name)


def _has(headers: Mapping[str, str], wanted: str) -> bool:
    return any(name.lower() == wanted for name in headers)


def _object(holder: Mapping[str, JsonValue], name: str) -> dict[str, Any]:
    value = holder.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Permanent(f"{name} must be an object, not {type(value).__name__}")
    return cast("dict[str, Any]", value)


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
