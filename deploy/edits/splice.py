"""One change of a text, and the proof that it changes nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.edits import from_json, from_toml, from_yaml
from deploy.edits.refusal import EditRefused, refused
from deploy.edits.tree import Language, Node, Reading, Signature, Tree, Unparsable, reads

_PARSERS = {"yaml": from_yaml.parse, "json": from_json.parse, "toml": from_toml.parse}


@dataclass(frozen=True, slots=True)
class Splice:
    """`text` takes the place of the characters from `start` to `end`.

    The signatures from `first` to `stop` then read as `expect`; None: see `prove_run`.
    """

    start: int
    end: int
    text: str
    first: int
    stop: int
    expect: Sequence[Reading] | None


def parse(text: str, language: Language, file: str) -> Tree:
    """Read a text.

    Raises:
        EditRefused: it is not what its language says.
    """
    try:
        tree = _PARSERS[language](text)
        _ = tree.documents
    except Unparsable as error:
        raise refused(file, text, error.at, str(error)) from error
    return tree


def prove(before: Tree, splice: Splice, file: str) -> Tree:
    """The edited text as a tree, after showing that it differs from the old one in that one place only.

    Raises:
        EditRefused: something else would change, or what stands there would read differently.
    """
    text = before.text[: splice.start] + splice.text + before.text[splice.end :]
    try:
        after = _PARSERS[before.language](text)
    except Unparsable as error:
        raise _no(before, splice, file, f"the edit would break the file ({error})") from error
    if splice.expect is not None:
        _prove_reading(before, after, splice, splice.expect, file)
    return after


def _prove_reading(before: Tree, after: Tree, splice: Splice, expect: Sequence[Reading], file: str) -> None:
    old, new = before.signatures, after.signatures
    stop = splice.first + len(expect)
    if old[: splice.first] != new[: splice.first] or old[splice.stop :] != new[stop:]:
        raise _no(before, splice, file, "the edit would change more than this value")
    now = [reads(signature) for signature in new[splice.first : stop]]
    if now != list(expect):
        raise _misread(before, splice, file, now)


def _no(tree: Tree, splice: Splice, file: str, why: str) -> EditRefused:
    return refused(file, tree.text, splice.start, f"{why}; nothing was changed")


def _misread(tree: Tree, splice: Splice, file: str, now: list[Reading]) -> EditRefused:
    assert splice.expect is not None
    for one, wanted in zip(now, splice.expect, strict=True):
        if one != wanted and len(one) == len(wanted) == 5 and one[:3] == wanted[:3]:
            return _no(tree, splice, file, f"the new value would read back as {one[-1]!r}, not {wanted[-1]!r}")
    return _no(tree, splice, file, "the edit would change more than this value")


def prove_run(before: Tree, after: Tree, splice: Splice, run: tuple[int, int], file: str) -> None:
    """All signatures but one run of the old ones are as before, and what takes its place ends what it begins.

    Raises:
        EditRefused: something else would change.
    """
    first, stop = run
    old, new = before.signatures, after.signatures
    past = len(new) - (len(old) - stop)
    if past < first or old[:first] != new[:first] or old[stop:] != new[past:] or not _balanced(new[first:past]):
        raise _no(before, splice, file, "the edit would change more than this value")


def _balanced(signatures: Sequence[Signature]) -> bool:
    depth = 0
    for signature in signatures:
        name = signature[0] if isinstance(signature[0], str) else signature[0].__name__
        if name.startswith(("Document", "Stream")):
            return False
        depth += name.endswith("StartEvent") - name.endswith("EndEvent")
        if depth < 0:
            return False
    return depth == 0


def content_end(text: str, node: Node) -> int:
    """Where a value's last own character is past: before comments and blank lines that libyaml counts in."""
    while node.children and not node.flow:
        node = node.children[-1]
    if node.style in {"|", ">"}:
        end = node.end if "+" in header(text, node) else len(text[: node.end].rstrip("\r\n \t"))
        return end - len(_newline_before(text, end))
    return node.end


def header(text: str, node: Node) -> str:
    """The line of a block scalar that begins with | or >, its comment included."""
    start = bare_start(text, node)
    end = text.find("\n", start)
    return text[start : end if end >= 0 else len(text)].partition("#")[0]


def bare_start(text: str, node: Node) -> int:
    """Where a scalar's own text begins, after its anchor and tag."""
    at = node.start
    while text[at : at + 1] in {"&", "!"} and (node.anchor is not None or node.tag is not None) and at < node.end:
        while at < node.end and not text[at].isspace():
            at += 1
        while at < node.end and text[at].isspace():
            at += 1
    return at


def _newline_before(text: str, end: int) -> str:
    for newline in ("\r\n", "\n"):
        if text.endswith(newline, 0, end):
            return newline
    return ""


def line_start(text: str, at: int) -> int:
    """Where the line of a character begins."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """Where the line of a character ends, before its newline."""
    end = text.find("\n", at)
    if end < 0:
        return len(text)
    return end - 1 if end > at and text[end - 1] == "\r" else end


def newline_of(text: str, at: int = 0) -> str:
    """The newline that a text uses from a place on, or else in its first line."""
    at = text.find("\n", at)
    at = text.find("\n") if at < 0 else at
    return "\r\n" if at > 0 and text[at - 1] == "\r" else "\n"
