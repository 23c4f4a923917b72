"""Tokens that people make, as the door needs them: looked up, counted as used, ended. What makes one is in `tokens`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from retrain.store import Store, people, tokens
from retrain.store.people import Person
from retrain.store.tokens import TokenRow
from retrain.web.remembered import Remembered


class Keys:
    """Tokens by their digest, and people by their name. `now`: the clock's.

    `issuer` and `lasts`: whose people count, and for how long after their last login; "" where nobody logs in.
    """

    def __init__(
        self, store: Store, now: Callable[[], datetime], *, issuer: str = "", lasts: timedelta = timedelta(days=30)
    ) -> None:
        self.store = store
        self.now = now
        self._issuer = issuer
        self._lasts = lasts
        self._tokens: Remembered[TokenRow] = Remembered(now)
        self._people: Remembered[Person] = Remembered(now)

    async def token(self, digest: str) -> TokenRow | None:
        """The token with this digest; None: there is none, or it opens nothing any more."""
        if (known := self._tokens.get(digest)) is None:
            found = await self.store.read(lambda c: tokens.by_digest(c, digest))
            known = self._tokens.keep(digest, found)
        return known.value if known.value is not None and known.value.good(self.now()) else None

    async def called(self, token_id: str) -> TokenRow | None:
        """The token of this id, if it still opens something."""
        if (known := self._tokens.get(token_id)) is None:
            found = await self.store.read(lambda c: tokens.get(c, token_id))
            known = self._tokens.keep(token_id, found)
        return known.value if known.value is not None and known.value.good(self.now()) else None

    async def person(self, name: str) -> Person | None:
        """Who has logged in under this name, and not too long ago for their roles to count."""
        if not self._issuer:
            return None
        if (known := self._people.get(name)) is None:
            known = self._people.keep(name, await self.store.read(lambda c: people.get(c, name)))
        found = known.value
        good = found is not None and found.issuer == self._issuer and self.now() - found.seen < self._lasts
        return found if good else None

    async def touch(self, row: TokenRow) -> None:
        """It was used: written down once a minute."""
        now = self.now()
        if (row.used is None or now - row.used >= timedelta(minutes=1)) and self._tokens.first(row.digest):
            await self.store.write(lambda c: tokens.touch(c, row.id, now))

    def forget(self, *names: str) -> None:
        """Ask the store for these digests, ids or people again."""
        for one in names:
            self._tokens.drop(one)
            self._people.drop(one)
