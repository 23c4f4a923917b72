"""A key or an item taken out with its lines; a mapping or list that is emptied stays as {} or []."""

from __future__ import annotations

import re

from deploy.edits.from_toml import TABLE
from deploy.edits.refusal import EditRefused, line_of, refused
from deploy.edits.splice import Splice, content_end, line_end, line_start
from deploy.edits.tree import Node, Tree, mapping, sequence
from deploy.edits.walk import Found, shared


def remove(tree: Tree, found: Found, file: str) -> Splice:
    """The splice that takes the last node of a path out of its parent.

    Raises:
        EditRefused: it cannot be taken out without touching what is not its own.
    """
    if len(found.trail) < 2:
        raise refused(file, tree.text, found.node.start, "is the whole document, which is not removed")
    parent, at = found.trail[-2], found.places[-1]
    _check(tree, parent, found.node, file)
    if tree.language == "toml" and not parent.flow:
        return _toml_line(tree, found, file)
    if parent.flow:
        return _in_braces(tree, parent, at, file)
    if len(parent.children) == (2 if parent.kind == "mapping" else 1):
        return _last_one(tree, found, file)
    return _in_lines(tree, parent, at, file)


def _check(tree: Tree, parent: Node, node: Node, file: str) -> None:
    if why := shared(tree, parent):
        raise refused(file, tree.text, parent.start, why)
    if parent.kind == "mapping" and "<<" in parent.names():
        why = "is not removed: the mapping merges others by <<, which might bring another value"
        raise refused(file, tree.text, node.start, why)
    pending = [node]
    while pending:
        inner = pending.pop()
        if inner.used_at >= 0:
            line = line_of(tree.text, inner.used_at)
            why = f"&{inner.anchor} is used elsewhere too (line {line}); it is not removed"
            raise refused(file, tree.text, inner.start, why)
        pending += inner.children


def _member(tree: Tree, parent: Node, at: int) -> tuple[int, int, int]:
    """Where a member begins (its key or dash), where its own text ends, and the first of its signatures."""
    node = parent.children[at]
    if parent.kind == "mapping":
        key = parent.children[at - 1]
        return _key_start(tree, key), max(content_end(tree.text, node), key.end), key.first
    return _dash(tree, parent, at), max(content_end(tree.text, node), node.start), node.first


def _key_start(tree: Tree, key: Node) -> int:
    before = tree.text[line_start(tree.text, key.start) : key.start]
    return key.start - 2 if before.endswith("? ") else key.start


def _dash(tree: Tree, parent: Node, at: int) -> int:
    """Where an item's dash is: the first at the list's column after the item before."""
    if parent.flow:
        return parent.children[at].start
    if at == 0:
        return parent.start
    text = tree.text
    column = parent.start - line_start(text, parent.start)
    begin = line_end(text, content_end(text, parent.children[at - 1]))
    while True:
        begin = text.index("\n", begin) + 1
        if text.startswith("-", begin + column) and not text[begin : begin + column].strip(" "):
            return begin + column


def _in_lines(tree: Tree, parent: Node, at: int, file: str) -> Splice:
    text, stop = tree.text, parent.children[at].stop
    start, end, first = _member(tree, parent, at)
    begin, past = line_start(text, start), line_end(text, end)
    if text[begin:start].strip(" ") == "":
        if past < len(text):
            return Splice(begin, text.index("\n", past) + 1, "", first, stop, [])
        # The file ends without a newline, and still does.
        return Splice(begin - (2 if text.endswith("\r\n", 0, begin) else 1), past, "", first, stop, [])
    # The first one stands behind a dash: the next takes its place.
    following = _member(tree, parent, at + (2 if parent.kind == "mapping" else 1))[0]
    if text[past:following].strip():
        raise _comment(tree, start, file)
    return Splice(start, following, "", first, stop, [])


def _comment(tree: Tree, at: int, file: str) -> EditRefused:
    return refused(file, tree.text, at, "a comment stands between this and the next one; nothing was removed")


def _last_one(tree: Tree, found: Found, file: str) -> Splice:
    """The only member: its parent becomes {} or [], on the line of the parent's own key or dash."""
    parent, text = found.trail[-2], tree.text
    if parent.anchor is not None or parent.tag is not None:
        raise refused(file, text, parent.start, "would become empty, and has an anchor or a tag; nothing was removed")
    braces, expect = ("{}", mapping()) if parent.kind == "mapping" else ("[]", sequence())
    start, end, _ = _member(tree, parent, found.places[-1])
    slot = _slot(tree, found)
    begin = line_start(text, start)
    if slot is None or slot >= begin:
        return Splice(start, end, braces, parent.first, parent.stop, expect)
    # What stands between (comments) stays; the lines of the member go.
    kept = text[slot : begin - (2 if text.endswith("\r\n", 0, begin) else 1)]
    return Splice(slot, line_end(text, end), f" {braces}{kept}", parent.first, parent.stop, expect)


def _slot(tree: Tree, found: Found) -> int | None:
    """Where a value of one line would stand in the place of the parent; None for a document's root."""
    if len(found.trail) < 3:
        return None
    parent, at = found.trail[-3], found.places[-2]
    if parent.kind == "mapping":
        return tree.text.index(":", parent.children[at - 1].end) + 1
    return _dash(tree, parent, at) + 1


def _in_braces(tree: Tree, parent: Node, at: int, file: str) -> Splice:
    text, stop = tree.text, parent.children[at].stop
    if text[parent.start : parent.start + 1] not in {"{", "["}:
        raise refused(file, text, parent.start, "has no braces, or an anchor or a tag; nothing is removed here")
    start, end, first = _member(tree, parent, at)
    step = 2 if parent.kind == "mapping" else 1
    if at + 1 < len(parent.children):
        following = _member(tree, parent, at + step)[0]
        own = re.match(r"\s*,[^\n]*", text[end:following])
        if "#" in text[end + (own.end() if own and "\n" in text[end:following] else 0) : following]:
            raise _comment(tree, start, file)
        return Splice(start, following, "", first, stop, [])
    before = _member(tree, parent, at - step)[1] if at >= step else None
    begin = parent.start + 1 if before is None else before
    past = parent.end - 1 if before is None else end
    if "#" in text[begin:start] or (before is None and "#" in text[end:past]):
        raise _comment(tree, start, file)
    return Splice(begin, past, "", first, stop, [])


def _toml_line(tree: Tree, found: Found, file: str) -> Splice:
    node, parent, text = found.node, found.trail[-2], tree.text
    if node.style == TABLE or parent.kind != "mapping" or (node.children and not node.flow):
        raise refused(file, text, node.start, "is a table of TOML's, which is not removed; remove its keys")
    begin, past = line_start(text, node.start), line_end(text, node.end)
    end = text.index("\n", past) + 1 if past < len(text) else past
    if end == past and begin:
        begin -= 2 if text.endswith("\r\n", 0, begin) else 1
    first = node.first
    while first and _is_key(tree, first - 1):
        first -= 1
    return Splice(begin, end, "", first, node.stop, [])


def _is_key(tree: Tree, number: int) -> bool:
    """Whether a signature is a key's; those right before a value are its own, as a line has one value."""
    signature = tree.signatures[number]
    return len(signature) == 6 and signature[5] == "key"
