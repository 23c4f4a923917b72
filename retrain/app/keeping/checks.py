"""What is right and what is wrong with a running platform, judged from figures. Pure.

Each check says what was found, what that means, and what to do; `fail` is for what needs somebody now, `warn` for what
will.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

Json = Mapping[str, Any]
Status = Literal["ok", "warn", "fail"]

MB, GB = 1 << 20, 1 << 30
LAG_WARN, LAG_FAIL = timedelta(minutes=1), timedelta(minutes=15)
SKEW_WARN_S, SKEW_FAIL_S = 2.0, 30.0
"""Seconds between two clocks. Leases are kept by the clock: 30 s is as long as one lasts."""
DAYS_WARN, DAYS_FAIL = 30.0, 3.0
"""Days until the disk is full at the rate of the last day."""
LEAST_FREE = GB
WAL_WARN = GB
SOON, NEAR = timedelta(days=14), timedelta(days=2)
"""Before the end of a token or a certificate."""
SILENT = 3.0
"""Times the longest pause of a source among its last events."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing looked at. `means` and `do` are empty where it is ok."""

    name: str
    status: Status
    found: str
    means: str = ""
    do: str = ""

    def to_json(self) -> dict[str, str]:
        """As the API gives it."""
        return asdict(self)


def worst(checks: Sequence[Checked]) -> Status:
    """The worst that was found."""
    found = {one.status for one in checks}
    return "fail" if "fail" in found else "warn" if "warn" in found else "ok"


# --- what the platform says of itself --------------------------------------------------------------------------------


def parts(health: Json, now: datetime) -> Iterator[Checked]:
    """One line for all that are ready, and one for each that is not."""
    away = [one for one in health["parts"] if not one["ready"]]
    ready = len(health["parts"]) - len(away)
    yield Checked("parts", "ok", f"{ready} of {len(health['parts'])} ready; up since {health['started']}")
    for one in away:
        since = f" since {one['since']}" if one.get("since") else ""
        yield Checked(
            f"part {one['name']}",
            "fail" if one["vital"] or _old(one.get("since"), now, LAG_FAIL) else "warn",
            f"waits{since}: {one['waitingFor']}",
            "nothing can be taken in" if one["vital"] else "its work waits and is done later; nothing is lost",
            "mend what it waits for; it goes on by itself",
        )


def schema(health: Json, newest: str) -> Iterator[Checked]:
    """The store's revision."""
    found = health["store"]["revision"]
    if found == newest:
        yield Checked("schema", "ok", str(found))
    else:
        yield Checked(
            "schema",
            "fail",
            f"{found}, this Retrain's is {newest}",
            "another version has been at the store",
            "run one version of Retrain on a store",
        )


def lag(health: Json) -> Iterator[Checked]:
    """How far the sensors are behind the log, and whether the log has lost what they have not read."""
    log = health["log"]
    if log["lag"] is None:
        yield Checked("log", "fail", "not known", "the bus or the store does not answer", "see the parts above")
        return
    if log["first"] is not None and log["first"] - 1 > log["read"] and log["last"] >= log["first"]:
        lost = log["first"] - 1 - log["read"]
        means = f"{lost} events grew too old for the bus before a sensor read them"
        yield Checked("log gap", "fail", f"read up to {log['read']}, the log begins at {log['first']}", means, _LATER)
    seconds = timedelta(seconds=log["lagSeconds"] or 0)
    found = f"{log['lag']} events unread" + (f", {_span(seconds)} behind" if log["lag"] else "")
    if log["lag"] and seconds > LAG_WARN:
        status: Status = "fail" if seconds > LAG_FAIL else "warn"
        yield Checked(
            "lag", status, found, "decisions come late", "look at CPU and disk, and at `retrain sensors list`"
        )
    else:
        yield Checked("lag", "ok", found)
    for one in health["sensors"]:
        found = f"at {one['position']}, {one['lag']} events behind"
        yield Checked(f"sensor {one['name']}", "ok", f"reads by itself (the past, or suspended): {found}")


_LATER = "send them again at their source, or raise bus.max_age_s before the next time"


def room(health: Json, facts: Json) -> Iterator[Checked]:
    """The disk, against what the last day has brought."""
    free, total = health["disk"]["free"], health["disk"]["total"]
    if free is None:
        yield Checked("disk", "warn", "not known", "the data directory cannot be asked", "look at it by hand")
        return
    grown = growth(health, facts)
    days = free / grown if grown else None
    found = f"{free / GB:.1f} of {total / GB:.1f} GiB free"
    if grown and days is not None:
        found += f"; {grown / MB:.1f} MiB a day: {_days(days)}"
    if free < LEAST_FREE or (days is not None and days < DAYS_FAIL):
        do = "make room, or shorten store.events_days and the like (docs/operations.md)"
        yield Checked("disk", "fail", found, "when it is full nothing is taken in", do)
    elif days is not None and days < DAYS_WARN:
        yield Checked("disk", "warn", found, "it will be full soon", "plan room, or keep things for a shorter time")
    else:
        yield Checked("disk", "ok", found)


def growth(health: Json, facts: Json) -> float:
    """Bytes that a day like the last one brings, as far as events bring them."""
    events = facts["eventsEver"]
    if not events or not facts["eventsOfDay"]:
        return 0.0
    each = (health["store"]["bytes"] + (health["bus"]["bytes"] or 0)) / events
    return each * facts["eventsOfDay"]


def store(health: Json, facts: Json) -> Iterator[Checked]:
    """The store's files."""
    of_file, wal = health["store"]["bytes"], health["store"]["wal"]
    said = facts["integrity"]
    if said == "ok":
        yield Checked("store", "ok", f"{of_file / MB:.1f} MiB, pages are sound")
    elif said is None:
        found = f"{of_file / MB:.1f} MiB, looked at for {facts['integrityS']:.0f} s only, without a fault"
        yield Checked("store", "ok", found)
    else:
        do = "stop the platform, keep a copy of the data directory, restore the newest back-up"
        yield Checked("store", "fail", str(said), "the database file is damaged", do)
    if wal > WAL_WARN:
        means = "something reads the store for very long, so that its log cannot be folded in"
        yield Checked("store log", "warn", f"{wal / MB:.0f} MiB", means, "look for a program that holds store.db open")
    if not facts["shrinks"] and facts["freePages"] > facts["pages"] * 0.3:
        found = f"{100 * facts['freePages'] // max(1, facts['pages'])} % of the file is empty"
        do = "nothing, or back up and restore: the copy is small, and can shrink from then on"
        yield Checked("store room", "warn", found, "the store was made by an older Retrain and keeps its room", do)


def bus(health: Json) -> Iterator[Checked]:
    """The bus's stream."""
    found = health["bus"]
    if found["messages"] is None:
        yield Checked("bus", "fail", "does not answer", "nothing can be taken in", "see docs/bus.md")
        return
    size = f"{found['messages']} events, {(found['bytes'] or 0) / MB:.1f} MiB"
    yield Checked("bus", "ok", f"{found['kind']} {health['versions']['bus'] or ''}: {size}")


# --- what lies in the store ------------------------------------------------------------------------------------------


def work(facts: Json) -> Iterator[Checked]:
    """Dead letters, and what should have moved on and has not."""
    letters = facts["letters"]
    if letters["count"]:
        oldest = f", the oldest of {letters['oldest']}"
        yield Checked(
            "dead letters",
            "warn",
            f"{_many(letters['count'])} that nobody has redriven{oldest}",
            "what was sent or decided was not done",
            "retrain deadletters list, then redrive",
        )
    else:
        yield Checked("dead letters", "ok", "none")
    for what, means, do in _STUCK:
        found = facts["stuck"][what]
        if found["count"]:
            named = ", ".join(found["ids"])
            yield Checked(f"stuck {what}", "fail", f"{_many(found['count'])}: {named}", means, do)
        else:
            yield Checked(f"stuck {what}", "ok", "none")
    left = facts["leases"]
    if left:
        means = "whoever held them is gone; the next one to want them takes them"
        yield Checked("leases", "warn", f"run out: {', '.join(left)}", means, "nothing, if sources are listening")
    else:
        yield Checked("leases", "ok", "none is held by nobody")


_STUCK = (
    ("firings", "they are due and nobody acts on them", "see part dispatcher; retrain firings list --state pending"),
    ("runs", "nobody works on them", "see part runner; is a process with the role runner up?"),
    ("promotions", "they are due and nobody works on them", "see parts promotion ...; retrain promotions list"),
    ("outbox", "what the platform has to tell does not reach the bus", "see parts bus and outbox"),
)


def sources(rows: Sequence[Json], now: datetime) -> Iterator[Checked]:
    """Sources that are silent for much longer than they use to be. `usual`: seconds of the longest pause lately."""
    silent = [one for one in rows if one["usual"] and (now - one["last"]).total_seconds() > _bound(one["usual"])]
    for one in silent:
        pause = _span(now - one["last"])
        yield Checked(
            f"source {one['name']}",
            "warn",
            f"silent for {pause}; its longest pause among the last events was {_span(timedelta(seconds=one['usual']))}",
            "there is no new data, or it does not get here",
            "look at the sender; retrain sources show tells what the source waits for",
        )
    if not silent:
        yield Checked("sources", "ok", f"{len(rows)}, none silent for longer than usual")


def _bound(usual_s: float) -> float:
    return max(600.0, SILENT * usual_s)


# --- what ends -------------------------------------------------------------------------------------------------------


def ends(things: Sequence[tuple[str, datetime]], now: datetime) -> Iterator[Checked]:
    """Tokens and certificates that end soon: (what, when)."""
    soon = [(what, when) for what, when in things if when - now < SOON]
    for what, when in sorted(soon, key=lambda one: one[1]):
        over = when <= now
        found = f"{'ended' if over else 'ends'} {when:%Y-%m-%d %H:%M} UTC"
        means = "whoever uses it is turned away" + ("" if over else " then")
        yield Checked(what, "fail" if when - now < NEAR else "warn", found, means, "make a new one, and hand it out")
    if not soon:
        yield Checked("tokens and certificates", "ok", f"{len(things)} with an end, none within {SOON.days} days")


# --- what only the other side can see --------------------------------------------------------------------------------


def skew(seconds: float, bound_s: float) -> Checked:
    """The difference between the platform's clock and ours. `bound_s`: how much of it the way may be."""
    found = f"{seconds:+.1f} s" if abs(seconds) > bound_s else f"within {bound_s:.1f} s"
    if abs(seconds) - bound_s > SKEW_FAIL_S:
        do = "let both machines ask a time server (timedatectl, chrony)"
        return Checked("clock", "fail", found, "leases, schedules and logins go wrong", do)
    if abs(seconds) - bound_s > SKEW_WARN_S:
        return Checked("clock", "warn", found, "times in logs of the two do not fit", "ask a time server on both")
    return Checked("clock", "ok", found)


def versions(ours: str, theirs: str) -> Checked:
    """The command line's version and the platform's."""
    if ours == theirs:
        return Checked("versions", "ok", f"both {ours}")
    means = "commands may not know what the platform has, and the other way round"
    return Checked("versions", "warn", f"command line {ours}, platform {theirs}", means, "install the same on both")


# --- words -----------------------------------------------------------------------------------------------------------


def _old(text: str | None, now: datetime, bound: timedelta) -> bool:
    return text is not None and now - datetime.fromisoformat(text) > bound


def _many(count: int) -> str:
    return str(count) if count < 1000 else "1000 or more"


def _span(time: timedelta) -> str:
    seconds = time.total_seconds()
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _days(days: float) -> str:
    return "full in years" if days > 730 else f"full in {days:.0f} days"
