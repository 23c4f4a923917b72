"""Sessions of the page: what somebody shows once becomes a cookie that their browser sends by itself.

They are in the store, by the digest of the cookie, so a restart ends none. A session stands for what it began with, and
ends with it; it ends when it is not used, and when its time is over. What was looked up is believed for some seconds.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

from sqlalchemy import Connection

from retrain.errors import Refused
from retrain.store import Store, checkpoints, sessions
from retrain.store.sessions import SessionRow
from retrain.web.remembered import Remembered

Headers = Iterable[tuple[bytes, bytes]]


class TooManyTries(Refused):
    """Somebody tries tokens: HTTP 429."""


COOKIE = "retrain_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Its name over TLS: a browser takes it from this host only, for all of it, and never over plain HTTP."""
LASTS, IDLE = timedelta(hours=12), timedelta(hours=2)
OF_ONE = 50
"""Sessions of one person that are kept; those that were longest not seen go first."""
MOST = 10_000
TRIES, PER = 10, timedelta(minutes=1)
"""Logins that one address may try in that time."""
OWNER, KEY = "web", "form-key"


@dataclass(frozen=True, slots=True)
class Visit:
    """Who logs in, and from where. `stands_for`: see `SessionRow`."""

    person: str
    stands_for: str
    origin: str = ""
    agent: str = ""


class Sessions:
    """Open sessions. `now`: the clock's; `secure`: browsers reach the page over TLS."""

    def __init__(
        self,
        store: Store,
        now: Callable[[], datetime],
        *,
        lasts: timedelta = LASTS,
        idle: timedelta = IDLE,
        secure: bool = False,
    ) -> None:
        self.lasts = lasts
        self.cookie = SECURE_COOKIE if secure else COOKIE
        self._store = store
        self._now = now
        self._idle = idle
        self._known: Remembered[SessionRow] = Remembered(now)
        self._tries: OrderedDict[str, deque[datetime]] = OrderedDict()
        self._key: bytes | None = None

    async def open(self) -> None:
        """Get the key of forms, which all processes on one store share; make it, if this is the first."""
        if self._key is None:
            self._key = bytes.fromhex(await self._store.write(_form_key))

    async def begin(self, visit: Visit, old: str = "") -> str:
        """Open a session; the cookie's value. The one that the same browser had (`old`, its cookie) ends."""
        value, now = secrets.token_urlsafe(32), self._now()
        row = SessionRow(
            id=f"s-{secrets.token_hex(6)}",
            digest=_digest(value),
            person=visit.person,
            stands_for=visit.stands_for,
            origin=visit.origin[:100],
            agent=visit.agent[:200],
            created=now,
            seen=now,
            expires=now + self.lasts,
        )

        def work(connection: Connection) -> list[SessionRow]:
            sessions.forget(connection, now, now - self._idle)
            sessions.begin(connection, row, OF_ONE)
            return sessions.end(connection, digest=_digest(old)) if old else []

        self._forget(await self._store.write(work))
        return value

    async def of(self, headers: Headers) -> SessionRow | None:
        """The session that a request belongs to; None: it is in none, or that is over."""
        if not (value := self.value(headers)):
            return None
        digest = _digest(value)
        if (known := self._known.get(digest)) is None:
            found = await self._store.read(lambda c: sessions.by_digest(c, digest))
            known = self._known.keep(digest, found)
        row, now = known.value, self._now()
        return row if row is not None and now < row.expires and now - row.seen < self._idle else None

    async def touch(self, row: SessionRow) -> None:
        """It was used: written down once a minute."""
        now = self._now()
        if now - row.seen >= timedelta(minutes=1) and self._known.first(row.digest):
            await self._store.write(lambda c: sessions.touch(c, row.id, now))
            self._known.drop(row.digest)

    async def leave(self, headers: Headers) -> SessionRow | None:
        """End the session that a request belongs to, if it does."""
        value = self.value(headers)
        ended = await self._store.write(lambda c: sessions.end(c, digest=_digest(value))) if value else []
        self._forget(ended)
        return ended[0] if ended else None

    async def end(self, person: str, session_id: str = "") -> list[SessionRow]:
        """End one of somebody's sessions, or all; those that were open."""
        return self._forget(await self._store.write(lambda c: sessions.end(c, person=person, session_id=session_id)))

    async def end_of(self, stands_for: Iterable[str]) -> list[SessionRow]:
        """End the sessions that stand for one of these."""
        return self._forget(await self._store.write(lambda c: sessions.end_of(c, list(stands_for))))

    async def listing(self, person: str) -> list[SessionRow]:
        """Somebody's sessions that are open, last seen first."""
        now = self._now()
        rows = await self._store.read(lambda c: sessions.of(c, person, now))
        return [one for one in rows if now - one.seen < self._idle]

    def value(self, headers: Headers) -> str:
        """The value of our cookie; "" where there is none."""
        for name, value in headers:
            if name == b"cookie":
                try:
                    found = SimpleCookie(value.decode("latin-1")).get(self.cookie)
                except CookieError:
                    return ""
                return found.value if found is not None else ""
        return ""

    def form_word(self, headers: Headers, about: str = "form") -> str:
        """What a form of ours has to bring along: no page of another site knows it. The same after a restart."""
        return hmac.new(self._secret, f"{about}\0{self.value(headers)}".encode(), sha256).hexdigest()

    def fits(self, headers: Headers, word: str) -> bool:
        """Whether a form is one of ours, of the same session."""
        return hmac.compare_digest(self.form_word(headers).encode(), word.encode())

    def sign(self, text: str) -> str:
        """What only we can say of a text."""
        return hmac.new(self._secret, f"signed\0{text}".encode(), sha256).hexdigest()

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

    @property
    def _secret(self) -> bytes:
        assert self._key is not None, "the door opens sessions before anybody asks"
        return self._key

    def _forget(self, rows: list[SessionRow]) -> list[SessionRow]:
        for one in rows:
            self._known.drop(one.digest)
        return rows


def _form_key(connection: Connection) -> str:
    found = checkpoints.get_many(connection, OWNER, [KEY]).get(KEY)
    if isinstance(found, str):
        return found
    made = secrets.token_hex(32)
    checkpoints.save(connection, OWNER, {KEY: made})
    return made


def _digest(value: str) -> str:
    return sha256(value.encode()).hexdigest()
