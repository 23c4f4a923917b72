"""Where the values of arguments go in a Workflow: `{{workflow.parameters.X}}` and what follows from it. Pure.

Which arguments reach a field is judged by their names alone, over all templates: rather once too often than too seldom.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, cast

import yaml

from pipelines.kubernetes.guarded import differences, is_list
from pipelines.kubernetes.guarded_fields import Choice, Rule

TAG = re.compile(r"\{\{.*?(?:\}\}|$)", re.DOTALL)
_PARAMETER = re.compile(r"(?:workflow|inputs)\s*\.\s*parameters(?:\s*\.\s*([\w-]+)|\s*\[\s*['\"]([^'\"]*)['\"]\s*\])?")
_PLAIN = re.compile(r"\{\{\s*(?:workflow|inputs)\.parameters\.([\w-]+)\s*\}\}")
_ITEM = re.compile(r"\bitem\b")
ALL, ITEM = "*", "item"
"""Every parameter at once; what `withParam` and `withItems` go through."""
NEUTRAL = "0"
"""Stands in a document where a tag will be filled."""
TEXTS = {Rule.POD_SPEC_PATCH, Rule.RESOURCE}
"""Rules of fields that hold a document of their own, as a text."""


def foreign_tags(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[Choice]:
    """Tags that an event brought with a value: Argo would fill them in, or run what stands in them."""
    if isinstance(after, dict):
        old = cast("dict[str, Any]", before) if isinstance(before, dict) else {}
        for name, value in cast("dict[str, Any]", after).items():
            if (was := old.get(name)) is not value:
                yield from foreign_tags(was, value, (*path, str(name)))
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
    """The parameters whose values an event has chosen, wherever in the object they stand; None for one with several."""
    known, found = set(_valued(before)), dict[str, str | None]()
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
    reached = _reached(before, set(values))
    for one in tagged:
        if not _names(one.value) & reached:
            continue
        filled = _PLAIN.sub(lambda found: values.get(found[1]) or found[0], one.value)
        if one.rule in TEXTS and not (_names(filled) & reached):
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
    for found in differences(written, made):
        yield Choice(f"{one.path}.{found.path}", found.rule, found.value)


def _valued(document: Any) -> Iterator[tuple[str, str]]:
    """Parameters and their values or defaults, at any depth."""
    if isinstance(document, dict):
        found = cast("Mapping[str, Any]", document)
        name = found.get("name")
        if isinstance(name, str):
            yield from ((name, str(found[one])) for one in ("value", "default") if one in found)
        for value in found.values():
            if isinstance(value, Mapping) or is_list(value):
                yield from _valued(value)
    elif is_list(document):
        for value in document:
            yield from _valued(value)


def _reached(document: Any, names: set[str]) -> set[str]:
    """The names of all parameters that something of these goes into, and ITEM."""
    flows = [(name, _names(value)) for name, value in _valued(document) if "{{" in value]
    flows += [(ITEM, _names(value)) for value in _items(document)]
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
            if name in {"withParam", "withItems", "withSequence"}:
                yield str(value)
            else:
                yield from _items(value)
    elif is_list(document):
        for value in document:
            yield from _items(value)


def _names(text: str) -> set[str]:
    """The parameters that a text's tags name; ALL where they name all of them."""
    found: set[str] = set()
    for tag in TAG.findall(text):
        found |= {dotted or quoted or ALL for dotted, quoted in _PARAMETER.findall(tag)}
        if _ITEM.search(tag):
            found.add(ITEM)
    return found
