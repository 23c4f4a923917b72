"""Who is logged in at the page: a token shown once becomes a cookie that a browser sends by itself.

Kept in memory: a restart ends all sessions, and so does the end of a token, for a session stands for its digest.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

from retrain.errors import Refused


class TooManyTries(Refused):
    """Somebody tries tokens: HTTP 429."""


COOKIE = "retrain_session"
LASTS = timedelta(hours=12)
MOST = 10_000
"""Sessions that are kept; the oldest go first."""
TRIES, PER = 10, timedelta(minutes=1)
"""Logins that one address may try in that time."""


class Sessions:
    """Open sessions by the digest of their cookie. `now`: the clock's."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._secret = secrets.token_bytes(32)
        self._open: OrderedDict[str, tuple[str, datetime]] = OrderedDict()
        self._tries: OrderedDict[str, deque[datetime]] = OrderedDict()

    def begin(self, token_digest: str) -> str:
        """Open a session for who has the token of this digest; the cookie's value."""
        value = secrets.token_urlsafe(32)
        self._open[_digest(value)] = (token_digest, self._now() + LASTS)
        while len(self._open) > MOST:
            self._open.popitem(last=False)
        return value

    def end(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Close the session that a request belongs to, if it does."""
        self._open.pop(_digest(cookie_of(headers)), None)

    def token(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The digest of the token that a request's session stands for; "" where there is none."""
        value = cookie_of(headers)
        digest, until = self._open.get(_digest(value), ("", self._now())) if value else ("", self._now())
        return digest if self._now() < until else ""

    def form_word(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """What a form of ours has to bring along: no page of another site knows it."""
        return hmac.new(self._secret, cookie_of(headers).encode(), sha256).hexdigest()

    def fits(self, headers: Iterable[tuple[bytes, bytes]], word: str) -> bool:
        """Whether a form is one of ours, of the same session."""
        return hmac.compare_digest(self.form_word(headers).encode(), word.encode())

    def count_try(self, origin: str) -> None:
        """Note that somebody at this address tries to log in.

        Raises:
            TooManyTries: they did so too often.
        """
        now = self._now()
        tries = self._tries.setdefault(origin, deque(maxlen=TRIES))
        self._tries.move_to_end(origin)
        while len(self._tries) > MOST:
            self._tries.popitem(last=False)
        if len(tries) == TRIES and now - tries[0] < PER:
            raise TooManyTries(f"{TRIES} logins in a minute are enough; try again in a minute")
        tries.append(now)


def cookie_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The value of our cookie; "" where there is none."""
    for name, value in headers:
        if name == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            except CookieError:
                return ""
            return found.value if found is not None else ""
    return ""


def _digest(value: str) -> str:
    return sha256(value.encode()).hexdigest()
