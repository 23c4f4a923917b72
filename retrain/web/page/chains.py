"""A trace as columns of cards, each behind all that led to it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

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
    """One thing of a trace. `more`: causes that are not named."""

    kind: str
    id: str
    anchor: str
    title: str
    text: str
    time: str | None
    causes: Sequence[Cause] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """Cards beside each other; `left`: how many more there are."""

    cards: Sequence[Card]
    left: int = 0


def columns(trace: Mapping[str, Any], asked: str) -> list[Step]:
    """The cards of a trace as the API gives it; the one that was asked for comes first in its column."""
    nodes: Mapping[str, Mapping[str, Any]] = {one["id"]: one for one in trace["nodes"]}
    causes: dict[str, list[str]] = {}
    for cause, effect in trace["edges"]:
        causes.setdefault(effect, []).append(cause)
    deep = _depths(list(nodes), causes)
    found: dict[int, list[Card]] = {}
    for name, node in nodes.items():
        found.setdefault(deep[name], []).append(_card(node, [nodes[one] for one in causes.get(name, ())]))
    for cards in found.values():
        cards.sort(key=lambda card: card.id != asked)
    return [Step(found[number][:MOST], max(0, len(found[number]) - MOST)) for number in sorted(found)]


def _card(node: Mapping[str, Any], causes: Sequence[Mapping[str, Any]]) -> Card:
    kind, name, summary = str(node["kind"]), str(node["id"]), str(node["summary"])
    # Of an event its name says more than its id.
    title, text = (summary, name) if kind == "event" else (_title(kind, name, summary), summary)
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
