"""JSON with one way to write it, so that the same facts have the same digest (RFC 8785).

Keys in the order of their UTF-16 code units, no spaces, numbers as ECMAScript writes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

EXACT = 2**53
"""Up to here every whole number is a float64, which is what JSON's numbers are to most readers."""


def canonical(value: object) -> bytes:
    """The bytes of a JSON value.

    Raises:
        ValueError: NaN, infinity, or something that is no JSON.
    """
    return _write(value).encode("utf-8", "replace")


def digest_of(value: object) -> str:
    """`sha256:` and the digest of the canonical bytes.

    Raises:
        ValueError: as `canonical`.
    """
    return f"sha256:{sha256(canonical(value)).hexdigest()}"


def _write(value: Any) -> str:
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int():
            return str(value) if abs(value) <= EXACT else _large(value)
        case float():
            return _float(value)
        case Mapping():
            return _object(cast("Mapping[Any, Any]", value))
        case list() | tuple():
            return f"[{','.join(map(_write, cast('list[Any]', value)))}]"
        case _:
            raise ValueError(f"{type(value).__name__} is no JSON")


def _object(value: Mapping[Any, Any]) -> str:
    if any(not isinstance(key, str) for key in value):
        raise ValueError("a key of a JSON object is text")
    keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    return f"{{{','.join(f'{_write(key)}:{_write(value[key])}' for key in keys)}}}"


def _large(value: int) -> str:
    try:
        return _float(float(value))
    except OverflowError:
        raise ValueError("a whole number is beyond what JSON's readers can hold") from None


def _float(value: float) -> str:
    """As ECMAScript: plain digits from 1e-6 up to 1e21, else with an exponent; no `-0`, no `1.0`."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no JSON number")
    if value == 0:
        return "0"
    sign, digits, exponent = _shortest(value)
    point = len(digits) + exponent
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def _shortest(value: float) -> tuple[str, str, int]:
    """Sign, the fewest digits that mean this float, and the power of ten that they are multiplied by."""
    mantissa, _, power = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    exponent = int(power or 0) - len(fraction)
    digits = (whole + fraction).lstrip("0")
    short = digits.rstrip("0")
    return "-" if value < 0 else "", short, exponent + len(digits) - len(short)
