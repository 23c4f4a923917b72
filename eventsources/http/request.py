"""What a webhook request says, in the shape that Argo Events gives it. Pure; on the hot path.

The data of the event is `{"header": {"X-Name": ["value"]}, "body": JSON, "metadata"?: {...}}`. Header names are spelled
as Go spells them, `Host` is not among them, and a client's credentials are masked.

Source: pkg/eventsources/sources/webhook/start.go of Argo Events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import parse_qs
from uuid import uuid4

import orjson

from retrain.errors import ConfigError
from retrain.events import MAX_ATTRIBUTE, JsonValue

RawHeaders = Iterable[tuple[bytes, bytes]]
MASKED = ["*** Masked Auth Secret ***"]
MAX_FIELDS = 1000
"""Fields of one query or form."""

MAX_ID = 1024
"""Characters of an id that a client gives; longer ones are no ids."""

FORM = "application/x-www-form-urlencoded"
_DROPPED = frozenset({b"host", b"transfer-encoding", b"trailer"})  # Go's server keeps them apart from the header
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DELIVERIES = ("X-Github-Delivery", "X-Gitlab-Event-Uuid", "Idempotency-Key")


@lru_cache(maxsize=1024)
def canonical(name: bytes) -> str:
    """A header's name as Go's `textproto.CanonicalMIMEHeaderKey` has it: `x-github-event` is `X-Github-Event`."""
    if not _TOKEN.fullmatch(name):
        return name.decode("utf-8", "replace")
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.decode("ascii").split("-"))


def header_of(raw: RawHeaders) -> dict[str, list[str]]:
    """The headers by canonical name, each with all of its values in the order they came."""
    header: dict[str, list[str]] = {}
    for name, value in raw:
        if name in _DROPPED:
            continue
        header.setdefault(canonical(name), []).append(value.decode("utf-8", "replace"))
    if "Authorization" in header:
        header["Authorization"] = MASKED
    return header


def body_of_query(query: bytes) -> JsonValue:
    """The query of a GET: `{"name": ["value"]}`.

    Raises:
        ConfigError: more than MAX_FIELDS fields.
    """
    return _fields(query.decode("utf-8", "replace"), "query")


def body_of(content_type: str, body: bytes) -> JsonValue:
    """The body of a POST: a form as `{"name": ["value"]}`, anything else must be JSON.

    Raises:
        ConfigError: it is neither; says where.
    """
    if content_type.partition(";")[0].strip().lower() == FORM:
        return _fields(body.decode("utf-8", "replace"), "form")
    if not body:
        raise ConfigError("the body is empty; send JSON or a form")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        hint = f", although content-type says {content_type[:80]!r}" if "json" not in content_type else ""
        raise ConfigError(f"the body is not JSON: {error}{hint}") from error


def _fields(text: str, what: str) -> JsonValue:
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise ConfigError(f"the {what} has more than {MAX_FIELDS} fields") from error


def event_id(header: dict[str, list[str]], scope: str) -> str:
    """The event's id: what the client says identifies its delivery, so that a second delivery is the same event.

    A CloudEvent's `ce-id` (after its `ce-source` and a `#`, where there is one), GitHub's, GitLab's or an
    `Idempotency-Key`; else a new random one. `scope` stands before what a client says. An id that is too long or holds
    control characters is taken for none.
    """
    if "Ce-Id" in header:
        given = "#".join([*header.get("Ce-Source", ())[:1], header["Ce-Id"][0]])
    else:
        given = next((header[name][0] for name in _DELIVERIES if name in header), "")
    if given and len(given) <= MAX_ID and given.isprintable():
        return f"{scope}{given}"[:MAX_ATTRIBUTE]
    return uuid4().hex
