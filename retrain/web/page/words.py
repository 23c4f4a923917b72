"""How things read on the page. Pure: values in, text or safe HTML out. Everything that came from outside stays text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast
from urllib.parse import quote, urlencode

from markupsafe import Markup

from pipelines.pictures.reading import in_words
from retrain.events import Event

Mood = Literal["ok", "bad", "warn", "busy", "idle"]

_MOODS: Mapping[Mood, str] = {
    "ok": "Succeeded done fired passed committed live listening approve pass ready released active release",
    "bad": "Failed Error dead failed refused rejected unhealthy error fail reject conflicted",
    "warn": "behind lapsed waived timeout awaiting waiting held throttled over-budget expired rolled-back suspended "
    "parked pending Pending hold rollback superseded",
    "busy": "Running running proposed gating committing open stepping starting",
}
MOODS: dict[str, Mood] = {word: mood for mood, words in _MOODS.items() for word in words.split()}
MARKS: Mapping[Mood, str] = {"ok": "✔", "bad": "✖", "warn": "◷", "busy": "●", "idle": "○"}
"""States are told apart by a mark and by their word, and only then by colour."""

LONGEST = 2000
"""Letters of one value that are shown; the rest is in the JSON."""
MOST = 1500
"""Values of one payload that are shown."""


def visible(value: object) -> object:
    """A value as templates print it: control and direction marks are written out instead of obeyed."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return "" if value is None else value
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in value)


def drawing(svg: str) -> Markup:
    """A picture of ours: its makers escape every text in it, and have not all thought of direction marks."""
    return Markup(visible(svg))  # noqa: S704


def state(word: object) -> Markup:
    """A state with its mark and colour."""
    text = str(word)
    mood = MOODS.get(text, "idle")
    mark = Markup('<span aria-hidden="true">{}</span> ').format(MARKS[mood])
    return Markup('<span class="state {}">{}{}</span>').format(mood, mark, visible(text))


def when(stamp: str | None) -> Markup:
    """A time: in UTC as it is sent, in the reader's own time once the script has run; UTC where the pointer rests."""
    if not stamp:
        return Markup("")
    plain = f"{stamp[:19].replace('T', ' ')} UTC"
    return Markup('<time datetime="{0}" title="{1}">{1}</time>').format(stamp, plain)


def lasted(start: str | None, end: str | None, now: datetime) -> str:
    """How long something took, or takes so far."""
    if not start:
        return ""
    begin, over = datetime.fromisoformat(start), datetime.fromisoformat(end) if end else now
    return in_words(max(0.0, (over - begin).total_seconds()), exact=True)


def short(value: object, limit: int = 12) -> str:
    """The beginning of a long id."""
    text = "" if value is None else str(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def number(value: object) -> str:
    """A figure, with its thousands set apart."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else f"{value:.6g}"


def in_bytes(value: float) -> str:
    """A number of bytes, in the largest unit that tells something."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def command(*words: object) -> str:
    """A command line that a shell reads as these words."""
    return " ".join(["retrain", *(shlex.quote(str(word)) for word in words)])


def given(**words: str | None) -> list[str]:
    """Options of a command, for those words that say something."""
    return [part for name, value in words.items() if value for part in (f"--{name}", value)]


PATHS: Mapping[str, str] = {
    "event": "/ui/event?id={}",
    "object": "/ui/trace?id={}",
    "commit": "/ui/promotion?id={}",
    "firing": "/ui/firing?id={}",
    "run": "/ui/run?name={}",
    "promotion": "/ui/promotion?id={}",
    "sensor": "/ui/sensor?name={}",
    "deadletter": "/ui/deadletter?id={}",
    "model": "/ui/model?name={}",
    "source": "/ui/source?name={}",
    "trace": "/ui/trace?id={}",
}


def path(kind: str, name: object) -> str:
    """Where a thing is shown."""
    return PATHS[kind].format(quote(str(name), safe=""))


def web(url: object) -> bool:
    """Whether a URL leads to a web page, and is not a script or a file."""
    return isinstance(url, str) and url.startswith(("https://", "http://"))


def query(where: str, **words: object) -> str:
    """A path with those words of its query that say something."""
    said = {name: value for name, value in words.items() if value not in (None, "")}
    return f"{where}?{urlencode(said)}" if said else where


def event_key(event: Mapping[str, Any]) -> str:
    """The key of an event of which the JSON is at hand."""
    return Event(id=str(event["id"]), source=str(event["source"]), type=str(event["type"])).key


# --- payloads --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Branch:
    """A value in a payload: `kind` is object, list, text, number, truth or nothing; `left`: members not shown."""

    name: str
    kind: str
    text: str
    members: Sequence[Branch] = ()
    left: int = 0


def tree(value: object, name: str = "") -> Branch:
    """A payload as a tree, with as much of it as anybody reads."""
    return _branch(value, name, [MOST], 0)


def _branch(value: object, name: str, room: list[int], deep: int) -> Branch:
    room[0] -= 1
    if isinstance(value, dict | list):
        pairs = _pairs(cast("dict[str, object] | list[object]", value))
        kind, size = ("object" if isinstance(value, dict) else "list"), len(cast("list[object]", value))
        members = [_branch(one, key, room, deep + 1) for key, one in pairs if room[0] > 0 and deep < 40]
        return Branch(name, kind, f"{size} {'fields' if kind == 'object' else 'items'}", members, size - len(members))
    if isinstance(value, str):
        return Branch(name, "text", value[:LONGEST], left=max(0, len(value) - LONGEST))
    if isinstance(value, bool) or value is None:
        return Branch(name, "truth", str(value).lower()) if value is not None else Branch(name, "nothing", "null")
    return Branch(name, "number", str(value))


def _pairs(value: dict[str, object] | list[object]) -> Iterator[tuple[str, object]]:
    return iter(value.items()) if isinstance(value, dict) else ((str(i), one) for i, one in enumerate(value))
