"""Trigger conditions: `(features && labels) || force`, over the names of dependencies.

Upstream knows `&&`, `||` and parentheses, and takes `a-b` and `a_b` for the same; here a name is a name. `!` is ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from retrain.errors import ConfigError

MAX_LENGTH = 16 * 1024
MAX_DEPTH = 64
"""Parentheses and `!` inside each other. Keeps evaluation off Python's own limit of recursion."""

Test = Callable[[Collection[str]], bool]

_TOKEN = re.compile(r"\s*(?:(?P<symbol>&&|\|\||[!()])|(?P<name>[^\s&|!()]+)|(?P<wrong>\S))")
_PRECEDENCE = {"||": 1, "&&": 2}


class ConditionError(ConfigError):
    """The text is no condition."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, compiled. `names` are in order of their first use, `negated` those that stand behind a `!`.

    `joins`: it can need more than one dependency at a time, so what has come must be remembered.
    """

    text: str
    names: tuple[str, ...]
    negated: frozenset[str]
    joins: bool
    test: Test

    def holds(self, have: Collection[str]) -> bool:
        """Whether it is true when exactly these dependencies have come."""
        return self.test(have)

    def need(self, have: Collection[str]) -> list[str]:
        """Names that have not come and each of which is part of what it waits for."""
        return [name for name in self.names if name not in have and name not in self.negated]


def all_of(names: Collection[str]) -> Condition:
    """The condition where a trigger has none: every dependency."""
    wanted = tuple(dict.fromkeys(names))
    test = _all([_name(name) for name in wanted])
    return Condition(" && ".join(wanted), wanted, frozenset(), len(wanted) > 1, test)


def compile_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        ConditionError: it is empty, too long or too deep, or something is missing or in the wrong place.
    """
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"a condition has {MAX_LENGTH} characters at most, this has {len(text)}")
    reader = _Reader(text)
    test = reader.read()
    joins = "&&" in text or bool(reader.negated)
    return Condition(text, tuple(reader.names), frozenset(reader.negated), joins, test)


class _Reader:
    """Operands and operators on two stacks: linear, and no recursion over the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._operands: list[tuple[str, list[Test]]] = []
        self._operators: list[str] = []
        self.names: dict[str, None] = {}
        self.negated: set[str] = set()
        self._depth = 0

    def read(self) -> Test:
        expects_operand = True
        for at, symbol, name in _tokens(self._text):
            expects_operand = self._take(at, symbol, name, expects_operand)
        if expects_operand:
            raise ConditionError(f"condition {self._text!r} ends where a dependency should follow")
        while self._operators:
            if self._operators[-1] == "(":
                raise ConditionError(f"condition {self._text!r}: a ')' is missing")
            self._apply()
        return _join(*self._operands.pop())

    def _take(self, at: int, symbol: str, name: str, expects_operand: bool) -> bool:
        """Take one token; whether an operand must follow."""
        if expects_operand != (bool(name) or symbol in ("(", "!")):
            wanted = "a dependency" if expects_operand else "'&&', '||' or ')'"
            raise ConditionError(f"condition {self._text!r}: {wanted} must stand at column {at + 1}")
        if name:
            self._operand(name)
            return False
        if symbol in ("(", "!"):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ConditionError(f"condition {self._text[:60]!r}... is nested deeper than {MAX_DEPTH}")
            self._operators.append(symbol)
            return True
        if symbol == ")":
            self._close(at)
            return False
        while self._operators and _PRECEDENCE.get(self._operators[-1], 0) >= _PRECEDENCE[symbol]:
            self._apply()
        self._operators.append(symbol)
        return True

    def _operand(self, name: str) -> None:
        self.names[name] = None
        if sum(op == "!" for op in self._operators) % 2:
            self.negated.add(name)
        self._operands.append(("", [_name(name)]))
        self._negate()

    def _close(self, at: int) -> None:
        while self._operators and self._operators[-1] != "(":
            self._apply()
        if not self._operators:
            raise ConditionError(f"condition {self._text!r}: the ')' at column {at + 1} closes nothing")
        self._operators.pop()
        self._depth -= 1
        self._operands.append(("", [_join(*self._operands.pop())]))
        self._negate()

    def _negate(self) -> None:
        while self._operators and self._operators[-1] == "!":
            self._operators.pop()
            self._depth -= 1
            self._operands.append(("", [_not(_join(*self._operands.pop()))]))

    def _apply(self) -> None:
        operator = self._operators.pop()
        right, left = self._operands.pop(), self._operands.pop()
        tests = left[1] if left[0] == operator else [_join(*left)]
        # A chain of one operator stays one list, so that its length is no depth.
        tests.append(_join(*right))
        self._operands.append((operator, tests))


def _tokens(text: str) -> Iterator[tuple[int, str, str]]:
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match["wrong"]:
            at = match.start("wrong") if match else position
            raise ConditionError(f"condition {text!r}: {text[at]!r} at column {at + 1}; write '&&' and '||'")
        kind = "symbol" if match["symbol"] else "name"
        yield match.start(kind), match["symbol"] or "", match["name"] or ""
        position = match.end()


def _name(name: str) -> Test:
    return lambda have: name in have


def _not(test: Test) -> Test:
    return lambda have: not test(have)


def _all(tests: list[Test]) -> Test:
    return lambda have: all(test(have) for test in tests)


def _any(tests: list[Test]) -> Test:
    return lambda have: any(test(have) for test in tests)


def _join(operator: str, tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return _all(list(tests)) if operator == "&&" else _any(list(tests))
