"""A key or an item that is not there yet, written as its neighbours are, after the last of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from deploy.edits import fresh as making
from deploy.edits.fresh import Fresh, Manner
from deploy.edits.from_toml import TABLE
from deploy.edits.refusal import refused
from deploy.edits.scalars import Scalar, Style
from deploy.edits.selector import Key
from deploy.edits.splice import Splice, content_end, line_end, line_start, newline_of
from deploy.edits.tree import Node, Tree, scalar
from deploy.edits.walk import Found, shared

_QUOTES: dict[str | None, Style] = {"'": "single", '"': "double"}


def add(tree: Tree, found: Found, value: Scalar, file: str) -> Splice:
    """The splice that makes what the path lacks, with the value at its end.

    Raises:
        EditRefused: it cannot be made here in the way of its neighbours.
    """
    node = found.node
    if why := shared(tree, node):
        raise refused(file, tree.text, node.start, why)
    try:
        fresh = making.build(found.rest, value)
    except ValueError as error:
        raise refused(file, tree.text, node.start, f"{found.missing}, and it cannot be made: {error}") from error
    if tree.language == "toml" and not node.flow:
        return _toml_line(tree, found, value, file)
    if node.empty:
        return _under_nothing(tree, found, fresh, file)
    if node.flow:
        return _in_braces(tree, node, fresh, file)
    return _in_lines(tree, found, fresh)


def _in_lines(tree: Tree, found: Found, fresh: Fresh) -> Splice:
    """After the line on which the last neighbour ends; comments that follow it stay behind."""
    node, text = found.node, tree.text
    at = line_end(text, content_end(text, node))
    begin = line_start(text, node.start)
    manner = replace(_manner(tree, node, text), newline=newline_of(text, at))
    if isinstance(fresh, dict):
        indent = " " * (node.children[0].start - begin)
        body = making.members(fresh, manner, indent)
    else:
        assert isinstance(fresh, list)
        indent = " " * (node.start - begin)
        gap = text[node.start + 1 : node.children[0].start]
        body = making.item(fresh[0], manner, indent, gap if gap.strip(" ") == "" and gap else " ")
    return Splice(at, at, manner.newline + indent + body, node.stop - 1, node.stop - 1, making.readings(fresh)[1:-1])


def _under_nothing(tree: Tree, found: Found, fresh: Fresh, file: str) -> Splice:
    """Below a key with nothing behind it."""
    node, text = found.node, tree.text
    parent = found.trail[-2] if len(found.trail) > 1 else None
    if parent is None or parent.kind != "mapping" or parent.flow:
        raise refused(file, text, node.start, "nothing stands here; write {} or [] there first")
    key = parent.children[found.places[-1] - 1]
    indent = " " * (key.start - line_start(text, key.start))
    at = line_end(text, node.end)
    manner = replace(_manner(tree, parent, text), newline=newline_of(text, at))
    body = making.in_lines(fresh, manner, indent)
    return Splice(at, at, body, node.first, node.stop, making.readings(fresh))


def _in_braces(tree: Tree, node: Node, fresh: Fresh, file: str) -> Splice:
    text = tree.text
    if text[node.end - 1 : node.end] not in {"}", "]"} or node.anchor is not None or node.tag is not None:
        raise refused(file, text, node.start, "has no braces, or an anchor or a tag; nothing is added here")
    inside = making.readings(fresh)[1:-1]
    if not node.children:
        manner = _manner(tree, node, "")
        begin = node.start + 1
        if text[begin : node.end - 1].strip():
            raise refused(file, text, node.start, "holds a comment and nothing else; nothing is added here")
        body = making.in_braces(fresh, manner, "")[1:-1]
        return Splice(begin, node.end - 1, body, node.first + 1, node.stop - 1, inside)
    last = node.children[-1]
    end = last.end if last.end > last.start else max(last.end, node.children[-2].end if node.kind == "mapping" else 0)
    rest = text[end : node.end - 1]
    manner, indent = _over_lines(tree, node)
    body = making.in_braces(fresh, manner, indent)
    body = _only_member(fresh, manner, indent) if manner.newline else body[1:-1]
    newline = manner.newline + indent if manner.newline else ""
    start, stop, new = _after(rest, end, _comma(tree, node, manner), body, newline)
    return Splice(start, stop, new, node.stop - 1, node.stop - 1, inside)


def _only_member(fresh: Fresh, manner: Manner, indent: str) -> str:
    if isinstance(fresh, dict):
        (key, value) = next(iter(fresh.items()))
        return making.pair(key, value, manner, indent)
    assert isinstance(fresh, list)
    return making.in_braces(fresh[0], manner, indent)


def _comma(tree: Tree, node: Node, manner: Manner) -> str:
    """What parts the last two members; JSON without spaces has none here either."""
    step = 2 if node.kind == "mapping" else 1
    if len(node.children) > step:
        between = tree.text[node.children[-step - 1].end : node.children[-step].start]
        if re.fullmatch(r",[ \t]*", between):
            return between
    return "," if manner.colon == ":" else ", "


def _after(rest: str, end: int, parting: str, body: str, newline: str) -> tuple[int, int, str]:
    """Where a member goes behind the last one, of which `rest` is what follows: a comma, a comment."""
    comma = re.match(r"\s*,", rest)
    if not newline:
        return end, end, parting + body
    line = line_end(rest, comma.end() if comma else 0)
    if comma:
        return end + line, end + line, f"{newline}{body},"
    # A comment behind the last member stays with it.
    return end, end + line, f",{rest[:line]}{newline}{body}"


def _over_lines(tree: Tree, node: Node) -> tuple[Manner, str]:
    """The manner in braces, and the indentation where each member has its own line."""
    text = tree.text
    step = 2 if node.kind == "mapping" else 1
    first = node.children[-step]
    before = text[: first.start].rstrip(" \t")
    manner = _manner(tree, node, text)
    if before.endswith("\n"):
        return manner, text[len(before) : first.start]
    return _manner(tree, node, ""), ""


def _toml_line(tree: Tree, found: Found, value: Scalar, file: str) -> Splice:
    """A line at the end of the nearest table that has lines of its own, with a dotted key."""
    text, keys = tree.text, list[str]()
    trail = list(found.trail)
    while trail[-1].style != TABLE:
        keys.insert(0, trail[-2].children[found.places[len(trail) - 2] - 1].value if len(trail) > 1 else "")
        trail.pop()
    table = trail[-1]
    names = [step.name for step in found.rest if isinstance(step, Key)]
    if len(names) != len(found.rest) or any(node.kind != "mapping" or node.flow for node in found.trail[len(trail) :]):
        raise refused(file, text, table.start, f"{found.missing}; items of a TOML list are not made")
    names = keys + names
    manner = Manner("toml", newline_of(text), quote=_quote(tree, table))
    line = f"{'.'.join(manner.key(name) for name in names)} = {manner.scalar(value)}"
    expect = [*(scalar(name) for name in names), scalar(value)]
    last = max((child.stop for child in _own(table)), default=table.first + (table is not tree.documents[0]))
    if table is tree.documents[0] and not table.end:
        return Splice(0, 0, line + manner.newline if text else line, 0, 0, expect)
    at = line_end(text, table.end)
    indent = re.match(r"[ \t]*", text[line_start(text, table.end) :])
    return Splice(at, at, newline_of(text, at) + (indent[0] if indent else "") + line, last, last, expect)


def _own(node: Node) -> Iterator[Node]:
    """All values on a table's own lines."""
    for child in node.children[1::2] if node.kind == "mapping" else []:
        if child.style == TABLE or (child.kind == "sequence" and not child.flow):
            continue
        if child.kind == "mapping" and not child.flow:
            yield from _own(child)
        else:
            yield child


def _manner(tree: Tree, node: Node, text: str) -> Manner:
    """How the neighbours in a node are written; without a text, on one line."""
    keys = node.children[::2] if node.kind == "mapping" else []
    quote = keys[-1].style if keys else None
    colon = ": "
    if node.flow and keys and (match := re.match(r"[ \t]*:[ \t]*", tree.text[keys[-1].end : node.children[-1].start])):
        colon = match[0]
    elif tree.language == "toml":
        colon = " = "
    unit, dash = _indentation(tree) if text else ("  ", "")
    newline = newline_of(text) if text else ""
    return Manner(tree.language, newline, unit, dash, _quote(tree, node), quote if quote else None, colon)


def _quote(tree: Tree, node: Node) -> Style:
    """The quotes of the last text among the neighbours, or of the last item's."""
    for child in reversed(node.children[1::2] if node.kind == "mapping" else node.children):
        if child.kind == "mapping" and node.kind == "sequence":
            return _quote(tree, child)
        if child.kind == "scalar" and isinstance(child.scalar, str):
            return _QUOTES.get(child.style, "plain")
    return "plain"


def _indentation(tree: Tree) -> tuple[str, str]:
    """One step deeper, and what lists have more than their key: of the last ones in the text."""
    unit = dash = None
    text, pending = tree.text, list(tree.documents)
    while pending and (unit is None or dash is None):
        node = pending.pop()
        pending += node.children
        if node.kind != "mapping" or not node.children:
            continue
        for key, value in zip(node.children[::2], node.children[1::2], strict=True):
            column = key.start - line_start(text, key.start)
            begin = line_start(text, value.start)
            if not value.children or begin <= key.start or (value.flow and tree.language != "json"):
                continue
            deeper = " " * (value.start - begin - column)
            if value.kind == "mapping":
                unit = unit or deeper
            else:
                dash = deeper if dash is None else dash
    unit = unit or _json_unit(tree)
    return unit, unit if dash is None else dash


def _json_unit(tree: Tree) -> str:
    match = re.search(r"\n([ \t]+)\S", tree.text) if tree.language == "json" else None
    return match[1] if match else "  "
