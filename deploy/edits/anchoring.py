"""Where a made or removed member stood, so that it can be taken back exactly: beside which neighbour, after what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deploy.edits.from_toml import TABLE
from deploy.edits.splice import Splice, content_end
from deploy.edits.tree import Node, Tree
from deploy.edits.walk import Found


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in a text. `gap` is the text between the neighbour and the place.

    `in`: the value itself begins so far inside of what was written. `parent`: the emptied parent does. `after` and
    `before`: the sibling of that name or number ends or begins there. `head`: the table's header begins there.
    """

    side: Literal["in", "parent", "after", "before", "head"]
    gap: str
    sibling: str | int | None = None


def of_made(after: Tree, found: Found, splice: Splice) -> Anchor:
    """The anchor of what was made; `found` is the value in the edited text."""
    return Anchor("in", after.text[splice.start : found.node.start])


def of_removed(before: Tree, found: Found, splice: Splice, parent: Node | None) -> Anchor:
    """The anchor of what was removed; `parent` is the emptied parent in the edited text, if it was written anew."""
    if parent is not None:
        return Anchor("parent", splice.text[: parent.start - splice.start])
    holder, text = owner(found.trail[:-1]), before.text
    if holder.style == TABLE:
        return Anchor("head", text[holder.start : splice.start])
    siblings = _siblings(holder)
    # A key that stands twice names no place.
    siblings = [one for one in siblings if sum(one[0] == other[0] for other in siblings) == 1]
    for name, key, value in reversed(siblings):
        if _end(text, key, value) <= splice.start and value.style != TABLE:
            return Anchor("after", text[_end(text, key, value) : splice.start], name)
    for name, key, value in siblings:
        if min(key.start, value.start) >= splice.end:
            return Anchor("before", text[splice.end : key.start], name if isinstance(name, str) else 0)
    return Anchor("head", text[holder.start : splice.start])


def owner(trail: tuple[Node, ...]) -> Node:
    """What a member's place is told from: its parent, or the TOML table on whose lines it stands."""
    for node in reversed(trail):
        if node.style == TABLE:
            return node
        if node.flow:
            break
    return trail[-1]


def run(found: Found, start: int) -> tuple[int, int]:
    """The signatures of the highest member on the way to a value that begins at or after `start`, its key included."""
    for above, place, node in zip(found.trail, found.places, found.trail[1:], strict=False):
        key = above.children[place - 1] if above.kind == "mapping" else node
        if node.start >= start:
            # What took the place of nothing begins after the key, what is new begins with it.
            return (key.first if key.start >= start else node.first), max(node.stop, found.node.stop)
    return found.node.first, found.node.stop


def first(found: Found) -> int:
    """The first signature of a member, its key included."""
    owner = found.trail[-2]
    return owner.children[found.places[-1] - 1].first if owner.kind == "mapping" else found.node.first


def _siblings(owner: Node) -> list[tuple[str | int, Node, Node]]:
    """Name, key and value of each member; an item is its own key."""
    if owner.kind == "sequence":
        return [(number, item, item) for number, item in enumerate(owner.children)]
    keys = owner.children[::2]
    return [(key.value, key, value) for key, value in zip(keys, owner.children[1::2], strict=True)]


def _end(text: str, key: Node, value: Node) -> int:
    return max(content_end(text, value), key.end)


def spot(tree: Tree, owner: Node, anchor: Anchor) -> int | None:
    """Where the place is now, None if its neighbour is gone or something else stands there."""
    text = tree.text
    if anchor.side == "head":
        at = owner.start + len(anchor.gap)
        return at if text[owner.start : at] == anchor.gap else None
    for name, key, value in _siblings(owner):
        if name == anchor.sibling and anchor.side == "after":
            end = _end(text, key, value)
            return end + len(anchor.gap) if text.startswith(anchor.gap, end) else None
        if name == anchor.sibling:
            start = key.start - len(anchor.gap)
            return start if text[start : key.start] == anchor.gap else None
    return None
