"""What an HTTP request says, in the shape that Argo Events gives it. Pure; on the hot path.

The data of a webhook's event is `{"header": {"X-Name": ["value"]}, "body": JSON, "metadata"?: {...}}`. Header names are
spelled as Go spells them, `Host` is not among them, and what proves who the client is, is masked.

Source: pkg/eventsources/sources/webhook/start.go of Argo Events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from urllib.parse import parse_qs

import orjson

from eventsources.bodies import body_of as raw_body_of
from retrain.errors import ConfigError
from retrain.events import JsonValue

RawHeaders = Iterable[tuple[bytes, bytes]]
MASKED = ["*** Masked Auth Secret ***"]
SECRET = ("Authorization", "Proxy-Authorization", "Cookie", "X-Gitlab-Token")
"""Headers by which clients prove who they are."""

MAX_FIELDS = 1000
"""Fields of one query or form."""

MAX_ID = 1024
"""Characters of an id that a client gives; longer ones are no ids."""

FORM = "application/x-www-form-urlencoded"
_DROPPED = frozenset({b"host", b"transfer-encoding", b"trailer"})  # Go's server keeps them apart from the header
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DELIVERIES = (
    *("X-Github-Delivery", "X-Gitea-Delivery", "X-Gogs-Delivery", "Idempotency-Key", "Webhook-Id"),
    *("X-Request-Uuid", "X-Mlflow-Delivery-Id"),
)
_RECURSIVE = "X-Gitlab-Event-Uuid"
"""GitLab gives it to all events that follow from one; so it identifies a delivery only together with its body."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whole. `headers` are as the server gives them: lower-case names, bytes. `body` is unpacked."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def one(self, name: str) -> str:
        """The value of a header that may be there once (lower-case name); empty if it is not, or there several times.

        Twice the same header is how one smuggles something past a check: so it is as good as none.
        """
        wanted = name.encode()
        found = [value for given, value in self.headers if given == wanted]
        return found[0].decode("utf-8", "replace").strip() if len(found) == 1 else ""

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower-case."""
        return self.one("content-type").partition(";")[0].strip().lower()


@lru_cache(maxsize=1024)
def canonical(name: bytes) -> str:
    """A header's name as Go's `textproto.CanonicalMIMEHeaderKey` has it: `x-github-event` is `X-Github-Event`."""
    if not _TOKEN.fullmatch(name):
        return name.decode("utf-8", "replace")
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.decode("ascii").split("-"))


def header_of(raw: RawHeaders) -> dict[str, list[str]]:
    """The headers by canonical name, each with all of its values in the order they came; secrets are masked."""
    header: dict[str, list[str]] = {}
    for name, value in raw:
        if name in _DROPPED:
            continue
        header.setdefault(canonical(name), []).append(value.decode("utf-8", "replace"))
    for name in SECRET:
        if name in header:
            header[name] = MASKED
    return header


def body_of_query(query: bytes) -> JsonValue:
    """The query of a GET: `{"name": ["value"]}`.

    Raises:
        ConfigError: more than MAX_FIELDS fields.
    """
    return fields_of(query, "query")


def body_of(content_type: str, body: bytes, *, ours: bool = False) -> dict[str, JsonValue]:
    """`{"body": ...}` of a POST: a form as `{"name": ["value"]}`, anything else is JSON.

    In retrain.dev/v1 (`ours`) a body that does not say that it is JSON may be anything: JSON where it parses, else
    text, else base64 with `bodyEncoding` beside; nothing at all is null.

    Raises:
        ConfigError: it is not what it must be; says where.
    """
    media = content_type.partition(";")[0].strip().lower()
    if media == FORM:
        return {"body": fields_of(body, "form")}
    if ours and not says_json(media):
        return raw_body_of(body, None, ours=True) if body else {"body": None}
    return {"body": json_of(body, content_type)}


def says_json(media: str) -> bool:
    """Whether a media type is one of JSON."""
    return media.endswith(("/json", "+json"))


def json_of(body: bytes, content_type: str = "application/json") -> JsonValue:
    """A body that must be JSON.

    Raises:
        ConfigError: it is not; says where.
    """
    if not body:
        raise ConfigError("the body is empty; send JSON or a form")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        hint = f", although content-type says {content_type[:80]!r}" if "json" not in content_type else ""
        raise ConfigError(f"the body is not JSON: {error}{hint}") from error


def fields_of(text: bytes, what: str) -> dict[str, list[str]]:
    """The fields of a query or form.

    Raises:
        ConfigError: more than MAX_FIELDS.
    """
    try:
        return parse_qs(text.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise ConfigError(f"the {what} has more than {MAX_FIELDS} fields") from error


def delivery_of(header: dict[str, list[str]], body: bytes, own: str = "") -> str:
    """What the client says identifies its delivery, so that a second delivery is the same event; empty if nothing does.

    A CloudEvent's `ce-id` (after its `ce-source` and a `#`, where there is one), the header named `own` (canonical),
    GitHub's and others' ids of a delivery, an `Idempotency-Key`. An id that is too long or holds control characters is
    taken for none.
    """
    if own:
        given = header.get(own, ("",))[0]
    elif "Ce-Id" in header:
        given = "#".join([*header.get("Ce-Source", ())[:1], header["Ce-Id"][0]])
    else:
        given = next((header[name][0] for name in _DELIVERIES if name in header), "")
        if not given and _RECURSIVE in header:
            given = f"{header[_RECURSIVE][0]}/{digest_of(body)}"
    return given if is_id(given) else ""


def is_id(text: str) -> bool:
    """Whether a text from outside can be an event's id."""
    return 0 < len(text) <= MAX_ID and text.isprintable()


def digest_of(body: bytes) -> str:
    """A name for these bytes."""
    return sha256(body).hexdigest()[:32]
