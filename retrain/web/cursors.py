"""Cursors as clients have them: opaque, and only such as a list here gave."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from zlib import crc32

LONGEST = 2048
CHECK = 4
"""Bytes of the checksum in front. It finds what was cut off or made up; a cursor is no secret and no right."""


def seal(place: str | None) -> str | None:
    """The cursor for a place in a list, as the list's query gives it."""
    if place is None:
        return None
    text = place.encode()
    return urlsafe_b64encode(crc32(text).to_bytes(CHECK) + text).decode().rstrip("=")


def unseal(cursor: str) -> str:
    """The place in a list.

    Raises:
        ValueError: no list gave this cursor.
    """
    text = _open(cursor) if len(cursor) <= LONGEST else None
    if text is None:
        shown = cursor if len(cursor) <= 80 else f"{cursor[:80]}…"
        raise ValueError(f"{shown!r} is none that a list gave; leave it out to start at the list's beginning")
    return text


def _open(cursor: str) -> str | None:
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        text = raw[CHECK:].decode()
    except ValueError:
        return None
    return text if seal(text) == cursor else None
