"""Trying again and again: how every source that fetches waits for what is lacking outside.

Whatever is wrong with a server, a network or a secret may be mended while we wait. So it is said in the source's state,
logged once for each new reason, and tried again with growing pauses.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import anyio

from eventsources.port import SourceContext
from retrain.errors import RetrainError
from retrain.log import get_logger

log = get_logger()

FIRST_S, LAST_S = 0.5, 30.0
"""Seconds between two attempts: at first, and at most."""

JITTER = 0.2
"""A pause is longer or shorter by up to this part, so that many sources do not knock at the same moment."""


async def keep_trying(
    context: SourceContext, attempt: Callable[[], Awaitable[None]], *, first_s: float = FIRST_S
) -> None:
    """Run `attempt` until cancelled; it connects, calls `context.status.listening()` and receives until it cannot.

    A RetrainError of it (also the only one of a task group's) becomes the source's state, and is tried again after a
    pause; the pauses grow from `first_s` to LAST_S and start anew once it has listened. An attempt that ends without an
    error is one that the other side has ended. Any other error comes out: the host knows what to do with a crash.
    """
    status = context.status
    delay, said = first_s, ""
    while True:
        listened = status.listenings
        reason = "the other side ended the connection"
        try:
            await attempt()
        except Exception as error:
            expected = expected_error(error)
            if expected is None:
                raise
            reason = str(expected)
        if status.listenings != listened:
            delay, said = first_s, ""
        status.failed(reason)
        status.waiting(reason)
        if reason != said:
            log.warning("source.waiting", source=status.name, reason=status.state().waiting_for, retry_s=delay)
            said = reason
        await anyio.sleep(delay * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret hangs on it
        delay = min(delay * 2, LAST_S)


def expected_error(error: Exception) -> RetrainError | None:
    """The RetrainError that an exception is or consists of; None where there is anything else in it."""
    if isinstance(error, RetrainError):
        return error
    if not isinstance(error, ExceptionGroup):
        return None
    found = [expected_error(inner) for inner in error.exceptions]
    return None if None in found else found[0]
