"""expr-lang: `jsonpath(document, path)`, as Argo's expressions have it.

    $.a.b[0]   $['a']["b"]   $..name   $.list[*].x   $.list[1:3]   $.list[-1]   $.list[0,2]   $.list[?(@.n > 1 && @.ok)]

A path that can lead to one place only gives that value, and it is an error if there is nothing; any other gives the
list of all that it finds. In filters there are comparisons of `@` paths with each other or with literals, joined by
`&&` or `||` without brackets. Script expressions `(...)` are refused.

Source: https://goessner.net/articles/JsonPath/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn, cast

from retrain.expressions.expr.arithmetic import equal
from retrain.expressions.expr.frame import MAX_VALUE_DEPTH, Frame
from retrain.expressions.expr.tokens import ExprError, Token, tokens
from retrain.expressions.expr.values import is_number

MAX_PATH = 4096
"""Characters of a path."""
MAX_PARTS = 50

_PLAIN = re.compile(r"[^.\[\]\s()'\"*?]+")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_SLICE = re.compile(r"\s*(-?\d*)\s*:\s*(-?\d*)\s*(?::\s*(-?\d*)\s*)?", re.ASCII)
_STEP = re.compile(r"\.[\w$-]+|\[\s*(?:-?\d{1,18}|'[^']*'|\"[^\"]*\")\s*\]", re.ASCII)
"""A part of a path in a filter."""
_WORD = re.compile(r"-?[\w.]+", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)

_Find = Callable[[Frame, object, object], Iterator[object]]
"""(frame, value, root) to what is one part further."""


@dataclass(frozen=True, slots=True)
class _Part:
    find: _Find
    definite: bool
    text: str


def query(frame: Frame, document: object, path: str) -> object:
    """What a path leads to.

    Raises:
        ExprError: it is no path, or a path to one place leads nowhere.
    """
    parts = _compiled(path)
    found = [document]
    for part in parts:
        found = [item for value in found for item in _counted(frame, part.find(frame, value, document))]
        if not found and all(other.definite for other in parts):
            raise ExprError(f"jsonpath {path[:100]!r}: there is no {part.text}")
    return found[0] if all(part.definite for part in parts) else found


def _counted(frame: Frame, items: Iterator[object]) -> Iterator[object]:
    for item in items:
        frame.room(1)
        frame.spend(1)
        yield item


@lru_cache(maxsize=512)
def _compiled(path: str) -> tuple[_Part, ...]:
    if len(path) > MAX_PATH:
        raise ExprError(f"a jsonpath of more than {MAX_PATH} characters")
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):  # as kubectl writes it
        text = text[1:-1].strip()
    parts, at = _parts(text, 1 if text.startswith(("$", "@")) else 0, path)
    if at < len(text):
        _refuse(path, at, text)
    return tuple(parts)


def _refuse(path: str, at: int, text: str) -> NoReturn:
    raise ExprError(f"jsonpath {path[:100]!r}: unexpected {text[at : at + 10]!r} at {at + 1}")


def _parts(text: str, at: int, path: str) -> tuple[list[_Part], int]:
    """The parts from `at` on, as far as they go."""
    parts: list[_Part] = []
    while at < len(text):
        before = at
        if text.startswith("..", at):
            parts.append(_Part(_descendants, False, "descendant"))
            at += 2
            part, at = _bracket(text, at, path) if text.startswith("[", at) else _dotted(text, at, path)
        elif text[at] == "[":
            part, at = _bracket(text, at, path)
        elif text[at] == "." or (at == 0 and _PLAIN.match(text, at)):
            part, at = _dotted(text, at + (text[at] == "."), path)
        else:
            return parts, before
        parts.append(part)
        if len(parts) > MAX_PARTS:
            raise ExprError(f"a jsonpath of more than {MAX_PARTS} parts")
    return parts, at


def _dotted(text: str, at: int, path: str) -> tuple[_Part, int]:
    if text.startswith("*", at):
        return _Part(_children, False, "child"), at + 1
    found = _PLAIN.match(text, at)
    if found is None:
        _refuse(path, at, text)
    return _key(found.group()), found.end()


def _bracket(text: str, at: int, path: str) -> tuple[_Part, int]:
    inside = at + 1
    if text.startswith("?", inside):
        return _filter(text, inside + 1, path)
    choices: list[_Part] = []
    while True:
        choice, inside = _choice(text, _space(text, inside), path)
        choices.append(choice)
        inside = _space(text, inside)
        if not text.startswith(",", inside):
            break
        inside += 1
    if not text.startswith("]", inside):
        _refuse(path, inside, text)
    return (choices[0] if len(choices) == 1 else _union(choices)), inside + 1


def _space(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _choice(text: str, at: int, path: str) -> tuple[_Part, int]:
    if text.startswith("*", at):
        return _Part(_children, False, "child"), at + 1
    if found := _QUOTED.match(text, at):
        raw = found[1] if found[1] is not None else found[2]
        return _key(re.sub(r"\\(.)", r"\1", raw, flags=re.DOTALL)), found.end()
    if (found := _SLICE.match(text, at)) and all(len(bound or "") < 19 for bound in found.groups()):
        return _slice(*(int(bound) if bound and bound != "-" else None for bound in found.groups())), found.end()
    if found := _INTEGER.match(text, at):
        return _index(int(found.group())), found.end()
    _refuse(path, at, text)


# --- parts ----------------------------------------------------------------------------------------------------------


def _key(name: str) -> _Part:
    def find(_: Frame, value: object, __: object) -> Iterator[object]:
        if isinstance(value, dict) and name in value:
            yield cast("dict[str, object]", value)[name]
        elif isinstance(value, list) and _INTEGER.fullmatch(name):
            yield from _index(int(name)).find(_, cast("object", value), __)

    return _Part(find, True, f"key {name!r}")


def _index(at: int) -> _Part:
    def find(_: Frame, value: object, __: object) -> Iterator[object]:
        if isinstance(value, list):
            items = cast("list[object]", value)
            if -len(items) <= at < len(items):
                yield items[at]

    return _Part(find, True, f"index {at}")


def _slice(start: int | None, end: int | None = None, step: int | None = None) -> _Part:
    if step == 0:
        raise ExprError("jsonpath: the step of a slice cannot be 0")

    def find(frame: Frame, value: object, _: object) -> Iterator[object]:
        if isinstance(value, list):
            items = cast("list[object]", value)[start:end:step]
            frame.room(len(items))
            yield from items

    return _Part(find, False, "slice")


def _union(choices: list[_Part]) -> _Part:
    def find(frame: Frame, value: object, root: object) -> Iterator[object]:
        for choice in choices:
            yield from choice.find(frame, value, root)

    return _Part(find, False, "choice")


def _children(frame: Frame, value: object, _: object) -> Iterator[object]:
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        frame.spend(len(entries))
        yield from entries.values()
    elif isinstance(value, list):
        frame.spend(len(cast("list[object]", value)))
        yield from cast("list[object]", value)


def _descendants(frame: Frame, value: object, _: object) -> Iterator[object]:
    """The value, and all that is in it, each before what is in it."""
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        current, depth = waiting.pop()
        if depth > MAX_VALUE_DEPTH:
            raise ExprError(f"a value is nested deeper than {MAX_VALUE_DEPTH}")
        yield current
        below = list(_children(frame, current, None))
        waiting.extend((item, depth + 1) for item in reversed(below) if isinstance(item, dict | list))


# --- filters --------------------------------------------------------------------------------------------------------

_Operand = Callable[[Frame, object, object], tuple[bool, object]]
"""(frame, @, $) to (whether it is there, value)."""

_Test = Callable[[Frame, object, object], bool]

_COMPARE: dict[str, Callable[[Frame, object, object], bool]] = {
    "==": equal,
    "!=": lambda frame, a, b: not equal(frame, a, b),
    "<": lambda _, a, b: _ordered(a, b) < 0,
    ">": lambda _, a, b: _ordered(a, b) == 1,
    "<=": lambda _, a, b: _ordered(a, b) <= 0,
    ">=": lambda _, a, b: _ordered(a, b) in (0, 1),
}


def _ordered(left: object, right: object) -> float:
    """-1, 0 or 1; NaN, which compares with nothing, where the two have no order."""
    if (type(left) is str and type(right) is str) or (is_number(left) and is_number(right)):
        a, b = cast("float", left), cast("float", right)
        return (a > b) - (a < b)
    return float("nan")


def _filter(text: str, at: int, path: str) -> tuple[_Part, int]:
    """`[?(...)]`, from behind the question mark."""
    at = _literally("(", text, at, path)
    tests: list[list[_Test]] = [[]]
    while True:
        test, at = _test(text, _space(text, at), path)
        tests[-1].append(test)
        at = _space(text, at)
        if text.startswith("||", at):
            tests.append([])
        elif not text.startswith("&&", at):
            break
        at += 2
    at = _literally("]", text, _literally(")", text, at, path), path)

    work = sum(map(len, tests))

    def passes(frame: Frame, value: object, root: object) -> bool:
        frame.spend(work)
        return any(all(test(frame, value, root) for test in group) for group in tests)

    def find(frame: Frame, value: object, root: object) -> Iterator[object]:
        for child in _children(frame, value, None):
            if passes(frame, child, root):
                yield child

    return _Part(find, False, "match"), at


def _literally(mark: str, text: str, at: int, path: str) -> int:
    at = _space(text, at)
    if not text.startswith(mark, at):
        _refuse(path, at, text)
    return at + 1


def _test(text: str, at: int, path: str) -> tuple[_Test, int]:
    if text.startswith("!", at):
        inner, at = _test(text, _space(text, at + 1), path)
        return (lambda frame, value, root: not inner(frame, value, root)), at
    left, at = _operand(text, at, path)
    at = _space(text, at)
    op = next((op for op in ("==", "!=", "<=", ">=", "<", ">") if text.startswith(op, at)), None)
    if op is None:
        return (lambda frame, value, root: left(frame, value, root)[0]), at
    right, at = _operand(text, _space(text, at + len(op)), path)
    compare = _COMPARE[op]

    def test(frame: Frame, value: object, root: object) -> bool:
        (here, a), (there, b) = left(frame, value, root), right(frame, value, root)
        return compare(frame, a, b) if here and there else (op == "!=") if here or there else op == "=="

    return test, at


def _operand(text: str, at: int, path: str) -> tuple[_Operand, int]:
    if text[at : at + 1] in ("@", "$"):
        of_root = text[at] == "$"
        parts, end = _operand_path(text, at + 1, path)
        return _reader(parts, of_root), end
    literal, end = _literal(text, at, path)
    return (lambda _, __, ___: (True, literal)), end


def _operand_path(text: str, at: int, path: str) -> tuple[list[_Part], int]:
    end = at
    parts: list[_Part] = []
    while end < len(text) and text[end] in ".[":
        found = _STEP.match(text, end)
        if found is None or len(parts) >= MAX_PARTS:
            _refuse(path, end, text)
        inner, _ = _parts(found.group(), 0, path)
        parts += inner
        end = found.end()
    return parts, end


def _reader(parts: list[_Part], of_root: bool) -> _Operand:
    def read(frame: Frame, value: object, root: object) -> tuple[bool, object]:
        current = root if of_root else value
        for part in parts:
            found = list(part.find(frame, current, root))
            if not found:
                return False, None
            current = found[0]
        return True, current

    return read


def _literal(text: str, at: int, path: str) -> tuple[object, int]:
    found = _QUOTED.match(text, at) or _WORD.match(text, at)
    if found is None:
        _refuse(path, at, text)
    word = found.group()
    if word in ("true", "false", "null", "nil"):
        return {"true": True, "false": False}.get(word), found.end()
    minus = word.startswith("-")
    token: Token = tokens(word[1:] if minus else word)[0]
    if token.kind == "string":
        return token.value, found.end()
    if token.kind in ("int", "float") and isinstance(token.value, int | float):
        return (-token.value if minus else token.value), found.end()
    return _refuse(path, at, text)
