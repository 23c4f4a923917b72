"""Edits of YAML (and JSON) files that change the bytes of one value and nothing else.

The file is parsed only to find the span of the value; the new text is spliced into the bytes; the result is parsed
again and must differ in that value alone, or nothing is written. So comments, quotes, order, indentation, line ends and
a byte order mark stay as they are. What cannot be done in this way is refused with file, line and column: new keys,
block scalars, values that an anchor shares, templates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deploy.edits import selector
from deploy.edits.scalars import Scalar, Style, write
from deploy.edits.selector import Index, Key, Step, Where
from deploy.edits.tree import Node, Tree, Unparsable, parse
from retrain.errors import Refused
from retrain.manifests import scalars

MAX_BYTES = 4 << 20
"""A manifest is text that people read; what is larger is no manifest."""

_BOM = b"\xef\xbb\xbf"
_LFS = b"version https://git-lfs.github.com/spec/"
_STYLES: dict[str | None, Style] = {None: "plain", "": "plain", "'": "single", '"': "double"}


class EditRefused(Refused):
    """The edit cannot be made without touching something else, or its place is not there."""


@dataclass(frozen=True, slots=True)
class Target:
    """One value in a file. `resource` picks the document of several: dotted path -> the text it must read."""

    path: tuple[Step, ...]
    resource: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Value:
    """What to put there: a value, written in the old one's style; or `text`, taken as it is (a restored value)."""

    value: Scalar
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit did, or would do. The texts are the very characters of the file, for an exact way back."""

    old: Scalar
    new: Scalar
    old_text: str
    new_text: str
    line: int

    @property
    def changed(self) -> bool:
        """Whether the file differs afterwards."""
        return self.old_text != self.new_text


def read(data: bytes, target: Target, file: str) -> Scalar:
    """The value that stands there now.

    Raises:
        EditRefused: it is not there, or not one value.
    """
    text, _ = _decode(data, file)
    return _find(_parse(text, file), target, file).scalar


def apply(data: bytes, edits: Sequence[tuple[Target, Value]], file: str) -> tuple[bytes, list[Change]]:
    """Make edits one after the other; equal bytes come back when all values are there already.

    Raises:
        EditRefused: an edit cannot be made, or two of them want the same value changed differently.
    """
    text, bom = _decode(data, file)
    changes: list[Change] = []
    spots: set[int] = set()
    tree = _parse(text, file)
    for target, value in edits:
        node = _find(tree, target, file)
        if node.event in spots:
            raise _refused(file, node.line, node.column, "two edits change this value")
        spots.add(node.event)
        edited, change = _splice(text, node, value, file)
        if change.changed:
            tree = _prove(tree, node, edited, change.new, file)
            text = edited
        changes.append(change)
    return bom + text.encode(), changes


def _decode(data: bytes, file: str) -> tuple[str, bytes]:
    if len(data) > MAX_BYTES:
        raise EditRefused(f"{file}: is larger than {MAX_BYTES >> 20} MiB; that is no manifest")
    if data.startswith(_LFS):
        raise EditRefused(f"{file}: is kept in Git LFS; a manifest must be a plain file")
    bom = _BOM if data.startswith(_BOM) else b""
    try:
        return data[len(bom) :].decode(), bom
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EditRefused(f"{file}:{line}: is not UTF-8") from error


def _parse(text: str, file: str) -> Tree:
    try:
        return parse(text)
    except Unparsable as error:
        raise _refused(file, error.line, error.column, str(error)) from error


def _refused(file: str, line: int, column: int, message: str) -> EditRefused:
    return EditRefused(f"{file}:{line}:{column}: {message}")


def _find(tree: Tree, target: Target, file: str) -> Node:
    """The one scalar that a target means."""
    documents = [d for d in tree.documents if all(_reads(d, *want) for want in target.resource.items())]
    found: list[Node] = []
    missing: EditRefused | None = None
    for document in documents:
        try:
            found.append(_walk(document, target.path, file))
        except _Missing as error:
            missing = missing or error
    if len(found) > 1:
        raise EditRefused(
            f"{file}: {selector.show(target.path)} is in {len(found)} documents (lines "
            f"{', '.join(str(node.line) for node in found)}); name one with `resource`"
        )
    if not found:
        wanted = ", ".join(f"{key} {value!r}" for key, value in target.resource.items())
        raise missing or EditRefused(f"{file}: has no document{f' with {wanted}' if wanted else ''}")
    return _editable(found[0], target, file)


def _reads(document: Node, path: str, value: str) -> bool:
    return _reading(document, path.split(".")) == value


def _reading(node: Node, keys: Iterable[str]) -> str | None:
    for key in keys:
        members = node.get(key) if node.kind == "mapping" else []
        if len(members) != 1:
            return None
        node = members[0]
    return node.value if node.kind == "scalar" else None


class _Missing(EditRefused):
    pass


def _walk(node: Node, path: tuple[Step, ...], file: str) -> Node:
    for depth, step in enumerate(path):
        if node.shared:
            raise _refused(
                file, node.line, node.column, f"&{node.anchor} is used elsewhere too; an edit would change both"
            )
        if node.alias is not None:
            raise _refused(file, node.line, node.column, f"*{node.alias} stands for a value elsewhere; edit it there")
        matches = _step(node, step)
        shown = selector.show(path[: depth + 1])
        if not matches:
            raise _Missing(f"{file}:{node.line}:{node.column}: there is no {shown}; {_what_exists(node, step)}")
        if len(matches) > 1:
            lines = ", ".join(str(match.line) for match in matches)
            raise _refused(file, node.line, node.column, f"{shown} is there {len(matches)} times (lines {lines})")
        node = matches[0]
    return node


def _step(node: Node, step: Step) -> list[Node]:
    match step:
        case Key(name):
            return node.get(name) if node.kind == "mapping" else []
        case Index(at):
            return node.items[at : at + 1] if node.kind == "sequence" else []
        case Where(keys, value):
            return [item for item in node.items if _reading(item, keys) == value]


def _what_exists(node: Node, step: Step) -> str:
    if node.kind == "mapping":
        merged = " (keys that come by << are not edited here)" if "<<" in node.names() else ""
        return f"new keys are not made; there are {', '.join(sorted(set(node.names()))[:20]) or 'no keys'}{merged}"
    if node.kind != "sequence":
        return "what stands there is one value" if node.kind == "scalar" else "an alias stands there"
    if isinstance(step, Where):
        names = [_reading(item, step.keys) for item in node.items]
        return f"{'.'.join(step.keys)} is {', '.join(sorted({name for name in names if name})[:20]) or 'nowhere set'}"
    return f"the list has {len(node.items)} items"


def _editable(node: Node, target: Target, file: str) -> Node:
    shown = selector.show(target.path)
    why = None
    if node.alias is not None:
        why = f"{shown} is *{node.alias}, which stands for a value elsewhere; edit it there"
    elif node.shared:
        why = f"{shown} has the anchor &{node.anchor}, which is used elsewhere too; an edit would change both"
    elif node.kind != "scalar":
        why = f"{shown} is a {node.kind}, not one value"
    elif node.style in {"|", ">"}:
        why = f"{shown} is a block scalar ({node.style}), which is not edited; put it on one line"
    elif node.anchor is not None or node.tag is not None:
        why = f"{shown} has an anchor or a tag; remove it first"
    if why is not None:
        raise _refused(file, node.line, node.column, why)
    return node


def _splice(text: str, node: Node, value: Value, file: str) -> tuple[str, Change]:
    old_text = text[node.start : node.end]
    old = node.scalar
    try:
        value = replace(value, value=scalars.to_json(value.value))
    except ValueError as error:
        raise _refused(file, node.line, node.column, str(error)) from error
    if type(old) is type(value.value) and old == value.value and value.text is None:
        return text, Change(old, old, old_text, old_text, node.line)
    style: Style = "empty" if node.start == node.end else _STYLES[node.style]
    new_text = value.text if value.text is not None else write(value.value, old, style, only_json=_is_json(file))
    # An empty value ends right after its colon or dash: `key:` needs a space before what follows.
    gap = " " if style == "empty" and new_text else ""
    edited = text[: node.start] + gap + new_text + text[node.end :]
    return edited, Change(old, _meaning(value, old, new_text), old_text, new_text, node.line)


def _meaning(value: Value, old: Scalar, new_text: str) -> Scalar:
    """The value as it reads back: a string that was written as a number is that number."""
    if isinstance(value.value, str) and value.value == new_text and isinstance(old, int | float):
        return Node("scalar", 0, 0, 1, 1, 0, value=new_text).scalar
    return value.value


def _prove(before: Tree, node: Node, edited: str, new: Scalar, file: str) -> Tree:
    """The edited text's tree, after showing that it differs from the old one in the one value only."""
    place = (file, node.line, node.column)
    try:
        after = parse(edited)
    except Unparsable as error:
        raise _refused(*place, f"the edit would break the file ({error}); nothing was changed") from error
    ours = node.event
    same = len(before.signatures) == len(after.signatures) and all(
        old == now for i, (old, now) in enumerate(zip(before.signatures, after.signatures, strict=True)) if i != ours
    )
    if not same or after.signatures[ours][:3] != before.signatures[ours][:3]:
        raise _refused(*place, "the edit would change more than this value; nothing was changed")
    now = _event(after, ours).scalar
    if type(now) is not type(new) or now != new:
        raise _refused(*place, f"the new value would read back as {now!r}, not {new!r}; nothing was changed")
    if _is_json(file):
        _prove_json(edited, place)
    return after


def _prove_json(edited: str, place: tuple[str, int, int]) -> None:
    try:
        json.loads(edited)
    except ValueError as error:
        raise _refused(*place, f"the file would not be JSON any more ({error}); nothing was changed") from error


def _event(tree: Tree, number: int) -> Node:
    pending = list(tree.documents)
    while pending:
        node = pending.pop()
        if node.event == number:
            return node
        pending += node.items
        for pair in node.pairs:
            pending += pair
    raise AssertionError("an event that was compared before has a node")


def _is_json(file: str) -> bool:
    return file.lower().endswith(".json")
