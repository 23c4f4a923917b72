"""What is written down when firings end: in one transaction their rows, letters, followers, and what is told of them.

Only for firings that this process still holds: what somebody else has taken meanwhile is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from retrain.events import Event
from retrain.store import deadletters, firings, outbox, runs
from retrain.store.firings import FiringRow, FiringState
from triggers.announce import Moment, Tale, announcement, run_of
from triggers.verdicts import Verdict, dlq_firing

REPLACED = "replaced"
CHUNK = 500


def write_endings(connection: Connection, owner: str, verdicts: Sequence[Verdict], now: datetime) -> set[str]:
    """Settle the firings; the store's signals to give after the commit."""
    special = [one for one in verdicts if _is_special(one)]
    held = firings.held(connection, owner, [one.settled.id for one in special]) if special else set[str]()
    mine = [one for one in special if one.settled.id in held]
    deadletters.add(connection, [one.letter for one in mine if one.letter is not None])
    followers = [row for one in mine if (row := dlq_firing(one, now)) is not None]
    firings.add(connection, followers)
    told = _told(connection, [one for one in mine if one.firing.tracked], now)
    outbox.add(connection, told, now)
    firings.settle(connection, owner, [one.settled for one in verdicts])
    freed = [firings.release_next(connection, one.settled.id, now) for one in mine if one.firing.ordered]
    return {topic for topic, some in (("firings", followers or any(freed)), ("outbox", told)) if some}


def _is_special(verdict: Verdict) -> bool:
    firing = verdict.firing
    return verdict.final and (verdict.letter is not None or firing.tracked or firing.ordered)


def _told(connection: Connection, verdicts: Sequence[Verdict], now: datetime) -> list[Event]:
    made = [run for one in verdicts if (run := run_of(one.settled.result)) is not None]
    open_runs = runs.still_open(connection, made) if made else set[str]()
    events: list[Event] = []
    for one in verdicts:
        moment: Moment = "done" if one.settled.state == FiringState.DONE else "failed"
        times = deadletters.count_about(connection, one.settled.id) if moment == "failed" else 0
        events.append(announcement(tale_of_verdict(one, times), moment, now, open_runs))
    return events


def tale_of_verdict(verdict: Verdict, times: int) -> Tale:
    """What there is to tell of a firing that has just ended."""
    firing, settled = verdict.firing, verdict.settled
    return Tale(
        firing.id, firing.sensor, firing.trigger, firing.key, firing.kind, firing.depth, settled.attempts,
        settled.result, settled.error, times,
    )  # fmt: skip


def tale_of_row(row: FiringRow, times: int = 0) -> Tale:
    """What there is to tell of a stored firing."""
    kind = row.action.get("kind") if isinstance(row.action, dict) else None
    return Tale(
        row.id, row.sensor, row.trigger, row.key, str(kind or ""), row.depth, row.attempts, row.result, row.error, times
    )


def stop_made(connection: Connection, firing_id: str) -> None:
    """Ask the run that a firing has made to stop: the firing was taken back while it was made."""
    for row in runs.of_firings(connection, [firing_id]):
        runs.ask(connection, row.id, "stop")


def take_back(
    connection: Connection, ids: Iterable[str], now: datetime, in_hand: Collection[str] = ()
) -> tuple[str, ...]:
    """Undo firings as far as they can be: those that are cancelled now.

    One that has not acted is cancelled (and told of as failed, if it is tracked). One that has made a run which is
    still open asks that run to stop; its end is told by the run. Any other stays as it is: what acts on the world now
    cannot be called back. `in_hand`: kinds that look whether they still hold a firing before they act.
    """
    cancelled: list[FiringRow] = []
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        made = {row.firing_id: row for row in runs.of_firings(connection, chunk)}
        for row in made.values():
            runs.ask(connection, row.id, "stop")
        rest = [one for one in chunk if one not in made]
        cancelled += firings.cancel(connection, rest, now, reason=REPLACED, in_hand=in_hand)
    told = [announcement(tale_of_row(row), "failed", now) for row in cancelled if row.tracked]
    outbox.add(connection, told, now)
    return tuple(row.id for row in cancelled)
