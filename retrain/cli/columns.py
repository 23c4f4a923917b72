"""Columns for a screen: how wide each may be, and what is left of a text that is wider."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

LEAST = 10
"""Letters that a column keeps, if it has so many."""
WHOLE_ID = 36
"""Letters of an id that other commands take, where there is any room for it."""
ENDING = 6
"""Letters at the end of a name that tell it from others: `-x7k2p`."""
ELLIPSIS = "…"


STATES = frozenset({"STATUS", "STATE", "PHASE", "MODE", "OUTCOME", "VERDICT"})
"""Columns of a few known words, which are never cut."""


def widths(natural: Sequence[int], titles: Sequence[str], room: int, gap: int) -> list[int]:
    """How wide each column is drawn, of those that fit: the last ones are left out where not even little of each fits.

    `natural`: the longest cell (or title) of each, `titles`: its title, `gap`: blanks between two. The first column has
    the names, which other commands take: it gives way down to half the room at once, below that after all others.
    """
    shown = len(natural)
    least = _least(natural, titles, WHOLE_ID)
    if sum(least) + gap * (shown - 1) > room:
        least = _least(natural, titles, LEAST)
    while shown > 1 and sum(least[:shown]) + gap * (shown - 1) > room:
        shown -= 1
    room = max(1, room - gap * (shown - 1))
    first = min(natural[0], max(least[0], room // 2))
    rest = _level(natural[1:shown], least[1:shown], room - first)
    if first + sum(rest) > room:
        first = max(min(least[0], room), room - sum(rest))
    # What the others have no use for is the names' again.
    return [min(natural[0], max(first, room - sum(rest))), *rest]


def _least(natural: Sequence[int], titles: Sequence[str], of_ids: int) -> list[int]:
    return [
        width if title in STATES else min(width, of_ids if title == "ID" else max(LEAST, len(title)))
        for width, title in zip(natural, titles, strict=True)
    ]


def _level(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widest are cut, all to one width, until all fit; none below its least."""
    found = list(natural)
    for cap in range(max(found, default=0), 0, -1):
        if sum(found) <= room:
            break
        found = [min(width, max(cap, low)) for width, low in zip(natural, least, strict=True)]
    return found


def cut(text: str, width: int) -> str:
    """The beginning of a text, so wide at most."""
    if cell_width(text) <= width:
        return text
    return f"{_head(text, width - 1)}{ELLIPSIS}" if width > 0 else ""


def cut_name(name: str, width: int) -> str:
    """A name so wide at most, with its ending, which is what runs of one workflow differ in."""
    if cell_width(name) <= width or width < 2 * ENDING:
        return cut(name, width)
    ending = name[-ENDING:]
    return f"{_head(name, width - 1 - cell_width(ending))}{ELLIPSIS}{ending}"


def broken(text: str, width: int) -> list[str]:
    """A text in lines so wide at most, between words where it can be; an empty text is a line."""
    if cell_width(text) <= width:
        return [text]
    lines, width = [""], max(2, width)
    for word in text.split():
        if cell_width(f"{lines[-1]} {word}") <= width and lines[-1]:
            lines[-1] += f" {word}"
            continue
        lines += _pieces(word, width)
    return lines[1:] or [""]


def _pieces(word: str, width: int) -> list[str]:
    found: list[str] = [""]
    for letter in word:
        if cell_width(found[-1] + letter) > width:
            found.append("")
        found[-1] += letter
    return found


def filled(text: str, width: int) -> str:
    """A text with blanks behind it, so wide."""
    return text + " " * (width - cell_width(text))


def widest(texts: Iterable[str]) -> int:
    """How wide the widest is; 0 of none."""
    return max((cell_width(text) for text in texts), default=0)


def cell_width(text: str) -> int:
    """How many columns of a terminal a text takes: letters of some scripts take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _head(text: str, width: int) -> str:
    if text.isascii():
        return text[: max(0, width)]
    from rich.cells import set_cell_size

    return set_cell_size(text, width).rstrip() if cell_width(text) > width else text
