"""From a path to the value that it means, or to where the path ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deploy.edits import selector
from deploy.edits.refusal import EditRefused, line_of, refused
from deploy.edits.selector import Index, Key, Prefix, Step, Where
from deploy.edits.tree import Node, Tree, Unparsable


@dataclass(frozen=True, slots=True)
class Target:
    """One value in a file. `resource` picks the document of several: dotted path -> the text it must read."""

    path: tuple[Step, ...]
    resource: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """As far as a path goes: from the root to the last node that is there, and the steps that lead nowhere.

    `places`: where each node but the root is among the children of the one before.
    """

    trail: tuple[Node, ...]
    places: tuple[int, ...]
    rest: tuple[Step, ...]
    missing: str = ""

    @property
    def node(self) -> Node:
        """The last node that is there."""
        return self.trail[-1]


def find(tree: Tree, target: Target, file: str, *, partly: bool = False, absent: bool = False) -> Found:
    """The one place that a path means; `partly`: as far as it goes in the one document that it can mean; `absent`: in
    the first of those that have most of it.

    Raises:
        EditRefused: it is not there, is there several times, or cannot be reached.
    """
    try:
        documents = tree.documents
    except Unparsable as error:
        raise refused(file, tree.text, error.at, str(error)) from error
    documents = [d for d in documents if all(_reads(d, *want) for want in target.resource.items())]
    if not documents:
        wanted = ", ".join(f"{key} {value!r}" for key, value in target.resource.items())
        raise EditRefused(f"{file}: has no document{f' with {wanted}' if wanted else ''}")
    found: list[Found] = []
    why: EditRefused | None = None
    for document in documents:
        try:
            found.append(walk(tree, document, target.path, file))
        except EditRefused as error:
            if len(documents) == 1 or not isinstance(error, _Wrong):
                raise
            why = why or error
    whole = [one for one in found if not one.rest]
    chosen = whole or sorted(found, key=lambda one: len(one.rest) if absent else 0)
    if not chosen:
        raise why or AssertionError("a document is found or says why not")
    if not whole and not partly:
        raise refused(file, tree.text, chosen[0].node.start, chosen[0].missing)
    if len(chosen) > 1 and (whole or not absent):
        raise EditRefused(
            f"{file}: {selector.show(target.path)} {'is' if whole else 'could be'} in {len(chosen)} documents (lines "
            f"{', '.join(str(line_of(tree.text, one.node.start)) for one in chosen)}); name one with `resource`"
        )
    return chosen[0]


def _reads(document: Node, path: str, value: str) -> bool:
    return reading(document, path.split(".")) == value


def reading(node: Node, keys: Iterable[str]) -> str | None:
    """The text of the scalar under some keys, None if there is no such one."""
    for key in keys:
        places = node.get(key) if node.kind == "mapping" else []
        if len(places) != 1:
            return None
        node = node.children[places[0]]
    return node.value if node.kind == "scalar" else None


class _Wrong(EditRefused):
    """The path cannot be in this document; another may have it."""


def walk(tree: Tree, node: Node, path: tuple[Step, ...], file: str) -> Found:
    """Follow a path in one document.

    Raises:
        EditRefused: a step means several values, or something that stands for a value elsewhere.
    """
    trail, places = [node], list[int]()
    for depth, step in enumerate(path):
        if why := shared(tree, node):
            raise refused(file, tree.text, node.start, why)
        matches = _step(node, step)
        if len(matches) == 1:
            places.append(matches[0])
            node = node.children[matches[0]]
            trail.append(node)
            continue
        shown = selector.show(path[: depth + 1])
        if matches:
            lines = ", ".join(str(line_of(tree.text, node.children[match].start)) for match in matches)
            raise refused(file, tree.text, node.start, f"{shown} is there {len(matches)} times (lines {lines})")
        missing = f"there is no {shown}; {_what_exists(node, step)}"
        if not _could_hold(node, step):
            raise _Wrong(str(refused(file, tree.text, node.start, missing)))
        return Found(tuple(trail), tuple(places), path[depth:], missing)
    return Found(tuple(trail), tuple(places), ())


def shared(tree: Tree, node: Node) -> str:
    """Why a value is not this place's own, "" if it is."""
    if node.alias is not None:
        return f"*{node.alias} stands for a value elsewhere; edit it there"
    if node.used_at >= 0:
        line = line_of(tree.text, node.used_at)
        return f"&{node.anchor} is used elsewhere too (line {line}); an edit would change both"
    return ""


def _step(node: Node, step: Step) -> list[int]:
    if isinstance(step, Key):
        return node.get(step.name) if node.kind == "mapping" else []
    if node.kind != "sequence":
        return []
    items = enumerate(node.children)
    match step:
        case Index(wanted):
            return [wanted] if wanted < len(node.children) else []
        case Where(keys, value):
            return [at for at, item in items if reading(item, keys) == value]
        case Prefix(text):
            return [at for at, item in items if item.kind == "scalar" and item.value.startswith(text)]
        case _:
            raise AssertionError("texts are gone into one after the other")


def _could_hold(node: Node, step: Step) -> bool:
    return node.empty or node.kind == ("mapping" if isinstance(step, Key) else "sequence")


def _what_exists(node: Node, step: Step) -> str:
    if node.kind == "mapping":
        merged = " (keys that come by << are not edited here)" if "<<" in node.names() else ""
        names = ", ".join(sorted(set(node.names()))[:20]) or "no keys"
        return f"new keys are not made without `create`; there are {names}{merged}"
    if node.kind != "sequence":
        return "what stands there is one value" if node.kind != "alias" else "an alias stands there"
    if isinstance(step, Where):
        names = sorted({name for item in node.children if (name := reading(item, step.keys))})
        return f"{'.'.join(step.keys)} is {', '.join(names[:20]) or 'nowhere set'}"
    if isinstance(step, Prefix):
        return f"none of {len(node.children)} items begins so"
    return f"the list has {len(node.children)} items"
