"""How a source is doing: where it writes that, and what is shown of it. Secrets that it has read are never shown."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import anyio

from retrain.clock import Clock

Phase = Literal["starting", "standby", "listening", "waiting", "stopped"]
"""`standby`: another replica runs it."""

RATE_S = 60
"""Seconds that a rate is taken over."""

TEXT = 500
"""Characters of a reason at most."""

CONCEALED = 4
"""Characters of the shortest secret that is looked for in texts: what is shorter would blot out ordinary words."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How a source is doing. `name` is `EventSource/event`.

    `since`: when it came into `state`. `waiting_for`: what it lacks, in words and without secrets. `note`: what an
    operator should know although it listens. `received` counts events that are safe, `filtered` those that
    `filter.expression` did not want, `buried` messages that went to the dead letters, `errors` failures, all since the
    process started; `last_event` is when the newest was received, `last_error` what went wrong last and
    `last_error_at` when. `lag`: how much waits outside, None where the source cannot tell. `rate`: events per second
    over the last minute.
    """

    kind: str
    name: str
    state: Phase
    since: datetime
    waiting_for: str | None = None
    note: str | None = None
    last_event: datetime | None = None
    received: int = 0
    errors: int = 0
    filtered: int = 0
    buried: int = 0
    lag: int | None = None
    rate: float = 0.0
    last_error: str | None = None
    last_error_at: datetime | None = None


class Status:
    """Where a source writes how it is doing. `settled` is set once it listens, or waits for something."""

    def __init__(self, kind: str, name: str, clock: Clock) -> None:
        self.kind = kind
        self.name = name
        self.settled = anyio.Event()
        self.listenings = 0  # how often it said that it listens; tells who retries whether an attempt got so far
        self._clock = clock
        self._phase: Phase = "starting"
        self._since = clock.now()
        self._waiting_for: str | None = None
        self._note: str | None = None
        self._last_event: datetime | None = None
        self._received = self._errors = self._filtered = self._buried = 0
        self._lag: int | None = None
        self._last_error: str | None = None
        self._last_error_at: datetime | None = None
        self._seconds: deque[tuple[int, int]] = deque(maxlen=RATE_S + 1)  # second: events received in it
        self._secrets: set[str] = set()

    def listening(self, note: str | None = None) -> None:
        """It receives now."""
        self.listenings += 1
        self._become("listening", None, note)

    def waiting(self, reason: str) -> None:
        """It cannot receive now, because of `reason`, and tries again."""
        self._become("waiting", reason, None)

    def standby(self) -> None:
        """Another replica runs it; this one is ready to take over."""
        self._become("standby", None, "another replica runs it")

    def stopped(self) -> None:
        """It was told to end."""
        self._become("stopped", None, None)

    def received(self, now: datetime, count: int = 1) -> None:
        """So many events more are safe on the bus."""
        self._received += count
        self._last_event = now
        second = int(now.timestamp())
        if self._seconds and self._seconds[-1][0] == second:
            count += self._seconds.pop()[1]
        self._seconds.append((second, count))

    def filtered(self, count: int = 1) -> None:
        """So many events more were not wanted by `filter.expression`."""
        self._filtered += count

    def buried(self, reason: str) -> None:
        """A message went to the dead letters."""
        self._buried += 1
        self.failed(reason)

    def failed(self, reason: str | None = None) -> None:
        """Something went wrong once more."""
        self._errors += 1
        if reason is not None:
            self._last_error, self._last_error_at = self.clean(reason), self._clock.now()

    def lag(self, count: int | None) -> None:
        """So much waits outside to be taken in; None: that cannot be told now."""
        self._lag = count

    def conceal(self, secret: str) -> None:
        """Never show this text: a client library may put it into its errors."""
        if len(secret) >= CONCEALED:
            self._secrets.add(secret)

    def clean(self, text: str) -> str:
        """The text without secrets, as far as they were told by `conceal`, and not too long."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:TEXT]

    def state(self) -> SourceState:
        """What to show."""
        return SourceState(
            kind=self.kind,
            name=self.name,
            state=self._phase,
            since=self._since,
            waiting_for=self._waiting_for,
            note=self._note,
            last_event=self._last_event,
            received=self._received,
            errors=self._errors,
            filtered=self._filtered,
            buried=self._buried,
            lag=self._lag,
            rate=self._rate(),
            last_error=self._last_error,
            last_error_at=self._last_error_at,
        )

    def _rate(self) -> float:
        after = int((self._clock.now() - timedelta(seconds=RATE_S)).timestamp())
        return round(sum(count for second, count in self._seconds if second > after) / RATE_S, 2)

    def _become(self, phase: Phase, reason: str | None, note: str | None) -> None:
        if phase != self._phase:
            self._phase, self._since = phase, self._clock.now()
        self._waiting_for = self.clean(reason) if reason is not None else None
        self._note = self.clean(note) if note is not None else None
        if phase != "starting":
            self.settled.set()
