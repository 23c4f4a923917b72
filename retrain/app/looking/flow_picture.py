"""The flow of a day as one picture: what came, what was decided, run and promoted; each count leads to its list. Pure.

Its colours are the page's (classes), for it is shown in the page only. Every text passes `ink.escaped`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log10

from pipelines.pictures.ink import escaped

BOX, GAP, TOP, LINE, HEAD = 196.0, 51.0, 6.0, 21.0, 104.0
"""Pixels: of a box and between two, above, of a line of it, and of its head."""
MOST = 7
"""States of one box that are named."""
THICK = 64.0
"""Pixels of the widest stream between two boxes."""

Mood = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of one state, and where they are listed."""

    word: str
    count: int
    where: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One box. `total` as people read it; `over`: how many came in each part of the time, where that is known."""

    name: str
    count: int
    total: str
    where: str
    shares: Sequence[Share] = ()
    over: Sequence[int] = ()
    note: str = ""


def svg(stages: Sequence[Stage], number: Callable[[int], str], mood: Mood) -> str:
    """The stages from left to right, joined by streams as wide as the logarithm of their counts."""
    lines = max((min(MOST, len(one.shares)) + bool(one.note) for one in stages), default=0)
    height = TOP + HEAD + LINE * lines + 12
    width = len(stages) * (BOX + GAP) - GAP + 2
    parts = [*_streams(stages)]
    for place, one in enumerate(stages):
        parts += _box(one, 1 + place * (BOX + GAP), height - TOP, number, mood)
    size = f'viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg class="stages" {size} role="group" aria-label="The flow of the last day">{"".join(parts)}</svg>'


def _streams(stages: Sequence[Stage]) -> Iterator[str]:
    most = max((log10(1 + one.count) for one in stages), default=0.0) or 1.0
    middle = TOP + HEAD / 2
    for place, (one, after) in enumerate(pairwise(stages)):
        x, y = 1 + place * (BOX + GAP) + BOX, 1 + (place + 1) * (BOX + GAP)
        a, b = (2 + THICK * log10(1 + stage.count) / most / 2 for stage in (one, after))
        half = (x + y) / 2
        yield (
            f'<path class="stream" d="M{x:.1f} {middle - a:.1f}C{half:.1f} {middle - a:.1f} {half:.1f} '
            f"{middle - b:.1f} {y:.1f} {middle - b:.1f}V{middle + b:.1f}C{half:.1f} {middle + b:.1f} {half:.1f} "
            f'{middle + a:.1f} {x:.1f} {middle + a:.1f}Z"/>'
        )


def _box(one: Stage, x: float, height: float, number: Callable[[int], str], mood: Mood) -> Iterator[str]:
    yield f'<rect class="box" x="{x:.1f}" y="{TOP}" width="{BOX}" height="{height - 2:.1f}" rx="10"/>'
    yield _text(x + 14, TOP + 24, one.name, "name")
    yield _link(one.where, f"{one.name}: {one.total}", _text(x + 14, TOP + 58, one.total, "count"))
    yield from _towers(one.over, x) if one.over else _bar(one, x, mood)
    for place, share in enumerate(one.shares[:MOST]):
        y = TOP + HEAD + LINE * place + 6
        yield f'<circle class="{mood(share.word)}" cx="{x + 19:.1f}" cy="{y - 4:.1f}" r="4"/>'
        said = f"{share.word} {number(share.count)}"
        yield _link(share.where, f"{one.name} {said}", _text(x + 30, y, said, ""))
    if one.note:
        yield _text(x + 14, TOP + HEAD + LINE * min(MOST, len(one.shares)) + 6, one.note, "soft")


def _bar(one: Stage, x: float, mood: Mood) -> Iterator[str]:
    """The states as parts of one bar."""
    whole, begin = sum(share.count for share in one.shares), x + 14
    for share in one.shares:
        wide = (BOX - 28) * share.count / whole if whole else 0.0
        yield f'<rect class="{mood(share.word)}" x="{begin:.1f}" y="{TOP + 70}" width="{wide:.1f}" height="8"/>'
        begin += wide


def _towers(counts: Sequence[int], x: float) -> Iterator[str]:
    most, wide = max([1, *counts]), (BOX - 28) / max(1, len(counts))
    for place, count in enumerate(counts):
        tall = 24 * count / most
        where = (
            f'x="{x + 14 + place * wide:.1f}" y="{TOP + 92 - tall:.1f}" width="{wide * 0.8:.1f}" height="{tall:.1f}"'
        )
        yield f'<rect class="busy" {where}/>'


def _link(where: str, label: str, body: str) -> str:
    return f'<a href="{escaped(where)}" aria-label="{escaped(label)}">{body}</a>'


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escaped(words[:40])}</text>'


def shares(counts: Mapping[str, int], where: Callable[[str], str]) -> list[Share]:
    """The states with the most first."""
    return [Share(word, count, where(word)) for word, count in sorted(counts.items(), key=lambda one: -one[1])]
