"""The tree of a run in columns: names with their branches first, messages last, as wide as the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from retrain.cli.columns import broken, cell_width, cut, cut_name, filled, widest

Width = Literal["table", "short", "wide"]

COLUMNS: Mapping[Width, tuple[str, ...]] = {
    "table": ("STEP", "TEMPLATE", "PODNAME", "DURATION", "MESSAGE"),
    "short": ("STEP", "TEMPLATE", "PODNAME", "DURATION", "MESSAGE"),
    "wide": ("STEP", "TEMPLATE", "PODNAME", "DURATION", "ARTIFACTS", "MESSAGE", "RESOURCESDURATION"),
}
BESIDE = 2
"""Blanks between two columns."""
MESSAGE = 20
"""Letters of a message that a screen has room for, whatever else there is; more than a word or two."""
BARS = str.maketrans({"├": "│", "└": " ", "─": " ", "┬": "│", "`": " ", "-": " ", "+": "|"})
"""What a branch looks like one line below."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a tree: what is drawn before the name, the name with its mark, its colour, and the other columns."""

    prefix: str
    name: str
    colour: str
    cells: tuple[str, ...]


def columns(
    some: Sequence[Line], width: Width, room: int | None = None, *, whole: bool = False
) -> Iterator[tuple[Line, str]]:
    """Each line with its other columns below each other; the first is the title.

    `room` is how wide the screen is: the names of pods, then those of templates, are left out if they would push the
    messages off it; then long names are cut, then messages. `whole`: a message goes on in the next line instead.
    """
    titles = COLUMNS[width]
    lines = [Line("", titles[0], "", titles[1:]), *some]
    if room is None or width == "wide":
        yield from _spread(lines, list(range(len(titles) - 1)))
        return
    shown = _that_fit(lines, room)
    yield from _spread(list(_fitted(lines, shown, room, whole=whole)), shown)


def _that_fit(lines: Sequence[Line], room: int) -> list[int]:
    """The columns beside the names for which there is room; the messages always, if there are any."""
    shown = list(range(len(lines[0].cells)))
    gives_way = [at for at in shown if not any(line.cells[at] for line in lines[1:])]
    gives_way += [lines[0].cells.index(title) for title in ("PODNAME", "TEMPLATE")]
    for at in dict.fromkeys(gives_way):
        if _first(lines) + _beside(lines, shown) > room:
            shown.remove(at)
    return shown


def _fitted(lines: Sequence[Line], shown: Sequence[int], room: int, *, whole: bool) -> Iterator[Line]:
    """The lines with names and messages that fit the screen."""
    last = len(lines[0].cells) - 1
    fixed = _beside(lines, [at for at in shown if at != last])
    message = min(widest(line.cells[last] for line in lines), MESSAGE) + BESIDE if last in shown else 0
    names = max(room - fixed - message, min(room // 2, room - fixed))
    rest = max(1, room - fixed - BESIDE - min(names, _first(lines)))
    for line in lines:
        name = cut_name(line.name, max(2, names - cell_width(line.prefix)))
        if not whole or line is lines[0]:
            yield replace(line, name=name, cells=(*line.cells[:-1], cut(line.cells[last], rest)))
            continue
        first, *more = broken(line.cells[last], max(rest, MESSAGE))
        yield replace(line, name=name, cells=(*line.cells[:-1], first))
        for part in more:
            yield Line(line.prefix.translate(BARS), "", "", (*("",) * last, part))


def _spread(lines: Sequence[Line], shown: Sequence[int]) -> Iterator[tuple[Line, str]]:
    first = _first(lines)
    widths = {at: widest(line.cells[at] for line in lines) for at in shown}
    for line in lines:
        text = " " * (first - cell_width(line.prefix + line.name))
        text += "".join(" " * BESIDE + filled(line.cells[at], widths[at]) for at in shown)
        yield line, text.rstrip()


def _first(lines: Sequence[Line]) -> int:
    return max(cell_width(line.prefix + line.name) for line in lines)


def _beside(lines: Sequence[Line], shown: Sequence[int]) -> int:
    return sum(BESIDE + widest(line.cells[at] for line in lines) for at in shown)
