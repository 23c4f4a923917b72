"""The words of govaluate: numbers, texts, dates, names, symbols.

Source: `parsing.go` of https://github.com/Knetic/govaluate
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

from retrain.errors import ConfigError

_COMPARATORS = ("==", "!=", ">", "<", ">=", "<=", "=~", "!~")
_MODIFIERS = ("+", "-", "*", "/", "%", "**", "&", "|", "^", ">>", "<<")
SYMBOLS = frozenset((*_COMPARATORS, *_MODIFIERS, "&&", "||", "!", "~", "?", ":", "??", ",", "(", ")"))
PREFIXES = frozenset("-!~")


class ExpressionError(ConfigError):
    """The text is no expression, or its values do not fit its operators. `at` is an offset into the text, if known."""

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True, slots=True)
class Token:
    """`value` of a number, a text (a date is a number) or a bool; a word is a name, and `value` how it is spelled."""

    kind: Literal["number", "string", "word", "bool", "symbol"]
    text: str
    at: int
    value: float | str | bool | None = None


def tokens(text: str) -> list[Token]:
    """Raises ExpressionError with govaluate's words."""
    out: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            token, at = _token(text, at, after=out[-1] if out else None)
        except ExpressionError as error:
            raise ExpressionError(str(error), at) from None
        out.append(token)
    return out


def _token(text: str, at: int, after: Token | None) -> tuple[Token, int]:
    char = text[at]
    if char.isdecimal() or char == ".":
        return _number(text, at)
    if char == "[":
        return _bracketed(text, at)
    if char.isalpha() or char == "_":
        return _word(text, at)
    if char in "'\"":
        return _quoted(text, at)
    if char in "(),":
        return Token("symbol", char, at), at + 1
    return _symbol(text, at, after)


def _run(text: str, at: int, belongs: Callable[[str], bool]) -> int:
    while at < len(text) and belongs(text[at]):
        at += 1
    return at


def _number(text: str, at: int) -> tuple[Token, int]:
    if text[at : at + 2] in ("0x", "0X"):
        end = _run(text, at + 2, lambda c: c in "0123456789abcdefABCDEF")
        if end == at + 2:
            raise ExpressionError(f"Unable to parse hex value '{text[at:end]}' to uint64")
        return Token("number", text[at:end], at, float(int(text[at:end], 16))), end
    end = _run(text, at, lambda c: c.isdecimal() or c == ".")
    number = text[at:end]
    if not re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", number):
        raise ExpressionError(f"Unable to parse numeric value '{number}' to float64")
    return Token("number", number, at, float(number)), end


def _escaped(text: str, at: int, belongs: Callable[[str], bool]) -> tuple[str, int]:
    """What belongs, from `at` on, and where it ends; a backslash makes any character belong."""
    out: list[str] = []
    while at < len(text) and (belongs(text[at]) or text[at] == "\\"):
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        out.append(text[at])
        at += 1
    return "".join(out), at


def _bracketed(text: str, at: int) -> tuple[Token, int]:
    """`[any name]`."""
    name, end = _escaped(text, at + 1, lambda c: c != "]")
    if end >= len(text):
        raise ExpressionError("Unclosed parameter bracket")
    return Token("word", name, at, name), end + 1


def _word(text: str, at: int) -> tuple[Token, int]:
    word, end = _escaped(text, at, lambda c: c.isalnum() or c in "_.")
    if word in ("true", "false"):
        return Token("bool", word, at, word == "true"), end
    if word in ("in", "IN"):
        return Token("symbol", "in", at), end
    if "." in word:
        _no_accessor(word)
    return Token("word", word, at, word), end


def _no_accessor(word: str) -> None:
    """`a.B` reads a field in govaluate, and there is nothing to read from: a text with a dot must be quoted."""
    if word.endswith("."):
        raise ExpressionError(f"Hanging accessor on token '{word}'")
    for part in word.split(".")[1:]:
        if part[:1] != part[:1].upper():
            raise ExpressionError(f"Unable to access unexported field '{part}' in token '{word}'")
    raise ExpressionError(f"No parameter '{word.split('.')[0]}' found.")


def _quoted(text: str, at: int) -> tuple[Token, int]:
    quote = text[at]
    value, end = _escaped(text, at + 1, lambda c: c != quote)
    if end >= len(text):
        raise ExpressionError("Unclosed string literal")
    moment = date(value)
    whole = text[at : end + 1]
    return Token("string", whole, at, value) if moment is None else Token("number", whole, at, moment), end + 1


def _symbol(text: str, at: int, after: Token | None) -> tuple[Token, int]:
    following = text[at : at + 16]  # more would make a long row of prefixes cost its square
    symbol = following[: max(_run(following, 0, lambda c: not (c.isalnum() or c.isspace() or c in "()[]'\"_")), 1)]
    if _may_prefix(after) and symbol[0] in PREFIXES and symbol not in SYMBOLS:
        symbol = symbol[0]  # `!-1`: prefixes may touch each other
    if symbol not in SYMBOLS:
        raise ExpressionError(f"Invalid token: '{symbol}'")
    return Token("symbol", symbol, at), at + len(symbol)


def _may_prefix(after: Token | None) -> bool:
    return after is None or (after.kind == "symbol" and after.text != ")")


# --- dates ------------------------------------------------------------------------------------------------------------

_ISO = re.compile(
    r"""([0-9]{4})-([0-9]{2})-([0-9]{2})
    (?: [ ]([0-9]{1,2}):([0-9]{2}) (?: :([0-9]{2}) (?:[.,][0-9]+)? ([+-][0-9]{2}:[0-9]{2})? )?
      | T([0-9]{1,2}) (?: :([0-9]{2}) (?: :([0-9]{2}) (?:[.,][0-9]+)? )? )? (Z|[+-][0-9]{4}|[+-][0-9]{2}:[0-9]{2})
    )?""",
    re.VERBOSE,
)
_NAMED = re.compile(
    r"""(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[ ](Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[ ]{1,2}([0-9]{1,2})[ ]
    ([0-9]{1,2}):([0-9]{2}):([0-9]{2}) (?:[.,][0-9]+)? (?:[ ](?:[A-Z]{3,4}|([+-][0-9]{4})))? [ ]([0-9]{4})""",
    re.VERBOSE,
)
_KITCHEN = re.compile(r"([0-9]{1,2}):([0-9]{2})([AP]M)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_YEAR_0 = -62_167_219_200.0
"""Seconds from 1970 back to the year 0, in which Go puts a time without a date."""


def date(text: str) -> float | None:
    """Whole seconds since 1970 if govaluate takes the text for a date (UTC where it names no zone), else None."""
    if found := _ISO.fullmatch(text):
        year, month, day, h1, m1, s1, z1, h2, m2, s2, z2 = found.groups()
        if z2 and ":" in z2 and not s2:
            return None  # only RFC 3339 writes the zone so, and it always has seconds
        return _seconds((year, month, day, h1 or h2, m1 or m2, s1 or s2), z1 or z2)
    if found := _NAMED.fullmatch(text):
        name, day, hour, minute, second, zone, year = found.groups()
        return _seconds((year, str(_MONTHS.index(name) + 1), day, hour, minute, second), zone)
    if (found := _KITCHEN.fullmatch(text)) and int(found[1]) <= 12 and int(found[2]) < 60:
        return _YEAR_0 + (int(found[1]) % 12 + (12 if found[3] == "PM" else 0)) * 3600 + int(found[2]) * 60
    return None


def _seconds(parts: tuple[str | None, ...], zone: str | None) -> float | None:
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    away = timedelta()
    if zone and zone != "Z":
        away = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone(away) if away else UTC)
    except ValueError:
        return None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * 1.0
