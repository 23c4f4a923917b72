"""Documents that stand in a text: a ConfigMap's `model.yaml: |`, Ray Serve's serveConfigV2, JSON in an annotation."""

from __future__ import annotations

import json

from deploy.edits import scalars as writing
from deploy.edits.scalars import Style
from deploy.edits.selector import Key, Step
from deploy.edits.splice import Splice, bare_start, newline_of
from deploy.edits.tree import Language, scalar
from deploy.edits.values import Place, block_span

_STYLES: dict[str | None, Style] = {None: "plain", "": "plain", "'": "single", '"': "double"}


def language_of(path: tuple[Step, ...], text: str) -> Language:
    """What a text is written in: as its key is named, else JSON where it is that, else YAML."""
    name = path[-1].name.lower() if path and isinstance(path[-1], Key) else ""
    if name.endswith((".json", ".toml")):
        return "json" if name.endswith(".json") else "toml"
    if text.lstrip()[:1] in {"{", "["} and not name.endswith((".yaml", ".yml")):
        try:
            json.loads(text)
        except ValueError:
            return "yaml"
        return "json"
    return "yaml"


def first_line(place: Place) -> int:
    """How many lines of the file come before the first of the text."""
    text, node = place.tree.text, place.node
    at = block_span(text, node)[0] if node.style == "|" else node.start
    return text.count("\n", 0, at)


def put(place: Place, new: str) -> Splice:
    """The splice that gives a text a new content, of which only the part that differs is written.

    Raises:
        EditRefused: its way of writing does not say where that part is.
    """
    node = place.node
    if node.style == ">":
        raise place.refused("is a folded block (>), whose lines are not those of the text; make it a literal one (|)")
    start, end, text = _in_block(place, new) if node.style == "|" else _in_quotes(place, new)
    return Splice(start, end, text, node.first, node.stop, [scalar(new, node.anchor, node.tag)])


def _in_quotes(place: Place, new: str) -> tuple[int, int, str]:
    node, whole = place.node, place.tree.text
    start, style = bare_start(whole, node), _STYLES[node.style]
    # What is written again as it stood will be written so again, but for the part that changes.
    if writing.write(node.value, "", style, place.tree.language) != whole[start : node.end]:
        raise place.refused("is quoted in a way that cannot be kept; make it a literal block (|)")
    return start, node.end, writing.write(new, "", style, place.tree.language)


def _in_block(place: Place, new: str) -> tuple[int, int, str]:
    node, whole, old = place.node, place.tree.text, place.node.value
    begin, _, indent = block_span(whole, node)
    start, end, text = _difference(old, new)
    if end == len(old) and start and old[start - 1] == "\n" and (not text or text.endswith("\n")):
        # The line after the block's last belongs to another: move the change to before the newline.
        start, end, text = start - 1, end - 1, ("\n" + text)[:-1] if text else ""
    lines = text.split("\n")
    written = newline_of(whole).join([lines[0], *(indent + line if line else "" for line in lines[1:])])
    if start and old[start - 1] == "\n" and old[start : start + 1] in {"\n", ""} and lines[0]:
        written = indent + written
    return _outer(whole, begin, old, start, indent), _outer(whole, begin, old, end, indent), written


def _difference(old: str, new: str) -> tuple[int, int, str]:
    """Where two texts differ: the span in the old one, and what stands there in the new one. Whole lines."""
    limit = min(len(old), len(new))
    head = next((n for n in range(limit) if old[n] != new[n]), limit)
    tail = next((n for n in range(limit - head) if old[-1 - n] != new[-1 - n]), limit - head)
    return head, len(old) - tail, new[head : len(new) - tail]


def _outer(whole: str, begin: int, inner: str, at: int, indent: str) -> int:
    """Where a character of the text stands in the file."""
    line = inner.count("\n", 0, at)
    column = at - (inner.rfind("\n", 0, at) + 1)
    for _ in range(line):
        begin = whole.index("\n", begin) + 1
    # A blank line may have less than the indentation.
    return begin + column + (len(indent) if whole.startswith(indent, begin) else 0)
