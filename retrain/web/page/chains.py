"""A trace as columns of cards, each behind all that led to it: one line of them from the object to the live model, and
what branched off below. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

NOWHERE: Mapping[str, str] = {}
MOST = 40
"""Cards of one column; of more the first, and how many there are."""
CAUSES = 4
"""Causes of one card that are named."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A card that led to another."""

    kind: str
    id: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Card:
    """One thing of a trace. `more`: causes that are not named. `main`: it is on the line from the object that arrived
    to the model that is live, through what was asked for. `live`: where a commit is what is live."""

    kind: str
    id: str
    anchor: str
    title: str
    text: str
    time: str | None
    causes: Sequence[Cause] = ()
    more: int = 0
    main: bool = False
    live: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """Cards beside each other, those of the line first; `left`: how many more there are."""

    cards: Sequence[Card]
    left: int = 0


def columns(trace: Mapping[str, Any], asked: str, live: Mapping[str, str] = NOWHERE) -> list[Step]:
    """The cards of a trace as the API gives it; what was asked for comes first in its column.

    `live`: where which commit is live.
    """
    nodes: Mapping[str, Mapping[str, Any]] = {one["id"]: one for one in trace["nodes"]}
    causes: dict[str, list[str]] = {}
    for cause, effect in trace["edges"]:
        causes.setdefault(effect, []).append(cause)
    deep = _depths(list(nodes), causes)
    main = line(nodes, causes, deep, asked, live)
    found: dict[int, list[Card]] = {}
    for name, node in nodes.items():
        card = _card(node, [nodes[one] for one in causes.get(name, ())])
        found.setdefault(deep[name], []).append(replace(card, main=name in main, live=live.get(name, "")))
    for cards in found.values():
        cards.sort(key=lambda card: (not card.main, card.id != asked))
    return [Step(found[number][:MOST], max(0, len(found[number]) - MOST)) for number in sorted(found)]


def line(
    nodes: Mapping[str, Mapping[str, Any]],
    causes: Mapping[str, Sequence[str]],
    deep: Mapping[str, int],
    asked: str,
    live: Mapping[str, str],
) -> set[str]:
    """The one line through what was asked for: back to the first cause, and on to the live model where it leads there,
    else as far as it goes."""
    if not nodes:
        return set()
    effects: dict[str, list[str]] = {}
    for effect, those in causes.items():
        for cause in those:
            effects.setdefault(cause, []).append(effect)
    ends = _ends(nodes, effects, deep, live)
    here = asked if asked in nodes else max(nodes, key=lambda name: (ends[name], -deep[name]))
    found = {here}
    back = on = here
    while those := [one for one in causes.get(back, ()) if deep[one] < deep[back]]:
        back = max(those, key=lambda one: (deep[one], nodes[one]["kind"] == "object"))
        found.add(back)
    while those := [one for one in effects.get(on, ()) if deep[one] > deep[on]]:
        on = max(those, key=lambda one: ends[one])
        found.add(on)
    return found


def _ends(
    nodes: Mapping[str, Mapping[str, Any]],
    effects: Mapping[str, Sequence[str]],
    deep: Mapping[str, int],
    live: Mapping[str, str],
) -> dict[str, tuple[bool, bool, int]]:
    """What the best way on from each leads to: a live model, a commit, so deep."""
    found: dict[str, tuple[bool, bool, int]] = {}
    for name in sorted(nodes, key=lambda one: -deep[one]):
        own = (name in live, nodes[name]["kind"] == "commit", deep[name])
        found[name] = max([own, *(found[one] for one in effects.get(name, ()) if one in found)])
    return found


def _card(node: Mapping[str, Any], causes: Sequence[Mapping[str, Any]]) -> Card:
    kind, name, summary = str(node["kind"]), str(node["id"]), str(node["summary"])
    # Of an event its name says more than its id.
    title, text = (summary, name) if kind == "event" else (_title(kind, name, summary), summary)
    # What stands in the title need not be said again.
    text = text.removeprefix(title).lstrip(": ")
    card = Card(kind, name, _anchor(name), title, text, node["time"])
    named = tuple(Cause(str(one["kind"]), str(one["id"]), _anchor(str(one["id"]))) for one in causes[:CAUSES])
    return replace(card, causes=named, more=max(0, len(causes) - CAUSES))


def _title(kind: str, name: str, summary: str) -> str:
    if kind == "commit":
        return name[:12]
    return summary.partition(":")[0] if kind in {"run", "firing", "promotion"} else name


def _anchor(name: str) -> str:
    """An id that is one in HTML, whatever the thing is called."""
    return f"c-{sha256(name.encode()).hexdigest()[:12]}"


def _depths(names: Sequence[str], causes: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The longest way to each. A way back, which no trace has, ends after as many rounds as there are things."""
    waiting = {name: len(causes.get(name, ())) for name in names}
    after: dict[str, list[str]] = {}
    for name in names:
        for cause in causes.get(name, ()):
            after.setdefault(cause, []).append(name)
    found = {name: 0 for name in names if not waiting[name]}
    ready = list(found)
    for name in ready:
        for effect in after.get(name, ()):
            found[effect] = max(found.get(effect, 0), found[name] + 1)
            waiting[effect] -= 1
            if not waiting[effect]:
                ready.append(effect)
    return {name: found.get(name, 0) for name in names}
