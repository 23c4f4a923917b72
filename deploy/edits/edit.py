"""Edits of YAML, JSON and TOML files that change the bytes of one value and nothing else.

The file is parsed only to find the span of the value; the new text is spliced into the bytes; the result is parsed
again and must differ in that value alone, or nothing is written. So comments, quotes, order, indentation, line ends and
a byte order mark stay as they are. What cannot be done in this way is refused with file, line and column.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploy.edits import selector
from deploy.edits.anchoring import Anchor
from deploy.edits.change import Change, Edit, Made, Remove, Undo, Value
from deploy.edits.making import drifted_in, make, read_in
from deploy.edits.refusal import EditRefused
from deploy.edits.scalars import Scalar
from deploy.edits.splice import parse
from deploy.edits.tree import Language
from deploy.edits.walk import Target

__all__ = [
    "Anchor", "Change", "Edit", "EditRefused", "Made", "Remove", "Target", "Undo", "Value", "apply", "drifted", "read",
]  # fmt: skip

MAX_BYTES = 4 << 20
"""A manifest is text that people read; what is larger is no manifest."""

_BOM = b"\xef\xbb\xbf"
_LFS = b"version https://git-lfs.github.com/spec/"


def read(data: bytes, target: Target, file: str) -> Scalar:
    """The value that stands there now.

    Raises:
        EditRefused: it is not there, or not one value.
    """
    text, _ = _decode(data, file)
    return read_in(parse(text, _language(file), file), target, file)


def drifted(data: bytes, target: Target, file: str, made: Made, new: Scalar) -> str:
    """How what stands there differs from what an edit made of it, "" if it does not.

    Raises:
        EditRefused: the place cannot be reached any more.
    """
    text, _ = _decode(data, file)
    return drifted_in(parse(text, _language(file), file), target, file, made, new)


def apply(data: bytes, edits: Sequence[tuple[Target, Edit]], file: str) -> tuple[bytes, list[Change]]:
    """Make edits one after the other; equal bytes come back when all is there already.

    Raises:
        EditRefused: an edit cannot be made, or two of them want the same value changed differently.
    """
    text, bom = _decode(data, file)
    changes: list[Change] = []
    tree = parse(text, _language(file), file)
    for target, edit in edits:
        tree, change = make(tree, target, edit, file)
        changes.append(change)
    if len(edits) > 1:
        for (target, _), change in zip(edits, changes, strict=True):
            if drifted_in(tree, target, file, change.made, change.new):
                raise EditRefused(f"{file}:{change.line}: two edits change this value: {selector.show(target.path)}")
    return bom + tree.text.encode(), changes


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


def _language(file: str) -> Language:
    name = file.lower()
    return "json" if name.endswith(".json") else "toml" if name.endswith(".toml") else "yaml"
