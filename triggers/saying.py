"""Says in the log how attempts ended, with the trace of each firing. What went well is said at the level `debug`."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import structlog

from retrain.errors import Transient
from retrain.store import Store, traces
from retrain.store.firings import FiringState
from retrain.telemetry.ids import span_id
from triggers.verdicts import Verdict

log = structlog.get_logger()


async def say(store: Store, verdicts: Iterable[Verdict]) -> None:
    """Say these verdicts, which are written down."""
    level = logging.DEBUG if log.is_enabled_for(logging.DEBUG) else logging.INFO
    told = [one for one in verdicts if level == logging.DEBUG or one.settled.state != FiringState.DONE]
    if not told:
        return
    refs: list[traces.Ref] = [("firing", one.settled.id) for one in told]
    try:
        known = await store.read(lambda c: traces.trace_ids(c, refs))
    except Transient:
        known = {}
    for ref, one in zip(refs, told, strict=True):
        _say(one, known[ref].id if ref in known else None)


def _say(verdict: Verdict, trace: str | None) -> None:
    one = verdict.settled
    ids = {"firing_id": one.id, "trace_id": trace, "span_id": span_id("action", one.id)}
    if one.state == FiringState.DEAD:
        log.warning("firing.dead", attempts=one.attempts, error=one.error, **ids)
    elif one.state == FiringState.DONE:
        log.debug("firing.done", attempts=one.attempts, kind=verdict.firing.kind, **ids)
    else:
        said = "firing.waits" if verdict.waits else "firing.retry"
        log.info(said, attempt=one.attempts, error=one.error, **ids)
