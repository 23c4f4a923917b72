"""Signatures of senders: compared in constant time, fresh where they carry a time, and remembered where they do not."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

from eventsources.http.answers import RETRY, Refusal, unauthorized

WINDOW_S = 300.0
"""Seconds that a signed request is good for, in both directions: clocks differ. Senders' own libraries take this."""

REMEMBERED = 10_000


def signed(secret: str, *parts: bytes) -> bytes:
    """The HMAC-SHA256 of these parts, one after the other."""
    made = hmac.new(secret.encode(), digestmod=sha256)
    for part in parts:
        made.update(part)
    return made.digest()


def same(given: str, wanted: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


def check_hex(given: str, secret: str, body: bytes, prefix: str = "") -> None:
    """That a header has the hexadecimal HMAC-SHA256 of the body.

    Raises:
        Refusal: 401: it is missing or wrong.
    """
    if not same(given, prefix + signed(secret, body).hex()):
        raise unauthorized("the signature is missing, or not that of this body")


def check_fresh(timestamp: str, now: datetime, window_s: float = WINDOW_S) -> None:
    """That a time (seconds since 1970, as the sender signed it) is now, give or take the window.

    Raises:
        Refusal: 401: it is not, or it is no time.
    """
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise unauthorized("the signature's time is missing or no number of seconds")
    away = abs((now - datetime.fromtimestamp(int(timestamp), UTC)).total_seconds())
    if away > window_s:
        raise unauthorized(f"the signature is not of now: {away:.0f} s away, {window_s:.0f} s are taken")


def check_standard(header: str, key: bytes, delivery: str, timestamp: str, body: bytes) -> None:
    """That one of the signatures of a `v1,BASE64 v1,BASE64` header is that of `delivery.timestamp.body`.

    Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

    Raises:
        Refusal: 401: none is.
    """
    made = hmac.new(key, f"{delivery}.{timestamp}.".encode() + body, sha256).digest()
    wanted = f"v1,{b64encode(made).decode()}"
    if not any(same(one, wanted) for one in header.split(" ")[:10]):
        raise unauthorized("the signature is missing, or not that of this body")


def standard_key(secret: str) -> bytes:
    """The key of a secret as Standard Webhooks write it: `whsec_BASE64`; any other text is the key itself.

    Raises:
        Refusal: 503: what stands behind whsec_ is no base64; nobody can be checked by it.
    """
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise Refusal(503, "the endpoint's secret is no base64 behind whsec_", RETRY) from None


class Replays:
    """Signed bodies of the last minutes, for senders whose signatures carry no time.

    The id of a delivery is in a header, which no signature covers: who has seen one signed request could send it again
    and again under new ids. So the same signed bytes count as the delivery that they came with first.
    """

    def __init__(self, now: Callable[[], float], window_s: float = WINDOW_S) -> None:
        self._now = now
        self._window_s = window_s
        self._seen: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def first(self, body: bytes, delivery: str) -> str:
        """The delivery that these bytes came with first; `delivery` if they were not seen within the window."""
        now, key = self._now(), sha256(body).digest()
        while self._seen and (len(self._seen) > REMEMBERED or self._oldest() < now - self._window_s):
            self._seen.popitem(last=False)
        return self._seen.setdefault(key, (now, delivery))[1]

    def _oldest(self) -> float:
        return next(iter(self._seen.values()))[0]
