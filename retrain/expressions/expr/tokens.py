"""expr-lang: text to tokens.

The rules are those of upstream's lexer (which characters make a name, a number, a string with escapes), with one
difference: a quoted string may hold a line break, which upstream refuses.

Source: https://github.com/expr-lang/expr/tree/v1.17.7/parser/lexer
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from retrain.errors import ConfigError

MAX_LENGTH = 64 * 1024
"""Characters of an expression."""

Kind = Literal["name", "int", "float", "string", "bytes", "op", "bracket", "end"]

WORDS = frozenset({"in", "or", "and", "not", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"})
"""Words that are operators; after a dot they are ordinary names."""


class ExprError(ConfigError):
    """The text is no expression, or it cannot be evaluated with these values."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    at: int
    """Offset of its first character."""
    value: int | float | str | bytes = ""
    """What a literal stands for."""


_SKIP = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_NAME = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
_BASED = re.compile(r"0[xX][0-9a-fA-F_]*|0[oO][0-7_]*|0[bB][01_]*")
_DECIMAL = re.compile(r"(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]*)?")
_OPERATOR = re.compile(r"\?\.|\?\?|\?|\|\|?|::?|[&!=*<>][&=*]?|\.\.?|[,;%+\-^/#]")
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_RAW = re.compile(r"`(?:[^`]|``)*`")
_ESCAPE = re.compile(
    r"\\(?:(?P<plain>[abfnrtv\\'\"])|(?P<octal>[0-3][0-7]{2})|x(?P<hex>[0-9a-fA-F]{2})|u\{(?P<free>[0-9a-fA-F]{1,6})\}"
    r"|u(?P<four>[0-9a-fA-F]{4})|U(?P<eight>[0-9a-fA-F]{8})|(?P<bad>.?))",
    re.DOTALL,
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_BIGGEST = 2**63 - 1


def fail(text: str, at: int, message: str) -> NoReturn:
    """Raise an ExprError that says where in the text it is: `… at 1:7 (near 'x ==')`."""
    before = text[:at]
    line = before.count("\n") + 1
    column = at - (before.rfind("\n") + 1) + 1
    near = text[at : at + 20].split("\n", 1)[0]
    raise ExprError(f"{message} at {line}:{column}" + (f" (near {near!r})" if near else " (at the end)"))


def tokens(text: str) -> list[Token]:
    """The tokens of an expression; the last is of kind "end".

    Raises:
        ExprError: the text is too long, or something in it begins no token.
    """
    if len(text) > MAX_LENGTH:
        raise ExprError(f"the expression is longer than {MAX_LENGTH} characters")
    out: list[Token] = []
    at = _skip(text, 0)
    while at < len(text):
        token, at = _token(text, at)
        out.append(token)
        at = _skip(text, at)
    out.append(Token("end", "", len(text)))
    return out


def _skip(text: str, at: int) -> int:
    found = _SKIP.match(text, at)
    at = found.end() if found else at
    if text.startswith("/*", at):
        fail(text, at, "unclosed comment")
    return at


def _token(text: str, at: int) -> tuple[Token, int]:
    char = text[at]
    if char in "'\"":
        raw, end = _quoted(text, at)
        return Token("string", text[at:end], at, _unescaped(text, at, raw)), end
    if char in "bB" and text[at + 1 : at + 2] in ("'", '"'):
        raw, end = _quoted(text, at + 1)
        return Token("bytes", text[at:end], at, _unescaped_bytes(text, at, raw)), end
    if char == "`":
        return _raw(text, at)
    if char in "([{)]}":
        return Token("bracket", char, at), at + 1
    if char.isdecimal() or (char == "." and text[at + 1 : at + 2].isdecimal()):
        return _number(text, at)
    if found := _NAME.match(text, at):
        word = found.group()
        return Token("op" if word in WORDS else "name", word, at), found.end()
    if found := _OPERATOR.match(text, at):
        return Token("op", found.group(), at), found.end()
    fail(text, at, f"unrecognized character {char!r}")


def _number(text: str, at: int) -> tuple[Token, int]:
    found = _BASED.match(text, at) or _DECIMAL.match(text, at)
    if found is None or _NAME.match(text, found.end()) or text[found.end() : found.end() + 1].isdecimal():
        fail(text, at, "bad number syntax")
    digits = found.group().replace("_", "")
    end = found.end()
    try:
        if digits[:2].lower() in ("0x", "0o", "0b"):
            whole = int(digits, 0)
        elif any(mark in digits for mark in ".eE"):
            return Token("float", digits, at, _finite(text, at, float(digits))), end
        else:
            whole = int(digits) if len(digits) < 100 else _BIGGEST + 1
    except ValueError:
        fail(text, at, f"bad number syntax: {digits!r}")
    if whole > _BIGGEST:
        fail(text, at, f"integer literal is too large: more than {_BIGGEST}")
    return Token("int", digits, at, whole), end


def _finite(text: str, at: int, number: float) -> float:
    if number == float("inf"):
        fail(text, at, "float literal is too large")
    return number


def _quoted(text: str, at: int) -> tuple[str, int]:
    found = _STRING.match(text, at)
    if found is None:
        fail(text, at, "literal not terminated")
    return found.group()[1:-1].replace("\r\n", "\n").replace("\r", "\n"), found.end()


def _raw(text: str, at: int) -> tuple[Token, int]:
    found = _RAW.match(text, at)
    if found is None:
        fail(text, at, "literal not terminated")
    return Token("string", found.group(), at, found.group()[1:-1].replace("``", "`")), found.end()


def _unescaped(text: str, at: int, raw: str) -> str:
    if "\\" not in raw:
        return raw

    def character(found: re.Match[str]) -> str:
        if plain := found["plain"]:
            return _PLAIN.get(plain, plain)
        if found["octal"]:
            return chr(int(found["octal"], 8))
        code = found["hex"] or found["free"] or found["four"] or found["eight"]
        if not code or int(code, 16) > 0x10FFFF:
            fail(text, at, f"invalid char escape {found.group()!r}")
        point = int(code, 16)
        return "\ufffd" if 0xD800 <= point <= 0xDFFF else chr(point)  # as Go's utf8.EncodeRune

    return _ESCAPE.sub(character, raw)


def _unescaped_bytes(text: str, at: int, raw: str) -> bytes:
    """A bytes literal: `\\x` and octal escapes are bytes, other characters their UTF-8."""
    out = bytearray()
    last = 0
    for found in _ESCAPE.finditer(raw):
        out += raw[last : found.start()].encode("utf-8", "replace")
        last = found.end()
        if plain := found["plain"]:
            out += _PLAIN.get(plain, plain).encode()
        elif code := found["hex"]:
            out.append(int(code, 16))
        elif code := found["octal"]:
            out.append(int(code, 8))
        else:
            fail(text, at, f"invalid escape {found.group()!r} in bytes (only \\x, octal and the simple ones)")
    return bytes(out + raw[last:].encode("utf-8", "replace"))
