"""Literals of Go's syntax: quoted texts, characters and numbers.

Source: https://go.dev/ref/spec#Lexical_elements
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from retrain.expressions.template.values import MAX_INT64, MIN_INT64, Int, TemplateError, Value, from_bytes, to_bytes

_SIMPLE: Final[Mapping[str, str]] = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_INTEGER = re.compile(r"[+-]?[0-9][0-9a-zA-Z_]{0,79}", re.ASCII)
_OCTAL = re.compile(r"0(?:_?[0-7])+")
_DIGITS = "[0-9](?:_?[0-9])*"
_DECIMAL_FLOAT = re.compile(rf"(?=[0-9.])(?:{_DIGITS})?(?:\.(?:{_DIGITS})?)?(?:[eE][+-]?{_DIGITS})?")
_HEX_FLOAT = re.compile(r"0[xX](?=_?[0-9a-fA-F.])[0-9a-fA-F_]*\.?[0-9a-fA-F_]*[pP][+-]?[0-9_]+")


def unquote(text: str) -> str:
    """What a quoted or raw literal stands for.

    Raises:
        TemplateError: an escape is none of Go's.
    """
    mark, body = text[0], text[1:-1]
    if mark == "`":
        return body.replace("\r", "")
    if "\\" not in body:
        return body
    return _unescaped(body, mark)


def _unescaped(body: str, mark: str) -> str:
    out: list[bytes] = []
    at = 0
    for found in _ESCAPE.finditer(body):
        out.append(to_bytes(body[at : found.start()]))
        out.append(_escape(found, mark))
        at = found.end()
    out.append(to_bytes(body[at:]))
    return from_bytes(b"".join(out))


def _escape(found: re.Match[str], mark: str) -> bytes:
    byte, octal, short, long, simple = found.groups()
    if byte or octal:
        code = int(byte, 16) if byte else int(octal, 8)
        if code > 255:
            raise TemplateError("invalid syntax")
        return bytes([code])
    if short or long:
        code = int(short or long, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise TemplateError("invalid syntax")
        return chr(code).encode()
    if simple == mark:
        return mark.encode()
    if simple in _SIMPLE:
        return _SIMPLE[simple].encode()
    raise TemplateError("invalid syntax")


def character(text: str) -> int:
    """The code of a character literal.

    Raises:
        TemplateError: it is not one character.
    """
    body = text[1:-1]
    found = _ESCAPE.fullmatch(body)
    if found and (found[1] or found[2]):
        code = int(found[1], 16) if found[1] else int(found[2], 8)
        if code > 255:
            raise TemplateError("invalid syntax")
        return code
    char = unquote(text)
    if len(char) != 1:
        raise TemplateError(f"malformed character constant: {text}")
    return ord(char)


def number(text: str) -> tuple[Value, int | None, float | None]:
    """A number: what it is where anything goes, as an integer, and as a float (None where it cannot be that).

    Raises:
        TemplateError: it is none, or too large.
    """
    if text.endswith("i") or re.search(r"[0-9.][+-]", re.sub(r"[eEpP][+-]", "", text)):
        raise TemplateError(f"complex numbers are not offered: {text}")
    whole = integer(text)
    if whole is not None:
        if not MIN_INT64 <= whole <= MAX_INT64:
            raise TemplateError(f'integer overflow: "{text}"')
        return Int(whole), whole, float(whole)
    value = real(text)
    if value is None:
        raise TemplateError(f'illegal number syntax: "{text}"')
    if not re.search(r"[.eEpP]", text):
        raise TemplateError(f'integer overflow: "{text}"')
    return value, int(value) if value.is_integer() and abs(value) < 2**63 else None, value


def integer(text: str) -> int | None:
    """As Go's `strconv.ParseInt` with base 0: `12`, `0x1f`, `1_000`, `017`; None where it is none. Not bounded."""
    if not _INTEGER.fullmatch(text):
        return None
    sign = -1 if text[0] == "-" else 1
    body = text[1:] if text[0] in "+-" else text
    try:
        return sign * (int(body.replace("_", ""), 8) if _OCTAL.fullmatch(body) else int(body, 0))
    except ValueError:
        return None


def real(text: str) -> float | None:
    """As Go's `strconv.ParseFloat`, without the names of infinity and NaN; None where it is none, or too large."""
    sign = -1.0 if text.startswith("-") else 1.0
    body = text[1:] if text[:1] in "+-" else text
    try:
        if _HEX_FLOAT.fullmatch(body):
            value = float.fromhex(body.replace("_", ""))
        elif _DECIMAL_FLOAT.fullmatch(body):
            value = float(body.replace("_", ""))
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return sign * value if abs(value) != float("inf") else None
