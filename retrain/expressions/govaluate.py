"""The language of `when` in Argo Workflows: Knetic's govaluate, with bare words read as strings.

    evaluate("heads == tails")                     # False
    evaluate("(Failed in (Failed, Error)) && 3 > 2")   # True

Numbers are float64. A quoted text that is a date is that moment in seconds. `=~` and `!~` take RE2 patterns that may
match anywhere. Text is compiled once to closures, without access to anything but its own literals, so substituted text
can at worst be a wrong condition. Long or deep expressions are refused.

Source: https://github.com/Knetic/govaluate/blob/master/MANUAL.md and `shouldExecute` of Argo's steps controller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import re2

from retrain.errors import ConfigError

MAX_LENGTH = 64 * 1024
MAX_DEPTH = 30
MAX_OPERATORS = 200
"""But commas: a list may be as long as the text. Both limits keep us off Python's own limit of recursion."""

Value = float | str | bool | None | tuple["Value", ...]
Kind = Literal["number", "string", "word", "bool", "symbol", "("]
_Eval = Callable[[], Value]


class ExpressionError(ConfigError):
    """The text is no expression, or its values do not fit its operators."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Kind
    text: str
    value: Value = None


_COMPARATORS = ("==", "!=", ">", "<", ">=", "<=", "=~", "!~")
_MODIFIERS = ("+", "-", "*", "/", "%", "**", "&", "|", "^", ">>", "<<")
SYMBOLS = frozenset((*_COMPARATORS, *_MODIFIERS, "&&", "||", "!", "~", "?", ":", "??", ",", "(", ")"))
_PREFIX = frozenset("-!~")


def evaluate(text: str) -> bool:
    """Whether the condition holds; empty text holds.

    Raises:
        ExpressionError: with Argo's words.
    """
    if text == "":
        return True
    result = _compiled(text)()
    if not isinstance(result, bool):
        raise ExpressionError(f"Expected boolean evaluation for '{text}'. Got {_show(result)}")
    return result


@lru_cache(maxsize=1024)
def _compiled(text: str) -> _Eval:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"'when' expression is longer than {MAX_LENGTH} characters")
    try:
        tokens = _tokens(text)
        parser = _Parser(tokens)
        run = parser.whole()
    except ExpressionError as error:
        hint = ' (hint: try wrapping the affected expression in quotes ("))' if "Invalid token" in str(error) else ""
        raise ExpressionError(f"Invalid 'when' expression '{text}': {error}{hint}") from None

    def call() -> Value:
        try:
            return run()
        except ExpressionError as error:
            raise ExpressionError(f"Failed to evaluate 'when' expresion '{text}': {error}") from None

    return call


# --- tokens ---------------------------------------------------------------------------------------------------------


def _tokens(text: str) -> list[_Token]:
    out: list[_Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _token(text, at, after=out[-1] if out else None)
        out.append(token)
    return out


def _token(text: str, at: int, after: _Token | None) -> tuple[_Token, int]:
    char = text[at]
    if char.isdecimal():
        return _number(text, at)
    if char == "[":
        end = text.find("]", at)
        if end < 0:
            raise ExpressionError("Unclosed parameter bracket")
        return _Token("word", text[at + 1 : end], text[at + 1 : end]), end + 1
    if char.isalpha() or char == "_":
        return _word(text, at)
    if char in "'\"":
        return _quoted(text, at)
    if char in "()":
        return _Token("symbol", char), at + 1
    return _symbol(text, at, after)


def _run(text: str, at: int, belongs: Callable[[str], bool]) -> int:
    while at < len(text) and belongs(text[at]):
        at += 1
    return at


def _number(text: str, at: int) -> tuple[_Token, int]:
    if text[at : at + 2] in ("0x", "0X"):
        end = _run(text, at + 2, lambda c: c in "0123456789abcdefABCDEF")
        if end == at + 2:
            raise ExpressionError(f"Unable to parse hex value '{text[at:end]}' to uint64")
        return _Token("number", text[at:end], float(int(text[at:end], 16))), end
    end = _run(text, at, lambda c: c.isdecimal() or c == ".")
    try:
        return _Token("number", text[at:end], float(text[at:end])), end
    except ValueError:
        raise ExpressionError(f"Unable to parse numeric value '{text[at:end]}' to float64") from None


def _word(text: str, at: int) -> tuple[_Token, int]:
    end = _run(text, at, lambda c: c.isalnum() or c in "_.")
    word = text[at:end]
    if word in ("true", "false"):
        return _Token("bool", word, word == "true"), end
    if word in ("in", "IN"):
        return _Token("symbol", "in"), end
    if "." in word:
        _no_accessor(word)
    return _Token("word", word, word), end


def _no_accessor(word: str) -> None:
    """`a.B` reads a field in govaluate, and there is nothing to read from: a text with a dot must be quoted."""
    if word.endswith("."):
        raise ExpressionError(f"Hanging accessor on token '{word}'")
    for part in word.split(".")[1:]:
        if part[:1] != part[:1].upper():
            raise ExpressionError(f"Unable to access unexported field '{part}' in token '{word}'")
    raise ExpressionError(f"No parameter '{word.split('.')[0]}' found.")


def _quoted(text: str, at: int) -> tuple[_Token, int]:
    quote, out, end = text[at], [""], at + 1
    while end < len(text) and text[end] != quote:
        if text[end] == "\\" and end + 1 < len(text):
            end += 1
        out.append(text[end])
        end += 1
    if end >= len(text):
        raise ExpressionError("Unclosed string literal")
    value = "".join(out)
    moment = _moment(value)
    return _Token(
        "string" if moment is None else "number", text[at : end + 1], value if moment is None else moment
    ), end + 1


def _symbol(text: str, at: int, after: _Token | None) -> tuple[_Token, int]:
    end = _run(text, at, lambda c: not (c.isalnum() or c.isspace() or c in "()[]'\"_"))
    symbol = text[at : max(end, at + 1)]
    if _may_prefix(after) and symbol[0] in _PREFIX and symbol not in SYMBOLS:
        symbol = symbol[0]  # `!-1`: prefixes may touch each other
    if symbol not in SYMBOLS:
        raise ExpressionError(f"Invalid token: '{symbol}'")
    return _Token("symbol", symbol), at + len(symbol)


def _may_prefix(after: _Token | None) -> bool:
    return after is None or (after.kind == "symbol" and after.text != ")")


_DATES = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%dT%H:%M%z",
    "%Y-%m-%dT%H%z",
    "%a %b %d %H:%M:%S %Y",
    "%I:%M%p",
)


def _moment(text: str) -> float | None:
    """Seconds since 1970 if govaluate takes the text for a date (UTC where it names no zone)."""
    if not text[:1].isalnum() or not (":" in text or text.count("-") >= 2):
        return None
    for form in _DATES:
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is added below where the text has none
        except ValueError:
            continue
        if form == "%I:%M%p":
            moment = moment.replace(year=1)  # Go's Kitchen format has no day: year 0
        return float(math.floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))
    return None


# --- grammar --------------------------------------------------------------------------------------------------------

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

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._operators = 0

    def whole(self) -> _Eval:
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
        if token.text == ")":
            return ExpressionError("Unbalanced parenthesis")
        if self._at and self._tokens[self._at - 1].kind != "symbol":
            before = self._tokens[self._at - 1]
            return ExpressionError(f"Cannot transition token types from {_go(before)} to {_go(token)}")
        return ExpressionError(f"Unexpected token '{token.text}'")

    def _peek(self) -> str:
        """The symbol that comes next; empty where a value comes, or nothing."""
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        return token.text if token and token.kind == "symbol" else ""

    def _level(self, level: int) -> _Eval:
        if level == len(_LEVELS):
            return self._unary()
        if level == 0:
            return self._list()
        left = self._level(level + 1)
        while (symbol := self._peek()) in _LEVELS[level]:
            self._at += 1
            self._operators += 1
            if self._operators > MAX_OPERATORS:
                raise ExpressionError(f"expression has more than {MAX_OPERATORS} operators")
            left = _binary(symbol, left, self._level(level + 1))
        return left

    def _list(self) -> _Eval:
        items = [self._level(1)]
        while self._peek() == ",":
            self._at += 1
            items.append(self._level(1))
        return items[0] if len(items) == 1 else lambda: tuple(item() for item in items)

    def _unary(self) -> _Eval:
        prefixes: list[str] = []
        while (symbol := self._peek()) in _PREFIX and symbol:
            prefixes.append(symbol)
            self._at += 1
            if len(prefixes) > MAX_DEPTH:
                raise ExpressionError("expression is nested too deep")
        run = self._value()
        for symbol in reversed(prefixes):
            run = _prefixed(symbol, run)
        return run

    def _value(self) -> _Eval:
        if self._peek() == "(":
            return self._clause()
        if self._at >= len(self._tokens) or self._tokens[self._at].kind == "symbol":
            raise self._unexpected()
        value = self._tokens[self._at].value
        self._at += 1
        return lambda: value

    def _clause(self) -> _Eval:
        self._at += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError("expression is nested too deep")
        run = self._level(0)
        if self._peek() != ")":
            raise ExpressionError("Unbalanced parenthesis")
        self._at += 1
        self._depth -= 1
        return run


def _go(token: _Token) -> str:
    names = {"number": "NUMERIC", "string": "STRING", "word": "VARIABLE", "bool": "BOOLEAN"}
    return f"{names.get(token.kind, 'COMPARATOR')} [{_show(token.value) if token.value is not None else token.text}]"


def _show(value: Value) -> str:
    """As Go's %v."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    if isinstance(value, tuple):
        return "[" + " ".join(_show(v) for v in value) + "]"
    return "<nil>" if value is None else str(value)


# --- operators ------------------------------------------------------------------------------------------------------


def _prefixed(symbol: str, run: _Eval) -> _Eval:
    def call() -> Value:
        value = run()
        if symbol == "!":
            return not _as_bool(value, "prefix", "!")
        number = _as_number(value, "prefix", symbol)
        return -number if symbol == "-" else float(~int(number))

    return call


def _as_number(value: Value, what: str, symbol: str) -> float:
    if isinstance(value, bool) or not isinstance(value, float):
        raise ExpressionError(f"Value '{_show(value)}' cannot be used with the {what} '{symbol}', it is not a number")
    return value


def _as_bool(value: Value, what: str, symbol: str) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"Value '{_show(value)}' cannot be used with the {what} '{symbol}', it is not a bool")
    return value


def _binary(symbol: str, left: _Eval, right: _Eval) -> _Eval:
    if symbol in _LAZY:
        return _LAZY[symbol](left, right)
    operator = _EAGER[symbol]
    return lambda: operator(left(), right())


def _and(left: _Eval, right: _Eval) -> _Eval:
    return lambda: left() is not False and _both(left(), right(), "&&") == (True, True)


def _or(left: _Eval, right: _Eval) -> _Eval:
    return lambda: left() is True or _both(left(), right(), "||") != (False, False)


def _both(left: Value, right: Value, symbol: str) -> tuple[bool, bool]:
    return _as_bool(left, "logical operator", symbol), _as_bool(right, "logical operator", symbol)


def _if(left: _Eval, right: _Eval) -> _Eval:
    return lambda: right() if _as_bool(left(), "ternary operator", "?") else None


def _else(left: _Eval, right: _Eval) -> _Eval:
    def call() -> Value:
        value = left()
        return right() if value is None else value

    return call


_LAZY: dict[str, Callable[[_Eval, _Eval], _Eval]] = {"&&": _and, "||": _or, "?": _if, ":": _else, "??": _else}


def _same(left: Value, right: Value) -> bool:
    return type(left) is type(right) and left == right


def _in(left: Value, right: Value) -> bool:
    if not isinstance(right, tuple):
        raise ExpressionError(f"Value '{_show(right)}' cannot be used with the comparator 'in', it is not an array")
    return any(_same(left, item) for item in right)


def _compare(symbol: str, test: Callable[[int], bool]) -> Callable[[Value, Value], bool]:
    def call(left: Value, right: Value) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return test((left > right) - (left < right))
        pair = _as_number(left, "comparator", symbol), _as_number(right, "comparator", symbol)
        return test((pair[0] > pair[1]) - (pair[0] < pair[1]))

    return call


def _match(symbol: str) -> Callable[[Value, Value], bool]:
    def call(left: Value, right: Value) -> bool:
        for value in (left, right):
            if not isinstance(value, str):
                raise ExpressionError(
                    f"Value '{_show(value)}' cannot be used with the comparator '{symbol}', it is not a string"
                )
        try:
            found = re2.search(str(right), str(left)) is not None
        except re2.error as error:
            raise ExpressionError(f"Unable to compile regexp pattern '{right}': {error}") from None
        return found == (symbol == "=~")

    return call


def _plus(left: Value, right: Value) -> Value:
    if isinstance(left, str) or isinstance(right, str):
        return _show(left) + _show(right)
    return _as_number(left, "modifier", "+") + _as_number(right, "modifier", "+")


def _divide(left: float, right: float) -> float:
    if right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left)
    return left / right


def _power(left: float, right: float) -> float:
    try:
        result = left**right
    except OverflowError:
        return math.inf
    except ZeroDivisionError:
        return math.inf
    return result if isinstance(result, float) else math.nan


def _shift(value: float, by: float, sign: int) -> float:
    bits = int(by) * sign
    if not 0 <= abs(bits) < 64:
        return 0.0
    return float(int(value) << bits if bits >= 0 else int(value) >> -bits)


def _arithmetic(symbol: str, function: Callable[[float, float], float]) -> Callable[[Value, Value], Value]:
    def call(left: Value, right: Value) -> Value:
        pair = _as_number(left, "modifier", symbol), _as_number(right, "modifier", symbol)
        try:
            return function(*pair)
        except (ValueError, OverflowError):  # int() of NaN or infinity
            return math.nan

    return call


_EAGER: dict[str, Callable[[Value, Value], Value]] = {
    "==": _same,
    "!=": lambda left, right: not _same(left, right),
    "<": _compare("<", lambda order: order < 0),
    "<=": _compare("<=", lambda order: order <= 0),
    ">": _compare(">", lambda order: order > 0),
    ">=": _compare(">=", lambda order: order >= 0),
    "=~": _match("=~"),
    "!~": _match("!~"),
    "in": _in,
    "+": _plus,
    "-": _arithmetic("-", lambda a, b: a - b),
    "*": _arithmetic("*", lambda a, b: a * b),
    "/": _arithmetic("/", _divide),
    "%": _arithmetic("%", lambda a, b: math.fmod(a, b) if b else math.nan),
    "**": _arithmetic("**", _power),
    "&": _arithmetic("&", lambda a, b: float(int(a) & int(b))),
    "|": _arithmetic("|", lambda a, b: float(int(a) | int(b))),
    "^": _arithmetic("^", lambda a, b: float(int(a) ^ int(b))),
    "<<": _arithmetic("<<", lambda a, b: _shift(a, b, 1)),
    ">>": _arithmetic(">>", lambda a, b: _shift(a, b, -1)),
}
