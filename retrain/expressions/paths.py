"""gjson paths: `body.list.#(name=="a").id` into JSON text, compiled once.

The walk itself is gjson.rs, by gjson's author, which agrees with the Go original except for what is younger than it.
That, it would read as an ordinary key that is never there, so a path that uses it is refused by name. Reading a found
value as text, number or boolean is ours, after gjson's Go rules, on which Argo Events' filters rest.

Source: https://github.com/tidwall/gjson/blob/v1.18.0/SYNTAX.md and `Result.String`, `.Float`, `.Bool` of gjson.go.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

import orjson
import pygjson

from retrain.errors import ConfigError
from retrain.events import JsonValue

MAX_LENGTH = 4096
MAX_STARS = 2
"""`*` in one part of a path. Matching n stars against a text of m characters takes m^n steps."""
MAX_STARRED_TEXT = 4096
"""Characters of one text that a part with several `*` may meet."""

NOT_THERE = ("keys", "values", "tostr", "fromstr", "dig", "group")
"""Modifiers of the Go original that gjson.rs takes for keys."""

MODIFIERS = ("this", "valid", "pretty", "ugly", "reverse", "flatten", "join")
"""Modifiers that gjson.rs knows."""

Kind = Literal["null", "bool", "number", "string", "json"]

_KINDS: dict[type | None, Kind] = {
    type(None): "null",
    None: "null",
    bool: "bool",
    int: "number",
    float: "number",
    str: "string",
    list: "json",
    dict: "json",
}
_LONG_TEXT = re.compile(rf'"(?:[^"\\]|\\.){{{MAX_STARRED_TEXT + 1}}}')
_AT = re.compile(r"@([^.|:,\]}]+)")
_INTEGER = re.compile(r"-?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEX = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")
_ENDLESS = re.compile(r"(?P<sign>[+-]?)(?P<word>inf|infinity|nan)", re.IGNORECASE)
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class PathError(ConfigError):
    """The text is no path that can be followed, or not in this document."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value that a path led to. `raw`: a string's characters; of any other value its JSON text."""

    kind: Kind
    raw: str

    def text(self) -> str:
        """gjson's `String()`: null is "", a number is written out, an object or list is its JSON."""
        if self.kind == "null":
            return ""
        return _write_number(self.raw) if self.kind == "number" else self.raw

    def number(self) -> float:
        """gjson's `Float()`: a text is parsed, true is 1, whatever is no number is 0."""
        if self.kind == "number":
            return float(self.raw)
        if self.kind == "bool":
            return 1.0 if self.raw == "true" else 0.0
        if self.kind == "string":
            parsed = parse_float(self.raw)
            return 0.0 if parsed is None else parsed
        return 0.0

    def boolean(self) -> bool:
        """gjson's `Bool()`: a text is parsed, a number is true unless 0, whatever is neither is false."""
        if self.kind == "bool":
            return self.raw == "true"
        if self.kind == "number":
            return float(self.raw) != 0
        return self.kind == "string" and bool(parse_bool(self.raw.lower()))

    def value(self) -> JsonValue:
        """The value as JSON."""
        return self.raw if self.kind == "string" else orjson.loads(self.raw)


class Path:
    """A path, compiled. Get one from `compile_path`."""

    __slots__ = ("_path", "_starred", "text")

    def __init__(self, text: str, starred: bool) -> None:
        self.text = text
        self._path = pygjson.compile(_escaped(text))
        self._starred = starred

    def get(self, document: str) -> Found | None:
        """What the path leads to in a JSON text; None if there is nothing.

        Raises:
            PathError: the path has several `*` and the document a text so long that matching may take minutes.
        """
        if self._starred and _LONG_TEXT.search(document):
            raise PathError(f"path {self.text!r} has several '*', and the data a text of over {MAX_STARRED_TEXT}")
        found = pygjson.get(document, self._path)
        if not found.exists():
            return None
        kind = _KINDS[found.type_]
        return Found(kind, "null" if kind == "null" else found.to_str())

    def __repr__(self) -> str:
        return f"Path({self.text!r})"


@lru_cache(maxsize=4096)
def compile_path(text: str) -> Path:
    """Read a gjson path.

    Raises:
        PathError: it is empty or too long, or uses what is not built: a young modifier, a literal, a named member.
    """
    if not text:
        raise PathError("a path cannot be empty; '@this' is the whole document")
    if len(text) > MAX_LENGTH:
        raise PathError(f"a path has {MAX_LENGTH} characters at most, this has {len(text)}")
    for start in _starts(text):
        _check_start(text, start)
    stars = max(part.count("*") for part in text.split("."))
    if stars > MAX_STARS:
        raise PathError(f"path {text!r}: a part has {MAX_STARS} '*' at most")
    return Path(text, starred=stars > 1)


def _starts(text: str) -> Iterator[int]:
    """Where the parts of a path begin: at its start and after `.`, `|`, and `{`, `[`, `,` of a multipath."""
    yield 0
    depth = quoted = 0
    index = 0
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
        elif char == '"' and depth:
            quoted ^= 1
        elif not quoted:
            depth += (char == "(") - (char == ")")
            if char in ".|{[,":
                yield index + 1
        index += 1


def _escaped(text: str) -> str:
    """`@type` and other names that are no modifier are keys; gjson.rs must be told so where a path begins."""
    keys = [i for i in _starts(text) if (m := _AT.match(text, i)) and m[1] not in MODIFIERS]
    for start in reversed(keys):
        text = f"{text[:start]}\\{text[start:]}"
    return text


def _check_start(text: str, start: int) -> None:
    rest = text[start:]
    if match := _AT.match(rest):
        if match[1] in NOT_THERE:
            raise PathError(f"path {text!r}: the modifier @{match[1]} is not built yet")
    elif re.match(r'!(?:["{\[\d-]|true|false|null)', rest):
        raise PathError(f"path {text!r}: literals ('!') are not built yet")
    elif start and text[start - 1] in "{," and re.match(r'"(?:[^"\\]|\\.)*":', rest):
        raise PathError(f"path {text!r}: named members of '{{}}' are not built yet")


def _write_number(raw: str) -> str:
    """Go's `FormatFloat(x, 'f', -1, 64)`, integers as they are."""
    if _INTEGER.fullmatch(raw):
        return raw
    text = format(Decimal(repr(float(raw))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_float(text: str) -> float | None:
    """Go's `strconv.ParseFloat(text, 64)`; None where that is an error. A number too big is infinite."""
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _HEX.fullmatch(text):
        try:
            return float.fromhex(text)
        except OverflowError:
            return -math.inf if text.startswith("-") else math.inf
    if match := _ENDLESS.fullmatch(text):
        if match["word"].lower() == "nan":
            return None if match["sign"] else math.nan
        return -math.inf if match["sign"] == "-" else math.inf
    return None


def parse_bool(text: str) -> bool | None:
    """Go's `strconv.ParseBool`; None where that is an error."""
    return _BOOLEANS.get(text)
