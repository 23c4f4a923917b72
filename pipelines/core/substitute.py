"""`{{tags}}` and `{{=expressions}}` in the texts of a template, filled in as Argo does.

A tag that nobody knows stays as it is written (it may be Jinja's), unless it starts with one of the `strict` words or
the whole text is strict. Filled-in text is never scanned again in the same pass. A tag reaches from `{{` to the next
`}}`; in `{{a {{b}}` only `b` is looked up. A template is taken apart once (`prepared`), and only its texts with tags
are looked at when it is filled.

Source: util/template of Argo Workflows. There JSON text is scanned; here the texts inside it, so no quoting can break.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from pipelines.core.expressions import LEFT, ExpressionFailed, evaluate_tag
from pipelines.core.naming import go_json
from pipelines.core.variables import ABSENT, Absent, Found, Lookup, Variables, variables_of
from retrain.errors import RetrainError

__all__ = ["ABSENT", "Absent", "Found", "Lookup", "Prepared", "Rule", "Unresolved", "inert", "inert_all", "parts",
           "prepared", "replace", "resolve", "revived", "sole_tag", "tags"]  # fmt: skip

MAX_CACHED = 4096
"""Characters of a text that is worth keeping taken apart; longer ones are mostly data, seen once."""


class Unresolved(RetrainError):
    """A tag that had to be known is not, or has no value."""


_OPENS, _INERT, _MARK = "{{=", "{{\x00=", "\x00="


def inert(value: str) -> str:
    """What is filled in: no expression in it is evaluated by a later pass. What a step printed or an event brought is
    data; only what stands in the manifest is code. (Upstream evaluates it.)"""
    return value.replace(_OPENS, _INERT) if _OPENS in value else value


def inert_all(value: Any) -> Any:
    """The same for every text in a value."""
    return _each(value, inert)


def revived(value: Any) -> Any:
    """The value, of which every pass is over, as it shall be read: see `inert`."""
    return _each(value, _revived)


def _revived(text: str) -> str:
    return text.replace(_INERT, _OPENS) if _INERT in text else text


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        changed = {key: new for key, inner in items.items() if (new := _each(inner, change)) is not inner}
        return {**items, **changed} if changed else items  # what need not change is shared, not copied
    if isinstance(value, list):
        old = cast("list[Any]", value)
        new = [_each(inner, change) for inner in old]
        return new if any(a is not b for a, b in zip(new, old, strict=True)) else old
    return value


@dataclass(frozen=True, slots=True)
class Tag:
    """One `{{raw}}`. `name` is trimmed; `expression` is set for `{{=...}}`; `inner` is `b` of `{{a {{b}}`."""

    raw: str
    name: str
    expression: str | None = None
    inner: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text in pieces. `plain`: no piece could become a part of a tag when the others are filled in."""

    pieces: tuple[str | Tag, ...]
    plain: bool


def parts(text: str) -> Text:
    """The literals and tags of a text, in order. Those of short texts are kept."""
    return _short_parts(text) if len(text) <= MAX_CACHED else _parts(text)


def _parts(text: str) -> Text:
    pieces: list[str | Tag] = []
    at, plain = 0, True
    while (start := text.find("{{", at)) >= 0 and (end := text.find("}}", start + 2)) >= 0:
        if start > at:
            pieces.append(text[at:start])
        tag = _tag(text[start + 2 : end])
        plain = plain and tag.inner is None
        pieces.append(tag)
        at = end + 2
    if at < len(text):
        pieces.append(text[at:])
    loose = any("{{" in one or "}}" in one or one[0] == "}" or one[-1] == "{" for one in pieces if isinstance(one, str))
    return Text(tuple(pieces), plain and not loose)


_short_parts = lru_cache(maxsize=4096)(_parts)


def _tag(raw: str) -> Tag:
    if raw.startswith("="):
        return Tag(raw, raw, expression=raw[1:])
    at = raw.rfind("{{")
    return Tag(raw, raw.strip(), inner=raw[at + 2 :] if at > 0 else None)


def tags(value: Any) -> Iterator[str]:
    """Every tag in every text of a value, trimmed, keys included; the inner one of nested ones."""
    if isinstance(value, str):
        if "{{" in value:
            for piece in parts(value).pieces:
                if isinstance(piece, Tag):
                    yield piece.name if piece.inner is None else piece.inner.strip()
    elif isinstance(value, dict):
        for key, inner in cast("dict[Any, Any]", value).items():
            yield from tags(key)
            yield from tags(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from tags(inner)


def sole_tag(text: str) -> str | None:
    """`x.y` for `{{x.y}}`, None for anything with more or less in it, and for expressions."""
    if not text.startswith("{{"):
        return None
    pieces = parts(text).pieces
    only = pieces[0] if len(pieces) == 1 else None
    return only.name if isinstance(only, Tag) and only.expression is None and "{{" not in only.raw else None


# --- one pass -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """What a pass knows and what it insists on. `strict` None: nothing; else which names must be known."""

    known: Variables
    strict: Callable[[str], bool] | None = None
    artifacts_may_wait: bool = True
    """`tasks.a.outputs.artifacts.m` may stay, though strict: artifacts are resolved apart."""
    absent_may_stay: bool = False
    """What has no value stays as it is written instead of being an error: the step will not run."""


def strict_words(*words: str) -> Callable[[str], bool]:
    """Strict is what starts with one of these, but for `steps.name` and `tasks.name`, which the callee fills in."""
    own = {f"{word}.name" for word in words}
    return lambda name: name.partition(".")[0] in words and name not in own


def _every(_name: str) -> bool:
    return True


def rule(
    lookup: Variables | Lookup | Mapping[str, Any], *, strict: tuple[str, ...] = (), all_strict: bool = False,
    absent_may_stay: bool = False,
) -> Rule:  # fmt: skip
    insists = _every if all_strict else strict_words(*strict) if strict else None
    return Rule(variables_of(lookup), insists, not all_strict, absent_may_stay)


def resolve(tag: Tag, rule: Rule) -> str | None:
    """What stands for a tag; None where it stays.

    Raises:
        Unresolved: it must be known and is not, or has no value.
    """
    if tag.raw.startswith(_MARK):
        return None
    if tag.expression is not None:
        return _as_data(_expression(tag.expression, rule))
    found = rule.known(tag.name)
    if found is None and tag.inner is not None:
        inner = _text_of(rule.known(tag.inner), tag, rule)
        if inner is not None:
            return "{{" + tag.raw[: -len(tag.inner) - 2] + inner
    waits = rule.artifacts_may_wait and ".outputs.artifacts." in tag.name
    if found is None and not waits and rule.strict is not None and rule.strict(tag.name):
        raise Unresolved(f"failed to resolve {{{{{tag.raw}}}}}")
    return _as_data(_text_of(found, tag, rule))


def _as_data(found: str | None) -> str | None:
    return None if found is None else inert(found)


def _text_of(found: Found, tag: Tag, rule: Rule) -> str | None:
    if found is not ABSENT:
        return found
    if rule.absent_may_stay:
        return None
    raise Unresolved(f"unable to substitute {{{{{tag.raw}}}}}: output is an absent optional "
                     "(skipped/omitted node with no default)")  # fmt: skip


def _expression(text: str, rule: Rule) -> str | None:
    try:
        found = evaluate_tag(text, rule.known, rule.strict)
    except ExpressionFailed as error:
        raise Unresolved(str(error)) from error
    if found is LEFT:
        return None
    return found if isinstance(found, str) else go_json(found, sort=True)


def render(text: Text, rule: Rule) -> str:
    out: list[str] = []
    for piece in text.pieces:
        if isinstance(piece, str):
            out.append(piece)
            continue
        found = resolve(piece, rule)
        out.append("{{" + piece.raw + "}}" if found is None else found)
    return "".join(out)


def replace(
    value: Any, lookup: Variables | Lookup | Mapping[str, Any], *, strict: tuple[str, ...] = (),
    all_strict: bool = False, absent_may_stay: bool = False,
) -> Any:  # fmt: skip
    """The value with the tags of every text in it replaced. Values without tags are returned, not copied.

    Raises:
        Unresolved: a tag under a `strict` word is unknown, a tag has no value, or an expression is none.
    """
    how = rule(lookup, strict=strict, all_strict=all_strict, absent_may_stay=absent_may_stay)
    return prepared(value).filled(lambda text: render(text, how))


# --- templates, taken apart once ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _List:
    value: list[Any]
    parts: Sequence[tuple[int, Text | _List | _Map]]


@dataclass(frozen=True, slots=True)
class _Map:
    value: dict[str, Any]
    keys: Mapping[str, Text]
    parts: Mapping[str, Text | _List | _Map]


_Part = Text | _List | _Map


@dataclass(frozen=True, slots=True)
class Prepared:
    """A value of which is known where its tags are. `part` None: there are none."""

    value: Any
    part: _Part | None

    def filled(self, fill: Callable[[Text], str]) -> Any:
        """A copy with what `fill` gives for each text that has tags; what has none is shared, not copied."""
        return self.value if self.part is None else _filled(self.part, fill)


def prepared(value: Any) -> Prepared:
    return Prepared(value, _part(value))


def _part(value: Any) -> _Part | None:
    if isinstance(value, str):
        return parts(value) if "{{" in value and "}}" in value else None
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        keys = {key: parts(key) for key in items if "{{" in key}
        found = {key: part for key, inner in items.items() if (part := _part(inner)) is not None}
        return _Map(items, keys, found) if keys or found else None
    if isinstance(value, list):
        inner = [(at, part) for at, one in enumerate(cast("list[Any]", value)) if (part := _part(one)) is not None]
        return _List(cast("list[Any]", value), inner) if inner else None
    return None


def _filled(part: _Part, fill: Callable[[Text], str]) -> Any:
    match part:
        case Text():
            return fill(part)
        case _List():
            items = list(part.value)
            for at, inner in part.parts:
                items[at] = _filled(inner, fill)
            return items
        case _Map():
            filled = {key: _filled(inner, fill) for key, inner in part.parts.items()}
            if not part.keys:
                return {**part.value, **filled}
            return {
                (fill(part.keys[key]) if key in part.keys else key): filled.get(key, value)
                for key, value in part.value.items()
            }
