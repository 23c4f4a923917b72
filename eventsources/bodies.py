"""What a message's bytes become in the data of an event: upstream's rule for `jsonBody`, and ours. Pure.

In `argoproj.io/v1alpha1` a body is JSON where `jsonBody` is true, and base64 of the bytes otherwise, as Go writes
`[]byte`. In `retrain.dev/v1` it is JSON where it parses as JSON, else text where it is UTF-8, else base64 with
`bodyEncoding: base64` beside; `jsonBody: true` insists on JSON, `jsonBody: false` leaves JSON as text.
"""

from __future__ import annotations

from base64 import b64encode

import orjson

from retrain.errors import Permanent
from retrain.events import JsonValue

ENCODING = "bodyEncoding"


def body_of(raw: bytes, json_body: bool | None, *, ours: bool) -> dict[str, JsonValue]:
    """`{"body": ...}`, in ours with `bodyEncoding` where the body is base64: members to merge into the data.

    Raises:
        Permanent: it must be JSON and is not. The kind buries the message and goes on.
    """
    if json_body:
        return {"body": _json(raw)}
    if not ours:
        return {"body": b64encode(raw).decode()}
    if json_body is None:
        try:
            return {"body": orjson.loads(raw)}
        except orjson.JSONDecodeError:
            return _text(raw)
    return _text(raw)


def _json(raw: bytes) -> JsonValue:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Permanent(f"jsonBody is true, and the body is not JSON: {error}") from error


def _text(raw: bytes) -> dict[str, JsonValue]:
    try:
        return {"body": raw.decode()}
    except UnicodeDecodeError:
        return {"body": b64encode(raw).decode(), ENCODING: "base64"}
