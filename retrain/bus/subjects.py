"""The NATS subject of an event: `retrain.events.<source>.<subject>`.

The subject is for those who listen with other NATS clients, and for filters. Identity never hangs on it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256

PREFIX = "retrain.events"
ALL = f"{PREFIX}.*.*"
MAX_TOKEN = 120
"""Characters of one token; longer ones end in a hash. A NATS control line holds 4 KiB."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,120}")
_ODD = re.compile(rb"[^A-Za-z0-9_-]")


@lru_cache(maxsize=4096)
def subject_of(source: str, subject: str | None) -> str:
    """The subject that an event of `source` about `subject` is published on."""
    return f"{PREFIX}.{token(source)}.{token(subject or '')}"


def token(text: str) -> str:
    """`text` as one NATS token: letters, digits, `_` and `-` stand; any other byte of its UTF-8 is `=` and two digits.

    The empty text is `=`. A token longer than MAX_TOKEN is cut, with `=~` and 32 hex digits of the text's SHA-256 at
    its end. Different texts have different tokens.
    """
    if _PLAIN.fullmatch(text):
        return text
    raw = text.encode("utf-8", "surrogatepass")
    encoded = _ODD.sub(lambda odd: b"=%02X" % odd[0][0], raw).decode("ascii") or "="
    if len(encoded) <= MAX_TOKEN:
        return encoded
    return f"{encoded[: MAX_TOKEN - 34]}=~{sha256(raw).hexdigest()[:32]}"
