"""One edit of a tree: found, spliced and proved; what is there already is left alone."""

from __future__ import annotations

from dataclasses import replace

from deploy.edits import anchoring, fresh, inside, selector, values
from deploy.edits.adding import add
from deploy.edits.anchoring import Anchor
from deploy.edits.change import Change, Edit, Made, Remove, Undo, Value
from deploy.edits.refusal import EditRefused, line_of, refused
from deploy.edits.removing import remove
from deploy.edits.scalars import Scalar
from deploy.edits.selector import Index, Prefix
from deploy.edits.splice import Splice, parse, prove, prove_run
from deploy.edits.tree import Tree
from deploy.edits.values import Place
from deploy.edits.walk import Found, Target, find
from retrain.manifests import scalars


def make(tree: Tree, target: Target, edit: Edit, file: str) -> tuple[Tree, Change]:
    outer, inner = selector.split(target.path)
    if inner:
        return _inside(tree, replace(target, path=outer), inner, edit, file)
    match edit:
        case Value():
            return _set(tree, target, edit, file)
        case Remove():
            return _remove(tree, target, file)
        case Undo(made="created"):
            return _unmake(tree, target, edit, file)
        case Undo():
            return _put_back(tree, target, edit, file)


def _place(tree: Tree, target: Target, found: Found, file: str) -> Place:
    place = Place(tree, found.node, target.path, file)
    values.check(place)
    return place


def _set(tree: Tree, target: Target, edit: Value, file: str) -> tuple[Tree, Change]:
    found = find(tree, target, file, partly=edit.create)
    try:
        value = scalars.to_json(edit.value)
    except ValueError as error:
        raise refused(file, tree.text, found.node.start, f"{selector.show(target.path)}: {error}") from error
    if found.rest:
        return _create(tree, target, add(tree, found, value, file), file)
    place, node = _place(tree, target, found, file), found.node
    old, line = _value(found, target), line_of(tree.text, node.start)
    splice = values.replace(place, _whole(target, value), edit.text)
    if splice is None:
        here = tree.text[node.start : node.end]
        return tree, Change(old, old, here, here, line)
    after = prove(tree, splice, file)
    assert splice.expect is not None
    new = _rest(splice.expect[0][-1], target)
    return after, Change(old, new, tree.text[splice.start : splice.end], splice.text, line)


def _create(tree: Tree, target: Target, splice: Splice, file: str) -> tuple[Tree, Change]:
    after = prove(tree, splice, file)
    made = find(after, target, file)
    new, line = _value(made, target), line_of(after.text, made.node.start)
    old_text = tree.text[splice.start : splice.end]
    return after, Change(None, new, old_text, splice.text, line, "created", anchoring.of_made(after, made, splice))


def _remove(tree: Tree, target: Target, file: str) -> tuple[Tree, Change]:
    if isinstance(target.path[-1], Index):
        raise EditRefused(f"{file}: {selector.show(target.path)}: an item is removed by [key=value], not by its number")
    found = find(tree, target, file, partly=True, absent=True)
    if found.rest:
        return tree, Change(None, None, "", "", line_of(tree.text, found.node.start), "removed")
    splice = remove(tree, found, file)
    after = prove(tree, splice, file)
    _check_way_back(tree, found, after, target, file)
    parent = find(after, replace(target, path=target.path[:-1]), file).node if splice.expect else None
    anchor = anchoring.of_removed(tree, found, splice, parent)
    return after, _removed(tree, target, found, splice, anchor)


def _check_way_back(tree: Tree, found: Found, after: Tree, target: Target, file: str) -> None:
    """Whether the path still leads to where the value stood."""
    if tree.language == "toml":
        return
    shown = selector.show(target.path)
    now = find(after, target, file, partly=True, absent=True)
    if len(now.rest) == 1 and _document(after, now) == _document(tree, found):
        return
    why = f"{shown} is what the path is found by; it is not removed"
    if len(after.documents) > 1:
        why = f"without {shown} the path could be in several documents; name one with `resource`"
    raise refused(file, tree.text, found.node.start, why)


def _document(tree: Tree, found: Found) -> int:
    return next(number for number, root in enumerate(tree.documents) if root is found.trail[0])


def _removed(tree: Tree, target: Target, found: Found, splice: Splice, anchor: Anchor | None) -> Change:
    old_text, line = tree.text[splice.start : splice.end], line_of(tree.text, found.node.start)
    return Change(_value(found, target), None, old_text, splice.text, line, "removed", anchor)


def _unmake(tree: Tree, target: Target, edit: Undo, file: str) -> tuple[Tree, Change]:
    """Take out what was made: the very characters, or where they changed the key with its lines."""
    found = find(tree, target, file, partly=True, absent=True)
    if found.rest:
        return tree, Change(None, None, "", "", line_of(tree.text, found.node.start), "removed")
    start = found.node.start - len(edit.anchor.gap)
    if start < 0 or not tree.text.startswith(edit.new_text, start):
        return _remove(tree, target, file)
    splice = Splice(start, start + len(edit.new_text), edit.old_text, 0, 0, None)
    after = prove(tree, splice, file)
    if not find(after, target, file, partly=True, absent=True).rest:
        raise refused(file, tree.text, start, f"{selector.show(target.path)} would still be there; nothing was changed")
    prove_run(tree, after, splice, anchoring.run(found, start), file)
    return after, _removed(tree, target, found, splice, None)


def _put_back(tree: Tree, target: Target, edit: Undo, file: str) -> tuple[Tree, Change]:
    found = find(tree, target, file, partly=True, absent=True)
    line = line_of(tree.text, found.node.start)
    if not found.rest:
        value = _value(found, target)
        return tree, Change(value, value, "", "", line)
    start = _spot(tree, found, edit.anchor)
    if start is None or start < 0 or not tree.text.startswith(edit.new_text, start):
        shown = selector.show(target.path)
        raise refused(file, tree.text, found.node.start, f"what stood beside {shown} has changed; put it back by hand")
    splice = Splice(start, start + len(edit.new_text), edit.old_text, 0, 0, None)
    after = prove(tree, splice, file)
    now = find(after, target, file)
    owner = anchoring.owner(found.trail)
    first = anchoring.first(now)
    run = (owner.first, owner.stop) if edit.anchor.side == "parent" else (first, first)
    prove_run(tree, after, splice, run, file)
    if edit.anchor.side != "parent" and len(after.signatures) - len(tree.signatures) != now.node.stop - first:
        raise refused(file, tree.text, start, f"more than {selector.show(target.path)} would come; nothing was changed")
    new = _value(now, target)
    return after, Change(None, new, edit.new_text, edit.old_text, line, "created")


def _spot(tree: Tree, found: Found, anchor: Anchor) -> int | None:
    owner = anchoring.owner(found.trail)
    if len(found.rest) > 1 and tree.language != "toml":
        return None
    if anchor.side == "parent":
        return owner.start - len(anchor.gap)
    return anchoring.spot(tree, owner, anchor)


def _inside(tree: Tree, target: Target, path: tuple[selector.Step, ...], edit: Edit, file: str) -> tuple[Tree, Change]:
    """An edit of a document that stands in a text: proved in there, and then the text in its file."""
    place = _place(tree, target, find(tree, target, file), file)
    lines = inside.first_line(place)
    label = f"{file}:{lines + 1}: in {place.shown}, at"
    within = parse(place.node.value, inside.language_of(target.path, place.node.value), label)
    edited, change = make(within, Target(path), edit, label)
    change = replace(change, line=lines + change.line if place.node.style == "|" else lines + 1)
    if not change.changed:
        return tree, change
    return prove(tree, inside.put(place, edited.text), file), change


def read_in(tree: Tree, target: Target, file: str) -> Scalar:
    outer, inner = selector.split(target.path)
    target = replace(target, path=outer)
    found = find(tree, target, file)
    place = _place(tree, target, found, file)
    if not inner:
        return _value(found, target)
    within = parse(place.node.value, inside.language_of(outer, place.node.value), file)
    return read_in(within, Target(inner), f"{file}: in {place.shown}")


def drifted_in(tree: Tree, target: Target, file: str, made: Made, new: Scalar) -> str:
    if made == "removed" or (made == "created" and new is None):
        there = _is_there(tree, target, file)
        if there == (made == "created"):
            return ""
        return "is there, the record says it was removed" if there else "is not there, the record says it was put back"
    now = read_in(tree, target, file)
    return "" if type(now) is type(new) and now == new else f"is {now!r}, the record says {new!r}"


def _is_there(tree: Tree, target: Target, file: str) -> bool:
    outer, inner = selector.split(target.path)
    target = replace(target, path=outer)
    found = find(tree, target, file, partly=True, absent=True)
    if found.rest or not inner:
        return not found.rest
    place = _place(tree, target, found, file)
    within = parse(place.node.value, inside.language_of(outer, place.node.value), file)
    return _is_there(within, Target(inner), f"{file}: in {place.shown}")


def _value(found: Found, target: Target) -> Scalar:
    """The value as the path reads it: after [^KEY=] only the rest."""
    return _rest(found.node.value if isinstance(target.path[-1], Prefix) else found.node.scalar, target)


def _rest(value: Scalar, target: Target) -> Scalar:
    last = target.path[-1]
    return value.removeprefix(last.text) if isinstance(last, Prefix) and isinstance(value, str) else value


def _whole(target: Target, value: Scalar) -> Scalar:
    last = target.path[-1]
    return last.text + fresh.plain_text(value) if isinstance(last, Prefix) else value
