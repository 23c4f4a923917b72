"""Dead letters as doors show them, and their second chance: one, or all that match."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from retrain.app.looking.queries import stamp
from retrain.app.runs.filters import time_of
from retrain.app.services import Action
from retrain.clock import Clock
from retrain.errors import ConfigError, NotFound, Refused
from retrain.identity import Principal
from retrain.store import Store, audit, deadletters
from retrain.store.audit import Deed
from retrain.store.deadletters import DeadLetter, LetterFilter
from triggers import redrive

Json = dict[str, Any]

AT_ONCE = 500
"""Letters that are redriven at once: one transaction, which everybody else waits for."""
HEAD = 4096
"""Bytes of a body that a list shows."""


def read_filter(now: datetime, **words: str | None) -> LetterFilter:
    """Which letters are meant: `kind`, `origin`, `text`, `since` and `until` (an age such as 2h, or a time) and
    `state` (waiting or redriven).

    Raises:
        ConfigError: a time or the state cannot be read.
    """
    if strange := sorted(words.keys() - {"kind", "origin", "text", "since", "until", "state"}):
        raise ConfigError(f"{strange[0]}: letters are chosen by kind, origin, text, since, until and state")
    state = words.get("state") or None
    if state not in {None, "waiting", "redriven"}:
        raise ConfigError(f"state {state!r}: waiting or redriven")
    return LetterFilter(
        kind=words.get("kind") or None,
        origin=words.get("origin") or None,
        text=words.get("text") or None,
        since=time_of(since, "since", now) if (since := words.get("since")) else None,
        until=time_of(until, "until", now) if (until := words.get("until")) else None,
        redriven=None if state is None else state == "redriven",
    )


def list_letters(connection: Connection, which: LetterFilter, cursor: str | None, limit: int) -> Json:
    """Dead letters, newest first, of each the beginning of its body; `bytes` says how long it is."""
    page = deadletters.listing(connection, which, cursor=cursor, limit=limit, head=HEAD)
    return {"items": [letter(one) for one in page.items], "next": page.next}


def show_letter(connection: Connection, letter_id: str, head: int | None = None) -> Json:
    """One dead letter with its body, or the first so many bytes of it.

    Raises:
        NotFound: there is none.
    """
    found = deadletters.get(connection, letter_id, head=head)
    if found is None:
        raise NotFound(f"{letter_id}: no such dead letter; `retrain deadletters list` shows the ids")
    return letter(found)


def body_of(connection: Connection, letter_id: str) -> bytes:
    """The bytes of a dead letter's body as they came. Raises as `show_letter`."""
    found = deadletters.get(connection, letter_id)
    if found is None:
        raise NotFound(f"{letter_id}: no such dead letter; `retrain deadletters list` shows the ids")
    return found.body


def letter(one: DeadLetter) -> Json:
    """A dead letter; its body as text, as far as it is text."""
    return {
        "id": one.id,
        "kind": one.kind,
        "origin": one.origin,
        "reason": one.reason,
        "body": one.body.decode(errors="backslashreplace"),
        "bytes": one.size,
        "created": stamp(one.created),
        "redriven": stamp(one.redriven),
    }


def what_redrives(connection: Connection, which: LetterFilter) -> Json:
    """How many letters match, and how many of them a redrive would try again; of more than 10,000 only so many."""
    return {"count": deadletters.count_of(connection, which), "redrives": len(_ids(connection, which, 10_000))}


def _ids(connection: Connection, which: LetterFilter, limit: int) -> list[str]:
    return deadletters.waiting_firings(connection, which, limit)


def letter_actions(store: Store, clock: Clock) -> dict[str, Action]:
    """What people may do to dead letters."""
    return {
        "deadletters.redrive": partial(_redrive, store, clock),
        "deadletters.redrive_all": partial(_redrive_all, store, clock),
    }


async def _redrive(store: Store, clock: Clock, letter_id: str, *, by: Principal | None = None) -> Json:
    del by  # whoever asks is on the audit record
    firing_id = await store.write(lambda c: redrive(c, letter_id, clock.now()))
    _notify(store)
    return {"firing": firing_id}


async def _redrive_all(
    store: Store, clock: Clock, *, by: Principal | None = None, reason: str = "", **words: str
) -> Json:
    """Try again what these letters are about, the oldest first, so many at once.

    Answers `{"redriven", "refused", "left"}`: how many, of how many the firing lives on already or is gone, and how
    many more match. `until` is now where it is not said: what dies meanwhile is not tried for ever.
    """
    now = clock.now()
    which = read_filter(now, **{"until": stamp(now + timedelta(seconds=1)), **words})

    def work(connection: Connection) -> Json:
        answer = _try_all(connection, which, now)
        _note(connection, by, reason, words, answer, now)
        return answer

    answer = await store.write(work)
    _notify(store)
    return answer


def _try_all(connection: Connection, which: LetterFilter, now: datetime) -> Json:
    ids = _ids(connection, which, AT_ONCE + 1)
    redriven = refused = 0
    for letter_id in ids[:AT_ONCE]:
        try:
            redrive(connection, letter_id, now)
            redriven += 1
        except (Refused, NotFound):
            refused += 1
    left = len(_ids(connection, which, 10_000)) if len(ids) > AT_ONCE else 0
    return {"redriven": redriven, "refused": refused, "left": left}


def _note(
    connection: Connection, by: Principal | None, reason: str, words: Mapping[str, str], answer: Json, now: datetime
) -> None:
    """On the record: one deed for all of them."""
    who = by or Principal("", frozenset())
    said = " ".join(f"{name}={one}" for name, one in sorted(words.items()) if one) or "all"
    audit.record(
        connection,
        Deed(now, who.name, who.verified, "deadletters.redrive", said[:500], None, answer, reason[:2000], who.place),
    )


def _notify(store: Store) -> None:
    for topic in ("firings", "outbox"):
        store.signals.notify(topic)
