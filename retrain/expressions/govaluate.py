"""Knetic's govaluate: the language of `filters.exprs` in Argo Events, and of `when` in Argo Workflows.

    compile_govaluate("size > 10 && [my-name] =~ '^a'").evaluate({"size": 11, "my-name": "abc"})   # True
    evaluate("heads == tails")                         # `when`: bare words are texts. False
    evaluate("(Failed in (Failed, Error)) && 3 > 2")   # True

Numbers are float64. A quoted text that is a date is that moment in seconds, so it cannot be compared with a text. `=~`
and `!~` take RE2 patterns that may match anywhere. There are no functions and no fields of values (`a.B`). Text is
compiled once to closures over its literals and the given values, so substituted text can at worst be a wrong condition.
Long or deep expressions are refused.

Source: https://github.com/Knetic/govaluate/blob/master/MANUAL.md, `shouldExecute` of Argo's steps controller and
`filterExpr` of Argo Events
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from retrain.events import JsonValue
from retrain.expressions.govaluate_operators import (
    Eval,
    Value,
    array,
    binary,
    literal,
    matching,
    parameter,
    prefixed,
    show,
)
from retrain.expressions.govaluate_tokens import PREFIXES, ExpressionError, Token, tokens

__all__ = ["ExpressionError", "Govaluate", "compile_govaluate", "evaluate"]

MAX_LENGTH = 64 * 1024
MAX_DEPTH = 30
MAX_OPERATORS = 200
"""But commas: a list may be as long as the text. Both limits keep us off Python's own limit of recursion."""


@dataclass(frozen=True, slots=True)
class Govaluate:
    """An expression over parameters."""

    text: str
    names: tuple[str, ...]
    """The parameters that it names, each once, in the order of the text."""
    _run: Eval

    def evaluate(self, values: Mapping[str, JsonValue]) -> JsonValue:
        """Its value; a number is a float, an array a list.

        Raises:
            ExpressionError: a parameter is missing that is needed, or a value does not fit its operator.
        """
        try:
            return _json(self._run(values))
        except RecursionError:
            raise ExpressionError("a parameter is nested too deep") from None


def _json(value: Value) -> JsonValue:
    return [_json(one) for one in value] if isinstance(value, tuple) else value


@lru_cache(maxsize=1024)
def compile_govaluate(text: str) -> Govaluate:
    """
    Raises:
        ExpressionError: with the offset in the text, and govaluate's words.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression is longer than {MAX_LENGTH} characters")
    try:
        words = tokens(text)
        run = _Parser(words, parameters=True).whole()
    except ExpressionError as error:
        where = len(text) if error.at is None else error.at
        raise ExpressionError(f"expression '{text}', offset {where}: {error}", where) from None
    return Govaluate(text, tuple(dict.fromkeys(word.text for word in words if word.kind == "word")), run)


def evaluate(text: str) -> bool:
    """Whether the condition of a `when` holds; empty text holds.

    Raises:
        ExpressionError: with Argo's words.
    """
    if text == "":
        return True
    result = _compiled(text)
    try:
        value = result({})
    except ExpressionError as error:
        raise ExpressionError(f"Failed to evaluate 'when' expresion '{text}': {error}") from None
    if not isinstance(value, bool):
        raise ExpressionError(f"Expected boolean evaluation for '{text}'. Got {show(value)}")
    return value


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Eval:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"'when' expression is longer than {MAX_LENGTH} characters")
    try:
        return _Parser(tokens(text), parameters=False).whole()
    except ExpressionError as error:
        hint = ' (hint: try wrapping the affected expression in quotes ("))' if "Invalid token" in str(error) else ""
        raise ExpressionError(f"Invalid 'when' expression '{text}': {error}{hint}") from None


_LEVELS: tuple[frozenset[str], ...] = (
    frozenset({","}),
    frozenset({"?", ":", "??"}),
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"==", "!=", ">", "<", ">=", "<=", "=~", "!~", "in"}),
    frozenset({"&", "|", "^"}),
    frozenset({">>", "<<"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
    frozenset({"**"}),
)


class _Parser:
    """Recursive descent over `_LEVELS`, loosest first; each level is left-associative."""

    def __init__(self, words: Sequence[Token], *, parameters: bool) -> None:
        """With `parameters`, a word is the name of one; else it is a text."""
        self._tokens = words
        self._parameters = parameters
        self._at = 0
        self._depth = 0
        self._operators = 0

    def whole(self) -> Eval:
        if not self._tokens:
            raise ExpressionError("Unexpected end of expression")
        run = self._level(0)
        if self._at < len(self._tokens):
            raise self._unexpected()
        return run

    def _unexpected(self) -> ExpressionError:
        if self._at >= len(self._tokens):
            return ExpressionError("Unexpected end of expression")
        token = self._tokens[self._at]
        if token.kind == "symbol" and token.text == ")":
            return ExpressionError("Unbalanced parenthesis", token.at)
        before = self._tokens[self._at - 1] if self._at else None
        if before and before.kind == "word" and (token.kind, token.text) == ("symbol", "("):
            return ExpressionError(f"Undefined function {before.text}", before.at)
        if before and before.kind != "symbol":
            return ExpressionError(f"Cannot transition token types from {_go(before)} to {_go(token)}", token.at)
        return ExpressionError(f"Unexpected token '{token.text}'", token.at)

    def _peek(self) -> str:
        """The symbol that comes next; empty where a value comes, or nothing."""
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        return token.text if token and token.kind == "symbol" else ""

    def _level(self, level: int) -> Eval:
        if level == len(_LEVELS):
            return self._unary()
        if level == 0:
            return self._list()
        left = self._level(level + 1)
        while (symbol := self._peek()) in _LEVELS[level]:
            self._at += 1
            self._operators += 1
            if self._operators > MAX_OPERATORS:
                raise ExpressionError(
                    f"expression has more than {MAX_OPERATORS} operators", self._tokens[self._at - 1].at
                )
            left = self._binary(symbol, left, level + 1)
        return left

    def _binary(self, symbol: str, left: Eval, level: int) -> Eval:
        start = self._at
        right = self._level(level)
        if symbol in ("=~", "!~") and self._at == start + 1:
            token = self._tokens[start]
            if token.kind == "string" or (token.kind == "word" and not self._parameters):
                return matching(symbol, left, str(token.value))
        return binary(symbol, left, right)

    def _list(self) -> Eval:
        items = [self._level(1)]
        while self._peek() == ",":
            self._at += 1
            items.append(self._level(1))
        return items[0] if len(items) == 1 else array(items)

    def _unary(self) -> Eval:
        prefixes: list[str] = []
        while (symbol := self._peek()) in PREFIXES:
            prefixes.append(symbol)
            self._at += 1
            if len(prefixes) > MAX_DEPTH:
                raise ExpressionError("expression is nested too deep", self._tokens[self._at - 1].at)
        run = self._value()
        for symbol in reversed(prefixes):
            run = prefixed(symbol, run)
        return run

    def _value(self) -> Eval:
        if self._peek() == "(":
            return self._clause()
        if self._at >= len(self._tokens) or self._tokens[self._at].kind == "symbol":
            raise self._unexpected()
        token = self._tokens[self._at]
        self._at += 1
        if token.kind == "word" and self._parameters:
            return parameter(token.text, token.at)
        return literal(token.value)

    def _clause(self) -> Eval:
        self._at += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError("expression is nested too deep", self._tokens[self._at - 1].at)
        run = self._level(0)
        if self._peek() != ")":
            raise self._unexpected() if self._at < len(self._tokens) else ExpressionError("Unbalanced parenthesis")
        self._at += 1
        self._depth -= 1
        return run


def _go(token: Token) -> str:
    names = {"number": "NUMERIC", "string": "STRING", "word": "VARIABLE", "bool": "BOOLEAN"}
    return f"{names.get(token.kind, 'COMPARATOR')} [{show(token.value) if token.value is not None else token.text}]"
