"""`valueFrom.jsonPath` of a resource: kubectl's JSONPath templates.

    {.metadata.name}   {.data["a.b"]}   {range .items[*]}{.name}{"\\n"}{end}   {.list[?(@.n>1)].x}   {..name}

What a path leads to is written one after the other with spaces between; what is not there is nothing. Maps and lists
are JSON.

Source: https://kubernetes.io/docs/reference/kubectl/jsonpath/ and k8s.io/client-go/util/jsonpath.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from pipelines.core.naming import go_json, go_text
from retrain.errors import ConfigError

MAX_LENGTH = 8192
MAX_FOUND = 100_000
"""Values that one template may look at."""

_WORD = re.compile(r"(?:\\.|[^.\[\]\s{}()'\"\\,=<>!|&])+")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)
_SLICE = re.compile(r"(-?\d{0,9})\s*:\s*(-?\d{0,9})(?:\s*:\s*(-?\d{0,9}))?\Z", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_OPERATOR = re.compile(r"\s*(==|!=|<=|>=|<|>)\s*")

_Find = Callable[[Any], Iterator[Any]]


@dataclass(slots=True)
class _Path:
    steps: list[_Find] = field(default_factory=list)
    from_root: bool = False


@dataclass(slots=True)
class _Range:
    over: _Path
    parts: list[_Part] = field(default_factory=list)


_Part = str | _Path | _Range


@dataclass(frozen=True, slots=True)
class KubePath:
    """A template, compiled. Get one from `compile_kubepath`."""

    parts: Sequence[_Part]

    def render(self, document: Mapping[str, Any]) -> str:
        """What it writes for an object.

        Raises:
            ConfigError: it looks at too much.
        """
        return "".join(_render(self.parts, document, document, _Budget()))


@dataclass(slots=True)
class _Budget:
    left: int = MAX_FOUND

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ConfigError(f"a jsonPath may look at {MAX_FOUND} values")


@lru_cache(maxsize=256)
def compile_kubepath(text: str) -> KubePath:
    """Read a template.

    Raises:
        ConfigError: it is none.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"a jsonPath has {MAX_LENGTH} characters at most")
    return KubePath(_Reader(text).template())


def _render(parts: Sequence[_Part], here: Any, root: Any, budget: _Budget) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, _Path):
            yield " ".join(_text(value) for value in _found(part, here, root, budget))
        else:
            for value in _found(part.over, here, root, budget):
                yield from _render(part.parts, value, root, budget)


def _found(path: _Path, here: Any, root: Any, budget: _Budget) -> list[Any]:
    values = [root if path.from_root else here]
    for step in path.steps:
        following: list[Any] = []
        for value in values:
            for one in step(value):
                budget.spend()
                following.append(one)
        values = following
    return values


def _text(value: Any) -> str:
    if value is None:
        return ""
    return go_json(value) if isinstance(value, Mapping | list) else go_text(value)


# --- steps ----------------------------------------------------------------------------------------------------------


def _member(name: str) -> _Find:
    def find(value: Any) -> Iterator[Any]:
        if isinstance(value, Mapping) and name in value:
            yield cast("Mapping[str, Any]", value)[name]

    return find


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from cast("Mapping[str, Any]", value).values()
    elif isinstance(value, list):
        yield from cast("list[Any]", value)


def _below(value: Any) -> Iterator[Any]:
    stack: list[Any] = [value]
    while stack:
        one = stack.pop()
        yield one
        stack += reversed(list(_every(one)))


def _at(index: int) -> _Find:
    def find(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(cast("list[Any]", value)) <= index < len(cast("list[Any]", value)):
            yield value[index]

    return find


def _slice(start: str, end: str, step: str | None) -> _Find:
    cut = slice(int(start) if start else None, int(end) if end else None, int(step) if step else None)
    if cut.step is not None and cut.step <= 0:
        raise ConfigError("jsonPath: the step of a slice is a positive number")

    def find(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from cast("list[Any]", value)[cut]

    return find


def _union(steps: Sequence[_Find]) -> _Find:
    return lambda value: (one for step in steps for one in step(value))


def _filter(left: _Path, operator: str, right: _Path | Any) -> _Find:
    def holds(value: Any, root: Any) -> bool:
        found = _found(left, value, root, _Budget())
        if not operator:
            return bool(found)
        other = _found(right, value, root, _Budget()) if isinstance(right, _Path) else [right]
        return bool(found) and bool(other) and _compare(found[0], operator, other[0])

    return lambda value: (one for one in _every(value) if holds(one, value))


def _compare(left: Any, operator: str, right: Any) -> bool:
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (left, right))
    if operator in {"==", "!="}:
        return (left == right and (numbers or type(left) is type(right))) == (operator == "==")
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        return False
    return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[operator]


# --- reading --------------------------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def template(self) -> list[_Part]:
        parts: list[_Part] = []
        open_ranges: list[list[_Part]] = []
        while self._at < len(self._text):
            start = self._text.find("{", self._at)
            if start < 0:
                parts.append(self._text[self._at :])
                break
            if start > self._at:
                parts.append(self._text[self._at : start])
            self._at = start + 1
            parts = self._action(parts, open_ranges)
        if open_ranges:
            raise self._wrong("a {range} has no {end}")
        return parts

    def _action(self, parts: list[_Part], open_ranges: list[list[_Part]]) -> list[_Part]:
        """Read to the closing brace; where the parts that follow belong."""
        while True:
            self._space()
            if self._take("}"):
                return parts
            if self._word("range"):
                inner = _Range(self._path())
                parts.append(inner)
                open_ranges.append(parts)
                parts = inner.parts
            elif self._word("end"):
                if not open_ranges:
                    raise self._wrong("an {end} has no {range}")
                parts = open_ranges.pop()
            elif quoted := _QUOTED.match(self._text, self._at):
                self._at = quoted.end()
                parts.append(_unquoted(quoted[0]))
            else:
                parts.append(self._path())

    def _path(self) -> _Path:
        self._space()
        start = self._at
        path = _Path(from_root=self._take("$"))
        if not path.from_root:
            self._take("@")
        while self._at < len(self._text):
            if self._take(".."):
                path.steps.append(_below)
                if self._peek() not in "[*":
                    path.steps.append(self._name())
            elif self._take("."):
                if self._peek() not in "[}":
                    path.steps.append(self._name())
            elif self._take("["):
                path.steps.append(self._bracket())
            elif self._take("*"):
                path.steps.append(_every)
            else:
                break
        if start == self._at:
            raise self._wrong("a path such as {.metadata.name} was expected")
        return path

    def _name(self) -> _Find:
        if self._take("*"):
            return _every
        found = _WORD.match(self._text, self._at)
        if not found:
            raise self._wrong("a name was expected")
        self._at = found.end()
        return _member(re.sub(r"\\(.)", r"\1", found[0]))

    def _bracket(self) -> _Find:
        self._space()
        if self._take("?"):
            return self._condition()
        steps = [self._item()]
        while self._space() or self._take(","):
            steps.append(self._item())
        if not self._take("]"):
            raise self._wrong("']' was expected")
        return steps[0] if len(steps) == 1 else _union(steps)

    def _item(self) -> _Find:
        self._space()
        if self._take("*"):
            return _every
        if quoted := _QUOTED.match(self._text, self._at):
            self._at = quoted.end()
            return _member(_unquoted(quoted[0]))
        end = min((at for sign in ",]" if (at := self._text.find(sign, self._at)) >= 0), default=len(self._text))
        written, self._at = self._text[self._at : end].strip(), end
        if cut := _SLICE.match(written):
            return _slice(cut[1], cut[2], cut[3])
        if not re.fullmatch(r"-?\d{1,9}", written, re.ASCII):
            raise self._wrong(f"{written!r} is neither an index nor a quoted name")
        return _at(int(written))

    def _condition(self) -> _Find:
        self._space()
        if not self._take("("):
            raise self._wrong("'(' was expected")
        left = self._path()
        operator, right = "", None
        if found := _OPERATOR.match(self._text, self._at):
            self._at = found.end()
            operator, right = found[1], self._operand()
        self._space()
        if not (self._take(")") and self._take("]")):
            raise self._wrong("')]' was expected: one comparison is all that a filter can hold")
        return _filter(left, operator, right)

    def _operand(self) -> Any:
        if quoted := _QUOTED.match(self._text, self._at):
            self._at = quoted.end()
            return _unquoted(quoted[0])
        if number := _NUMBER.match(self._text, self._at):
            self._at = number.end()
            return json.loads(number[0])
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self._word(word):
                return value
        return self._path()

    def _space(self) -> bool:
        """Skip white space; always False, so that it can stand in a condition."""
        while self._peek().isspace():
            self._at += 1
        return False

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1] or "\0"

    def _take(self, wanted: str) -> bool:
        if self._text.startswith(wanted, self._at):
            self._at += len(wanted)
            return True
        return False

    def _word(self, wanted: str) -> bool:
        after = self._text[self._at + len(wanted) : self._at + len(wanted) + 1]
        return not (after.isalnum() or after == "_") and self._take(wanted)

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"jsonPath {self._text[:200]!r}, at {self._at + 1}: {what}")


def _unquoted(text: str) -> str:
    escapes = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda found: escapes.get(found[1], found[1]), text[1:-1], flags=re.DOTALL)
