"""A new value in the place of an old one: one scalar, in quotes or bare or as a block of lines."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.edits import scalars as writing
from deploy.edits import selector
from deploy.edits.refusal import EditRefused, refused
from deploy.edits.scalars import Scalar, Style
from deploy.edits.selector import Step
from deploy.edits.splice import Splice, bare_start, header, newline_of
from deploy.edits.tree import Node, Reading, Tree, scalar
from deploy.edits.walk import shared
from retrain.manifests import scalars

_STYLES: dict[str | None, Style] = {None: "plain", "": "plain", "'": "single", '"': "double"}
_TAGS = frozenset({None, *(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null"))})


@dataclass(frozen=True, slots=True)
class Place:
    """A scalar in a file, for messages."""

    tree: Tree
    node: Node
    path: tuple[Step, ...]
    file: str

    @property
    def shown(self) -> str:
        """Its path as people write it."""
        return selector.show(self.path)

    def refused(self, why: str) -> EditRefused:
        """The refusal of an edit of it."""
        return refused(self.file, self.tree.text, self.node.start, f"{self.shown} {why}")


def check(place: Place) -> None:
    """Whether the value is one that can be changed by itself.

    Raises:
        EditRefused: it cannot.
    """
    tree, node = place.tree, place.node
    if why := shared(tree, node):
        raise refused(place.file, tree.text, node.start, f"{place.shown}: {why}")
    if node.kind == "other":
        raise place.refused("is a date, a text of several lines, inf or nan, which are not edited in TOML")
    if node.kind != "scalar":
        raise place.refused(f"is a {node.kind}, not one value")
    if node.tag not in _TAGS:
        raise place.refused(f"has the tag {node.tag}, whose meaning is not known here")
    if (node.tag or node.anchor) and (
        bare_start(tree.text, node) >= node.end or tree.text[bare_start(tree.text, node)] in "#&!"
    ):
        raise place.refused("has an anchor or a tag and no value right behind it")


def replace(place: Place, value: Scalar, text: str | None) -> Splice | None:
    """The splice that puts a value there, or the very `text`; None if it is there already.

    Raises:
        EditRefused: the value cannot stand there.
    """
    node = place.node
    if node.style in {"|", ">"}:
        return _block(place, value, text)
    old = node.scalar
    if text is None and type(old) is type(value) and old == value:
        return None
    start = bare_start(place.tree.text, node)
    if text is None:
        style: Style = "empty" if node.empty else _STYLES[node.style]
        text = writing.write(value, old, style, place.tree.language)
        # An empty value ends right after its colon or dash: what follows needs a space.
        text = f" {text}" if node.empty else text
    elif not text:
        start -= place.tree.text[start - 1 : start] == " "
    return Splice(start, node.end, text, node.first, node.stop, [_reading(place, value, text)])


def _reading(place: Place, value: Scalar, text: str) -> Reading:
    """What will stand there: a string that was written as a number is that number."""
    node, old = place.node, place.node.scalar
    numeric = isinstance(old, int | float) and not isinstance(old, bool)
    if isinstance(value, str) and numeric and (value == text.strip() or node.tag):
        try:
            value = scalars.to_json(scalars.resolve(value, node.tag))
        except ValueError as error:
            raise place.refused(f"cannot become that: {error}") from error
    return scalar(value, node.anchor, node.tag)


def block_span(text: str, node: Node) -> tuple[int, int, str]:
    """The lines of a block scalar that hold its text, without the newline of the last; and their indentation."""
    begin = text.find("\n", bare_start(text, node)) + 1
    end = len(text[: node.end].rstrip("\r\n"))
    first = next((line for line in text[begin:end].split("\n") if line.strip()), "")
    value = next((line for line in node.value.split("\n") if line.strip()), "")
    return begin, end, " " * (len(first) - len(first.lstrip(" ")) - (len(value) - len(value.lstrip(" "))))


def _block(place: Place, value: Scalar, text: str | None) -> Splice | None:
    """The rule: the header and the line ends after the text stay as they are; > takes one line, | takes several."""
    node, whole = place.node, place.tree.text
    begin, end, indent = block_span(whole, node)
    body = node.value.rstrip("\n")
    tail = node.value[len(body) :]
    if not isinstance(value, str):
        raise place.refused(f"is a block scalar ({node.style}), which holds text and no {type(value).__name__}")
    new = value.rstrip("\n")
    if not body or not new:
        raise place.refused(f"is a block scalar ({node.style}); an empty text is not put in or taken out")
    if node.style == ">" and "\n" in new and text is None:
        raise place.refused("is a folded block (>), which takes a value of one line; make it a literal one (|)")
    if text is None and new == body:
        return None
    if text is None:
        text = newline_of(whole).join(indent + line if line else "" for line in new.split("\n"))
    if not header(whole, node).strip("|>+-0123456789 \t\r") == "":
        raise place.refused("is a block scalar with a header that is not known here")
    return Splice(begin, end, text, node.first, node.stop, [scalar(new + tail, node.anchor, node.tag)])
