"""How an attempt ended, and what becomes of the firing: done, another attempt, or a dead letter. Pure.

A dead firing may have a trigger of its own for that (`dlqTrigger`): it fires with the same events.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import orjson
import structlog

from retrain.errors import ConfigError, NotFound, Permanent, Refused, RetrainError
from retrain.events import JsonValue
from retrain.kube import Busy, QuotaExceeded, Unreachable
from retrain.store.deadletters import DeadLetter
from retrain.store.firings import FiringRow, FiringState, Settled
from triggers.port import CREATED, Firing, Later, RetryAfter
from triggers.retry import MAX_DELAY_S, Backoff, read_backoff

log = structlog.get_logger()

MAX_RESULT = 16 * 1024
"""Bytes of a result that are kept with the firing."""
MAX_ERROR = 2048

PATIENT = (Unreachable, Busy, QuotaExceeded)
"""Errors of a cluster that use up no attempt: a firing is not lost because its cluster was away for an hour."""
PAUSES_S: Mapping[type[Exception], float] = {Unreachable: 3.0, Busy: 2.0, QuotaExceeded: 30.0}
"""Seconds until the next try, where the server names none; as much again at random, so that not all come at once."""
FINAL = (Permanent, Refused, NotFound, ConfigError)
"""Errors that another attempt would meet again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to write down about one attempt; a `letter` where it was the last and failed."""

    firing: Firing
    settled: Settled
    letter: DeadLetter | None = None

    @property
    def final(self) -> bool:
        """Nothing more will come of the firing by itself."""
        return self.settled.state != FiringState.PENDING

    @property
    def waits(self) -> bool:
        """It has acted and is not over: this was no failure."""
        return not self.final and self.settled.attempts == self.firing.attempts


def succeeded(firing: Firing, attempt: int, result: JsonValue | Later, now: datetime) -> Verdict:
    """The firing is done, or is looked at again later."""
    if isinstance(result, Later):
        kept = _bounded(result.result)
        state, until = FiringState.PENDING, result.until
        return Verdict(firing, Settled(firing.id, state, firing.attempts, kept, result.reason, next_attempt=until))
    return Verdict(firing, Settled(firing.id, FiringState.DONE, attempt, result=_bounded(result), finished=now))


def dlq_firing(verdict: Verdict, now: datetime) -> FiringRow | None:
    """The firing of the `dlqTrigger` that follows a dead one; None if it has none.

    Its id follows from the letter's, so a firing that is redriven and dies again has another.
    """
    firing, letter = verdict.firing, verdict.letter
    if letter is None or firing.dlq is None:
        return None
    return FiringRow(
        id=f"f-{sha256(f'{firing.id} {letter.id}'.encode()).hexdigest()[:20]}",
        sensor=firing.sensor,
        trigger=f"{firing.trigger}.dlq",
        key=firing.key,
        events=firing.events,
        action=dict(firing.dlq),
        created=now,
        depth=firing.depth,
        priority=firing.priority,
    )


def failed(
    firing: Firing, attempt: int, error: Exception, now: datetime, chance: Callable[[], float] = random.random
) -> Verdict:
    """The firing tries again after its `retryStrategy`'s wait, or dies of this error.

    An error that is none of ours is a bug of the kind: it is tried again like a `Transient`, and logged with its trace.
    """
    if not isinstance(error, RetrainError):
        log.error("trigger.bug", firing_id=firing.id, kind=firing.kind, exc_info=error)
    text = _text(error)
    try:
        backoff = read_backoff(firing.action.get("retryStrategy"))
    except ConfigError as wrong:
        return _dead(firing, attempt, f"{text}; and {wrong}", now)
    if isinstance(error, FINAL):
        return _dead(firing, attempt, text, now)
    if isinstance(error, PATIENT):
        until = now + timedelta(seconds=_pause_s(error, chance))
        return Verdict(firing, Settled(firing.id, FiringState.PENDING, firing.attempts, error=text, next_attempt=until))
    if attempt >= backoff.steps:
        return _dead(firing, attempt, f"{text} (attempt {attempt} of {backoff.steps})", now)
    again = now + timedelta(seconds=_wait_s(error, attempt, backoff, chance))
    return Verdict(firing, Settled(firing.id, FiringState.PENDING, attempt, error=text, next_attempt=again))


def _pause_s(error: Exception, chance: Callable[[], float]) -> float:
    asked = error.after_s if isinstance(error, Busy) else None
    return min((asked or PAUSES_S[type(error)]) * (1 + chance()), MAX_DELAY_S)


def _wait_s(error: Exception, attempt: int, backoff: Backoff, chance: Callable[[], float]) -> float:
    wait = backoff.delay_s(attempt, chance)
    if isinstance(error, RetryAfter):
        wait = max(wait, error.after_s)
    return min(wait, MAX_DELAY_S)


def _dead(firing: Firing, attempt: int, reason: str, now: datetime) -> Verdict:
    action = {name: value for name, value in firing.action.items() if name != CREATED}
    body = {"firing": firing.id, "sensor": firing.sensor, "trigger": firing.trigger, "key": firing.key}
    letter = DeadLetter(
        # The time is part of it: a firing that is redriven may die again, and that is another letter.
        id=f"d-{firing.id.removeprefix('f-')}-{int(now.timestamp() * 1e6):x}",
        kind="firing",
        origin=f"{firing.sensor}/{firing.trigger}",
        reason=reason,
        body=orjson.dumps(body | {"events": firing.events, "action": action}),
        created=now,
    )
    return Verdict(firing, Settled(firing.id, FiringState.DEAD, attempt, error=reason, finished=now), letter)


def _text(error: Exception) -> str:
    # A foreign error's text may quote anything, a header with a secret too: only its type is shown.
    text = str(error) if isinstance(error, RetrainError) else f"{type(error).__name__} in the trigger's code"
    text = text.encode(errors="replace").decode()  # the store takes no lone surrogates
    return text if len(text) <= MAX_ERROR else f"{text[:MAX_ERROR]}..."


def _bounded(result: JsonValue) -> JsonValue:
    try:
        size = len(orjson.dumps(result))
    except TypeError:
        return {"dropped": "the trigger's result was no JSON"}
    return result if size <= MAX_RESULT else {"dropped": f"the trigger's result had {size} bytes"}
