"""From a rendered `nats` action to a message and the server that it is for. Pure, but for asking for secrets."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from retrain.errors import ConfigError, NotFound, Permanent
from triggers.action_fields import Fields, Redaction, as_object, fields_of, shown
from triggers.port import Firing, Secrets
from triggers.tls import TlsContexts

FIELDS = frozenset({"url", "subject", "payload", "body", "tls", "auth"})
SCHEMES = {"nats": False, "tls": True}
"""Schemes of a URL, and whether they mean TLS."""
PORT = 4222

_SUBJECT = re.compile(r"[^\s\x00-\x1f\x7f*>.]+(?:\.[^\s\x00-\x1f\x7f*>.]+)*")
MAX_SUBJECT = 1024


@dataclass(frozen=True, slots=True)
class NatsServer:
    """Where to connect, and as whom. Its own key among the open connections, so it is never shown."""

    urls: tuple[str, ...] = field(repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    seed: str = field(default="", repr=False)
    credential: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None

    @property
    def where(self) -> str:
        """The servers, without their logins."""
        return ", ".join(f"{url.hostname}:{url.port or PORT}" for url in map(urlsplit, self.urls))


@dataclass(frozen=True, slots=True)
class NatsMessage:
    """What to publish, with the firing's id as `Nats-Msg-Id`: a stream drops the second of two with the same one."""

    subject: str
    payload: bytes
    firing: str


@dataclass(frozen=True, slots=True)
class NatsRequest:
    """Both."""

    server: NatsServer
    message: NatsMessage
    redact: Redaction


def build_request(firing: Firing, secrets: Secrets, contexts: TlsContexts) -> NatsRequest:
    """What a `nats` firing publishes, with its secrets looked up now.

    Raises:
        Permanent: the action is nothing that can be published, or a secret is missing.
    """
    fields = fields_of(firing, "nats", secrets)
    fields.only(FIELDS)
    message = NatsMessage(_subject(fields), fields.payload(), firing.id)
    try:
        server = _server(fields, contexts)
    except (ConfigError, NotFound) as error:
        raise Permanent(str(error)) from error
    return NatsRequest(server, message, fields.redaction())


def _subject(fields: Fields) -> str:
    subject = fields.required("subject")
    if not _SUBJECT.fullmatch(subject) or len(subject) > MAX_SUBJECT:
        raise Permanent(f"nats.subject {shown(subject)!r} is none: write words with dots between, without * and >")
    # `$JS.API...` and `$SYS...` are orders to the server, `_INBOX...` are other clients' answers.
    if subject.startswith(("$", "_INBOX.")):
        raise Permanent(f"nats.subject {shown(subject)!r} is the server's own: nothing is published there")
    return subject


def _server(fields: Fields, contexts: TlsContexts) -> NatsServer:
    urls = tuple(part.strip() for part in fields.required("url").split(",") if part.strip())
    parts = [_url(url, fields) for url in urls]
    secure = any(SCHEMES[part.scheme] for part in parts)
    tls = contexts.get(fields, fields.action.get("tls")) or (contexts.plain() if secure else None)
    return NatsServer(urls, **_login(fields), tls=tls)


def _url(text: str, fields: Fields) -> SplitResult:
    try:
        url = urlsplit(text)
        good = url.scheme in SCHEMES and bool(url.hostname) and url.port != 0
    except ValueError:
        good = False
    if not good:
        raise Permanent("nats.url must be nats://HOST:PORT or tls://HOST:PORT, several with commas between")
    url = urlsplit(text)
    if url.password:
        fields.hidden.append(url.password)
    elif url.username:
        fields.hidden.append(url.username)  # alone it is a token
    return url


def _login(fields: Fields) -> dict[str, str]:
    auth = as_object(fields.action.get("auth"), "nats.auth")
    kinds = [name for name, value in auth.items() if value is not None]
    if len(kinds) > 1:
        raise Permanent(f"nats.auth has {' and '.join(sorted(kinds))}: write one of them")
    match kinds:
        case []:
            return {}
        case ["basic"]:
            user, password = fields.basic_auth(auth["basic"], "auth.basic") or ("", "")
            return {"user": user, "password": password}
        case [("token" | "nkey" | "credential") as name]:
            return {_ATTRIBUTES[name]: _secret(fields, name, auth[name])}
        case _:
            raise Permanent(f"nats.auth.{kinds[0]} is not supported; there are basic, token, nkey, credential")


_ATTRIBUTES = {"token": "token", "nkey": "seed", "credential": "credential"}


def _secret(fields: Fields, name: str, selector: Any) -> str:
    if not (value := fields.secret(selector, f"auth.{name}").strip()):
        raise Permanent(f"nats.auth.{name}: the secret is empty")
    if name == "credential":
        fields.hidden.extend(line for line in value.splitlines() if not line.startswith("-"))
    return value
