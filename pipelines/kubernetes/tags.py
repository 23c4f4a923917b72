"""Where the values of arguments go in a Workflow: `{{workflow.parameters.X}}` and what follows from it. Pure.

Which arguments reach a field is judged by their names alone, over all templates, inputs and outputs: rather once too
often than too seldom. The Workflow's own name, labels and annotations count as arguments called `workflow.name` and so
on. What a container makes of its arguments, and gives out, is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, cast

import yaml

from pipelines.kubernetes.guarded import differences, is_list
from pipelines.kubernetes.guarded_fields import Choice, Rule
from pipelines.kubernetes.guarded_places import rights

TAG = re.compile(r"\{\{.*?(?:\}\}|$)", re.DOTALL)
_INDEX = r"\[\s*['\"]([^'\"]*)['\"]\s*\]"
_PARAMETER = re.compile(
    r"(?:workflow|inputs|outputs)\s*(?:\.\s*parameters|\[\s*['\"]parameters['\"]\s*\])"
    rf"(?:\s*\.\s*([\w-]+)|\s*{_INDEX})?"
)
_MARK = re.compile(r"workflow\s*(?:\.|\[\s*['\"])\s*(name|labels|annotations)\b")
_PLAIN = re.compile(r"\{\{\s*(?:workflow|inputs)\.parameters\.([\w-]+)\s*\}\}")
_ITEM = re.compile(r"\bitem\b")
ALL, ITEM = "*", "item"
"""Every parameter at once; what `withParam` and `withItems` go through."""
MARKS = {"name": "workflow.name", "generateName": "workflow.name"} | {
    one: f"workflow.{one}" for one in ("labels", "annotations")
}
"""Members of `metadata` -> what tags call them."""
LOOPS = frozenset({"withParam", "withItems", "withSequence"})
SAID = ("default", "expression", "parameter")
"""Members of `valueFrom` that say a value, or how it is made of others."""
DOCUMENTS = ("podspecpatch", "manifest")
"""Fields that hold a document of their own, as a text."""
NEUTRAL = "0"
"""Stands in a document where a tag will be filled."""


def foreign_tags(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[Choice]:
    """Tags that an event brought with a value: Argo would fill them in, or run what stands in them."""
    if isinstance(after, dict):
        old = cast("dict[str, Any]", before) if isinstance(before, dict) else {}
        for name, value in cast("dict[str, Any]", after).items():
            if (was := old.get(name)) is not value:
                at = (*path, str(name))
                yield from (Choice(".".join(at), Rule.TAG, tag) for tag in TAG.findall(name) if name not in old)
                yield from foreign_tags(was, value, at)
    elif is_list(after):
        for index, (was, value) in enumerate(zip_longest(before if is_list(before) else (), after)):
            if was is not value:
                yield from foreign_tags(was, value, (*path, str(index)))
    elif isinstance(after, str) and "{{" in after:
        known = set(TAG.findall(before)) if isinstance(before, str) else set[str]()
        for tag in TAG.findall(after):
            if tag not in known:
                yield Choice(".".join(path), Rule.TAG, tag)


def chosen_arguments(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str | None]:
    """The parameters whose values an event has chosen, wherever in the object they stand; None for one with several,
    and for what is no parameter: marks of the Workflow, and what loops go through."""
    known, found = set(_valued(before)), dict[str, str | None]()
    if list(_items(before)) != list(_items(after)):
        found[ITEM] = None
    found |= {tag: None for name, tag in MARKS.items() if _marks(before, name) != _marks(after, name)}
    for name, value in _valued(after):
        if (name, value) not in known:
            found[name] = value if found.get(name, value) == value else None
    return found


def through_arguments(
    before: Mapping[str, Any], tagged: Sequence[Choice], values: Mapping[str, str | None]
) -> Iterator[Choice]:
    """What an event has chosen of guarded fields by the arguments that go into them.

    `tagged`: the guarded fields of `before` that hold tags. `values`: those of `chosen_arguments`.
    """
    if not values:
        return
    flows = _flows(before)
    reached = _reached(flows, set(values))
    # What goes into an input may be another value than that of its name.
    fed = {name for name, used in flows if used & reached - {name}}
    for one in tagged:
        if not _names(one.value) & reached:
            continue
        filled = _PLAIN.sub(lambda found: (found[1] not in fed and values.get(found[1])) or found[0], one.value)
        if one.path.casefold().endswith(DOCUMENTS) and not (_names(filled) & reached):
            yield from _in_text(one, filled)
        else:
            yield Choice(one.path, one.rule, filled)


def _in_text(one: Choice, filled: str) -> Iterator[Choice]:
    """What the values make of a document that is a text; the text as a whole where it is no document then."""
    try:
        made = yaml.load(TAG.sub(NEUTRAL, filled), Loader=yaml.CSafeLoader)
        written = yaml.load(TAG.sub(NEUTRAL, one.value), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        yield Choice(one.path, one.rule, filled)
        return
    found = list(differences(written, made))
    if isinstance(written, dict) and isinstance(made, dict):
        found += rights(cast("dict[str, Any]", written), cast("dict[str, Any]", made))
    yield from (Choice(f"{one.path}.{part.path}", part.rule, part.value) for part in found)


def _valued(document: Any) -> Iterator[tuple[str, str]]:
    """Parameters and their values or defaults, at any depth; an expression as the tag that it is."""
    if isinstance(document, dict):
        found = cast("Mapping[str, Any]", document)
        for name in (found.get("name"), found.get("globalName")):
            if isinstance(name, str):
                yield from ((name, text) for text in _said(found))
        for value in found.values():
            if isinstance(value, Mapping) or is_list(value):
                yield from _valued(value)
    elif is_list(document):
        for value in document:
            yield from _valued(value)


def _said(parameter: Mapping[str, Any]) -> Iterator[str]:
    yield from (str(parameter[one]) for one in ("value", "default") if one in parameter)
    source: Any = parameter.get("valueFrom")
    for one in SAID if isinstance(source, Mapping) else ():
        if one in source:
            yield f"{{{{={source[one]}}}}}" if one == "expression" else str(source[one])


def _marks(workflow: Mapping[str, Any], name: str) -> list[Any]:
    """What a Workflow says of its labels and so on, in both places where it does."""
    spec: Any = workflow.get("spec")
    places = (workflow.get("metadata"), spec.get("workflowMetadata") if isinstance(spec, Mapping) else None)
    return [one.get(name) or None for one in places if isinstance(one, Mapping)]


def _flows(document: Any) -> list[tuple[str, set[str]]]:
    """Parameters, and ITEM, with the names of what goes into them."""
    flows = [(name, _names(value)) for name, value in _valued(document) if "{{" in value]
    return [*flows, *((ITEM, _names(value)) for value in _items(document))]


def _reached(flows: Sequence[tuple[str, set[str]]], names: set[str]) -> set[str]:
    """The names of all parameters that something of these goes into, and ITEM."""
    reached = {*names, ALL}
    grown = True
    while grown:
        more = {name for name, used in flows if name not in reached and used & reached}
        reached |= more
        grown = bool(more)
    return reached


def _items(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for name, value in cast("Mapping[str, Any]", document).items():
            if name in LOOPS:
                yield str(value)
            else:
                yield from _items(value)
    elif is_list(document):
        for value in document:
            yield from _items(value)


def _names(text: str) -> set[str]:
    """The parameters that a text's tags name, and marks; ALL where they name all parameters."""
    found: set[str] = set()
    for tag in TAG.findall(text):
        # `workflow.parameters.json` is all of them.
        found |= {
            ALL if (name := dotted or quoted) in {"", "json"} else name for dotted, quoted in _PARAMETER.findall(tag)
        }
        found |= {f"workflow.{mark}" for mark in _MARK.findall(tag)}
        if _ITEM.search(tag):
            found.add(ITEM)
    return found
