"""`{{tags}}` in the texts of a template, filled in as Argo does.

A tag that nobody knows stays as it is written (it may be Jinja's), unless it starts with one of the `strict` words or
the whole text is strict. Filled-in text is never scanned again. `{{a {{b}}` holds one tag, `b`. Texts are parsed once.

Source: util/template of Argo Workflows. There JSON text is scanned; here the texts inside it, so no quoting can break.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from retrain.errors import RetrainError

_TAG = re.compile(r"\{\{((?:(?!\{\{|\}\}).)*)\}\}", re.S)


class Absent(Enum):
    """The output of a step that was skipped and has no default: there, but without a value."""

    token = 0


ABSENT: Final = Absent.token
Found = str | Absent | None
Lookup = Callable[[str], Found]


class Unresolved(RetrainError):
    """A tag that had to be known is not, or has no value."""


@lru_cache(maxsize=8192)
def parts(text: str) -> tuple[tuple[str, str | None], ...]:
    """`(literal, tag)` pairs in order; the last tag is None. `"a {{b}}"` gives `(("a ", "b"), ("", None))`."""
    out: list[tuple[str, str | None]] = []
    at = 0
    for match in _TAG.finditer(text):
        out.append((text[at : match.start()], match[1]))
        at = match.end()
    return (*out, (text[at:], None))


def tags(value: Any) -> Iterator[str]:
    """Every tag in every text of a value, trimmed, keys included."""
    if isinstance(value, str):
        if "{{" in value:
            yield from (tag.strip() for _, tag in parts(value) if tag is not None)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from tags(key)
            yield from tags(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from tags(inner)


def replace(value: Any, lookup: Lookup, *, strict: tuple[str, ...] = (), all_strict: bool = False) -> Any:
    """The value with the tags of every text in it replaced. Values without tags are returned, not copied.

    Raises:
        Unresolved: a tag under a `strict` word is unknown, or a tag has no value.
    """
    if isinstance(value, str):
        return _text(value, lookup, strict, all_strict) if "{{" in value else value
    if isinstance(value, dict):
        return {
            replace(k, lookup, strict=strict, all_strict=all_strict): replace(
                inner, lookup, strict=strict, all_strict=all_strict
            )
            for k, inner in value.items()
        }
    if isinstance(value, list):
        return [replace(inner, lookup, strict=strict, all_strict=all_strict) for inner in value]
    return value


def _text(text: str, lookup: Lookup, strict: tuple[str, ...], all_strict: bool) -> str:
    out: list[str] = []
    for literal, tag in parts(text):
        out.append(literal)
        if tag is None:
            continue
        name = tag.strip()
        found = lookup(name)
        if found is ABSENT:
            raise Unresolved(f"unable to substitute '{{{{{name}}}}}': absent optional (a skipped step's output)")
        if isinstance(found, str):
            out.append(found)
        elif all_strict or (strict and name.partition(".")[0] in strict and ".outputs.artifacts." not in name):
            raise Unresolved(f"failed to resolve {{{{{tag}}}}}")
        else:
            out.append("{{" + tag + "}}")
    return "".join(out)


def sole_tag(text: str) -> str | None:
    """`x.y` for `{{x.y}}`, None for anything with more or less in it."""
    pieces = parts(text)
    tag = pieces[0][1]
    return tag.strip() if tag and len(pieces) == 2 and not pieces[0][0] and not pieces[1][0] else None
