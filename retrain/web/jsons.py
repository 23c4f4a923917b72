"""JSON as the doors write it: fast, and whatever a store may hold."""

from __future__ import annotations

import json
from typing import Any

import orjson


def dumps(body: Any) -> bytes:
    """A value as JSON.

    Numbers over 64 bits and halves of letters, which a manifest may hold, take the slow way.
    """
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body, default=str, allow_nan=False).encode()
