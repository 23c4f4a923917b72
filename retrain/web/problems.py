"""How the platform says no: `application/problem+json` (RFC 9457), one kind for each status.

    {"type": "/problems/not-found", "title": "There is no such thing", "status": 404, "detail": "p-1: no such ...",
     "instance": "/api/v1/promotions/p-1", "error": "p-1: no such ...", "requestId": "..."}

`error` says what `detail` does, for clients that are older than that. `type` leads to what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from retrain.web.jsons import dumps

PROBLEM_JSON = "application/problem+json"
TYPES = "/problems/"
LONGEST_INSTANCE, LONGEST_DETAIL = 1024, 2048
"""Letters of a path that a problem names, and of what it says: it may repeat what was sent."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem. `name`: the end of its `type`; `advice`: what would be right."""

    name: str
    title: str
    advice: str


KINDS: Mapping[int, Kind] = {
    400: Kind("unreadable", "The request cannot be read", "Send what the route takes; `detail` says what is wrong."),
    401: Kind("who-are-you", "Nobody is known by this request", "Send `Authorization: Bearer TOKEN`, or log in."),
    403: Kind("not-yours", "You may not do that", "Ask somebody who has the role that `detail` names."),
    404: Kind("not-found", "There is no such thing", "Look at the list of these things for the name."),
    405: Kind("no-such-method", "This is not done here", "`Allow` names the methods of this path."),
    408: Kind("too-slow", "The request did not come in time", "Send the whole body within 30 s."),
    409: Kind("refused", "The answer is no", "The state of the thing does not allow it; `detail` says which does."),
    412: Kind("changed", "It is not what you looked at", "Get it again, look at it, and send its new `ETag`."),
    413: Kind("too-large", "That is too much at once", "Send less; `detail` says how much is taken."),
    414: Kind("too-long", "The address is too long", "Ask for less at once; `detail` says how long it may be."),
    415: Kind("wrong-type", "This type of body is not taken", "Send the type that `detail` names."),
    422: Kind("cannot-be-done", "That cannot be done as it is asked", "`errors`, where there are any, say which part."),
    429: Kind("too-often", "Too many tries", "Wait for as many seconds as `Retry-After` says."),
    500: Kind("bug", "This is a mistake of the platform", "The log has `requestId`; please report it."),
    503: Kind("not-now", "Not now", "Nothing was done; send it again after `Retry-After` seconds."),
}
"""By status."""


def kind_of(status: int) -> Kind:
    """The kind of a status; of one that is not in the list, that of its class."""
    return KINDS.get(status) or KINDS[500 if status >= 500 else 400]


def problem(status: int, detail: str, path: str, request_id: str, more: Mapping[str, Any] | None = None) -> bytes:
    """A problem as bytes. `more`: what its kind alone has (`attribute`, `errors`, ...)."""
    kind = kind_of(status)
    detail = detail if len(detail) <= LONGEST_DETAIL else f"{detail[:LONGEST_DETAIL]}…"
    said = {
        "type": TYPES + kind.name,
        "title": kind.title,
        "status": status,
        "detail": detail,
        "instance": quote(path, safe="/:@!$&'()*+,;=-._~")[:LONGEST_INSTANCE],
        "error": detail,
        "requestId": request_id,
    }
    return dumps({**(more or {}), **said})


def page(name: str) -> str | None:
    """What the kind of this name means, as text; None if there is none."""
    found = next(((status, kind) for status, kind in KINDS.items() if kind.name == name), None)
    if found is None:
        return None
    status, kind = found
    return f"{kind.title} (HTTP {status})\n\n{kind.advice}\n"
