"""What a YAML scalar means to Kubernetes, which is YAML 1.1 as Go's yaml.v2 reads it, turned into JSON.

So bare `y`, `yes`, `on` are true, `0123` and `0o17` are octal, `1_000` is a thousand, `1:30` and `2026-11-20` stay
strings, and a float without a fraction is an integer (Go's JSON writes 1.0 as 1).

Source: https://github.com/kubernetes-sigs/yaml (v1.6.0, yaml.go) over https://github.com/yaml/go-yaml (v2.4.2,
resolve.go); the table in tests/unit/test_manifests_scalars.py holds the answers of that code.
"""

from __future__ import annotations

import math
import re
import struct
from base64 import b64decode

Scalar = str | int | float | bool | None

_TAGS = "tag:yaml.org,2002:"
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_FIRST = frozenset("+-.0123456789yYnNtTfFoO~")
_INTEGER = re.compile(r"(?P<sign>[+-]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]([0-7]+)|0[bB]([01]+)|0([0-7]+)|(0|[1-9][0-9]*))")
_BASES = (16, 8, 2, 8, 10)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_POINT_FLOAT = re.compile(r"\.[0-9](?:_?[0-9])*(?:[eE][+-]?[0-9](?:_?[0-9])*)?")
_TIMESTAMP = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}"
    r"(?:[Tt]\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)| \d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?)?"
)
_LOWEST, _HIGHEST, _HIGHEST_UNSIGNED = -(2**63), 2**63 - 1, 2**64 - 1


def resolve(text: str, tag: str | None = None) -> Scalar:
    """The value of a plain scalar, or of any scalar with an explicit tag. Tags that YAML does not know mean a string.

    Raises:
        ValueError: the tag asks for something the text is not; the message says so.
    """
    if tag is None:
        return _plain(text)
    name = tag.removeprefix(_TAGS) if tag.startswith(_TAGS) else ""
    if name == "binary":
        return _binary(text)
    if name not in {"bool", "int", "float", "null", "timestamp"}:
        return text
    value = _plain(text)
    if name == "timestamp":
        fits = _TIMESTAMP.fullmatch(text) is not None
    elif name == "float" and isinstance(value, int) and not isinstance(value, bool):
        value, fits = float(value), True
    else:
        fits = {"bool": bool, "int": int, "float": float, "null": type(None)}[name] is type(value)
    if not fits:
        raise ValueError(f"{text!r} is not a !!{name}")
    return value


def to_json(value: Scalar) -> Scalar:
    """The scalar as it comes out of Go's JSON: a float without a fraction is an integer.

    Raises:
        ValueError: it is infinite or not a number, which JSON cannot say.
    """
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise ValueError("JSON has no infinity and no NaN; quote it if it is meant as text")
    return int(value) if value.is_integer() and _LOWEST <= value <= _HIGHEST else value


def to_key(value: Scalar) -> str:
    """A mapping's key: numbers and booleans become strings.

    Raises:
        ValueError: the key is null.
    """
    match value:
        case None:
            raise ValueError("a key cannot be null")
        case bool():
            return "true" if value else "false"
        case float():
            return _go_float32(value)
        case _:
            return str(value)


def _plain(text: str) -> Scalar:
    if text and text[0] not in _FIRST:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == ".":
        return _finite(text.replace("_", ""), text) if _POINT_FLOAT.fullmatch(text) else text
    if text[0] in "+-0123456789":
        return _number(text)
    return text


def _number(text: str) -> Scalar:
    plain = text.replace("_", "")
    if match := _INTEGER.fullmatch(plain):
        value = _integer(match)
        if value is not None:
            return value
    return _finite(plain, text) if _FLOAT.fullmatch(plain) else text


def _integer(match: re.Match[str]) -> int | None:
    """The integer, None if 64 bits do not hold it: Go then tries a float."""
    index, digits = next((i, d) for i, d in enumerate(match.groups()[1:]) if d is not None)
    digits = digits.lstrip("0") or "0"
    if len(digits) > 64:  # also keeps int() from its limit on digits
        return None
    value = int(digits, _BASES[index])
    if match["sign"] == "-":
        value = -value
    highest = _HIGHEST if match["sign"] else _HIGHEST_UNSIGNED
    return value if _LOWEST <= value <= highest else None


def _finite(plain: str, text: str) -> float | str:
    """A number too large for a float stays the text it was, as in Go."""
    value = float(plain)
    return value if math.isfinite(value) else text


def _binary(text: str) -> str:
    try:
        return b64decode("".join(text.split()), validate=True).decode()
    except ValueError as error:
        raise ValueError("!!binary must be base64 of UTF-8 text") from error


def _go_float32(value: float) -> str:
    """Go's `strconv.FormatFloat(value, 'g', -1, 32)`: the fewest digits that give the same 32-bit float."""
    if math.isnan(value):
        return ".nan"
    try:
        single = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        single = math.copysign(math.inf, value)
    if math.isinf(single):
        return ".inf" if single > 0 else "-.inf"
    # Nine significant digits always suffice for 32 bits.
    mantissa, exponent = next(
        text.split("e")
        for text in (f"{single:.{digits}e}" for digits in range(9))
        if struct.unpack("f", struct.pack("f", float(text)))[0] == single
    )
    power, digits = int(exponent), len(mantissa.lstrip("-").replace(".", ""))
    limit = digits if 6 > digits > power else 6
    if power < -4 or power >= max(limit, 1):
        return f"{mantissa}e{power:+03d}"
    return f"{single:.{max(digits - 1 - power, 0)}f}"
