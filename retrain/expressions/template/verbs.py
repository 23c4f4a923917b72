"""One argument of `printf` under one verb: `%05d`, `%-8.3s`, `%x` of each element of a list.

Source: https://pkg.go.dev/fmt
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from retrain.expressions.template.meter import room
from retrain.expressions.template.show import EXPONENT_FROM, Parts, check_depth, is_stringer, quote, shortest, show
from retrain.expressions.template.values import (
    CallError,
    Int,
    Uint8,
    Uint64,
    Value,
    as_float,
    is_float,
    is_nil,
    to_bytes,
    type_name,
)


@dataclass(slots=True)
class Flags:
    """What stands between `%` and the verb; `go_syntax` is `%#v`."""

    plus: bool = False
    minus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    go_syntax: bool = False
    width: int | None = None
    precision: int | None = None

    def pad(self, text: str, *, zeros: bool = True) -> str:
        """Fill up to the width, with zeros only on the left."""
        missing = (self.width or 0) - len(text)
        if missing <= 0:
            return text
        room(self.width or 0)
        if self.minus:
            return text + " " * missing
        return ("0" if self.zero and zeros else " ") * missing + text


def put_argument(out: Parts, value: Value, verb: str, flags: Flags) -> None:
    """Write the value as `%T` and all the other verbs do.

    Raises:
        CallError: it is too long or nested too deep, or the verb is `%p`.
    """
    if verb == "T":
        out.add(flags.pad("<nil>") if is_nil(value) else _text(type_name(value), flags))
    elif verb == "p":
        raise CallError("%p is not offered: values have no addresses here")
    elif is_nil(value):
        out.add(flags.pad("<nil>") if verb == "v" else f"%!{verb}(<nil>)")
    elif verb == "w":
        out.add(f"%!w({type_name(value)}=")
        _value(out, value, "v", flags, 0)
        out.add(")")
    else:
        _value(out, value, verb, flags, 0)


def _value(out: Parts, value: Value, verb: str, flags: Flags, depth: int) -> None:
    if is_nil(value):
        out.add("interface {}(nil)" if flags.go_syntax else "<nil>")
    elif isinstance(value, list | dict):
        check_depth(depth)
        _nested(out, value, verb, flags, depth)
    else:
        out.add(_scalar(value, verb, flags))


def _nested(out: Parts, value: Value, verb: str, flags: Flags, depth: int) -> None:
    comma = ", " if flags.go_syntax else " "
    kind = type_name(value)
    is_map = isinstance(value, dict)
    out.add(f"{kind}{{" if flags.go_syntax else "map[" if is_map else "[")
    for at, item in enumerate(sorted(value) if is_map else value):
        if at:
            out.add(comma)
        _value(out, item, verb, flags, depth + 1)
        if is_map:
            out.add(":")
            _value(out, value[item], verb, flags, depth + 1)
    out.add("}" if flags.go_syntax else "]")


def _scalar(value: Value, verb: str, flags: Flags) -> str:
    if is_stringer(value) and verb in "vsxXq" and not flags.go_syntax:
        return _string(show(value), verb, flags)
    if isinstance(value, str):
        text = _string(value, verb, flags)
    elif isinstance(value, bool):
        text = flags.pad("true" if value else "false") if verb in "tv" else None
    elif isinstance(value, Int):
        text = _integer(value, verb, flags)
    elif is_float(value):
        text = _float(as_float(value), verb, flags)
    else:
        text = flags.pad(show(value)) if verb == "v" else None
    if text is not None:
        return text
    return f"%!{verb}({type_name(value)}={_scalar(_plain(value), 'v', flags)})"


def _plain(value: Value) -> Value:
    """Without the `String` method, as `%!d(...)` shows it."""
    return Int(value) if isinstance(value, Int) else value


def _text(text: str, flags: Flags) -> str:
    return flags.pad(text if flags.precision is None else text[: flags.precision])


def _string(text: str, verb: str, flags: Flags) -> str:
    if verb == "s" or (verb == "v" and not flags.go_syntax):
        return _text(text, flags)
    if verb in "vq":
        cut = text if flags.precision is None else text[: flags.precision]
        if flags.sharp and "`" not in cut and all(c == "\t" or (c.isprintable() and c != "\ufeff") for c in cut):
            return flags.pad(f"`{cut}`")
        return flags.pad(quote(cut, ascii_only=flags.plus))
    if verb in "xX":
        return _hex(to_bytes(text)[: flags.precision], verb, flags)
    return f"%!{verb}(string={_text(text, flags)})"


def _hex(data: bytes, verb: str, flags: Flags) -> str:
    prefix = ("0" + verb) if flags.sharp and data else ""
    text = prefix + ((" " + prefix) if flags.space else "").join(f"{byte:02x}" for byte in data)
    if verb == "X":
        text = text.upper()
    return flags.pad(text)


_BASES = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}


def _integer(value: Int, verb: str, flags: Flags) -> str | None:
    if verb == "c":
        return flags.pad(_rune(int(value)))
    if verb == "q":
        return flags.pad(quote(_rune(int(value)), "'", ascii_only=flags.plus))
    if verb == "U":
        return _unicode(int(value), flags)
    base = _BASES.get(verb)
    if base is None:
        return None
    if verb == "v" and flags.go_syntax and isinstance(value, Uint8 | Uint64):
        return _digits_of(int(value), "x", "x", replace(flags, sharp=True))
    return _digits_of(int(value), verb, base, flags)


def _digits_of(number: int, verb: str, base: str, flags: Flags) -> str:
    sign = "-" if number < 0 else "+" if flags.plus else " " if flags.space else ""
    least = 0
    if flags.precision is not None:
        if not flags.precision and not number:
            return " " * (flags.width or 0)
        least = flags.precision
    elif flags.zero and not flags.minus and flags.width:
        least = flags.width - len(sign)
    room(least)
    digits = format(abs(number), base).rjust(least, "0")
    return flags.pad(sign + _prefix(verb, base, digits, flags) + digits, zeros=False)


def _prefix(verb: str, base: str, digits: str, flags: Flags) -> str:
    octal = "0o" if verb == "O" else ""
    if not flags.sharp:
        return octal
    if base in "oO":
        return octal + ("" if digits.startswith("0") else "0")
    return {"b": "0b", "x": "0x", "X": "0X"}.get(base, "")


def _rune(code: int) -> str:
    return chr(code) if 0 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "\ufffd"


def _unicode(code: int, flags: Flags) -> str:
    digits = f"{code % 2**64:X}".rjust(max(4, flags.precision or 0), "0")
    shown = f" '{chr(code)}'" if flags.sharp and 0 <= code <= 0x10FFFF and chr(code).isprintable() else ""
    return flags.pad(f"U+{digits}{shown}", zeros=False)


def _float(value: float, verb: str, flags: Flags) -> str | None:
    if verb not in "vgGeEfFxXb":
        return None
    sign = "-" if math.copysign(1, value) < 0 else "+"
    if value != value:
        return flags.pad(("+" if flags.plus else " " if flags.space else "") + "NaN", zeros=False)
    shown_sign = "-" if sign == "-" else "+" if flags.plus else " " if flags.space else ""
    if math.isinf(value):
        return flags.pad((shown_sign or "+") + "Inf", zeros=False)
    room(flags.precision or 0)
    digits = _magnitude(abs(value), verb, flags)
    if flags.sharp and verb != "b":
        digits = _sharpened(digits, verb, flags)
    missing = (flags.width or 0) - len(shown_sign) - len(digits)
    if flags.zero and not flags.minus and missing > 0:
        return shown_sign + "0" * missing + digits
    return flags.pad(shown_sign + digits)


def _magnitude(value: float, verb: str, flags: Flags) -> str:
    """The number without its sign; `%e` has at least two digits of exponent in Go and in Python."""
    precision = flags.precision
    match verb:
        case "v" | "g" | "G":
            text = shortest(value, EXPONENT_FROM) if precision is None else format(value, f".{precision or 1}g")
            return text.upper() if verb == "G" else text
        case "e" | "E":
            return format(value, f".{6 if precision is None else precision}{verb}")
        case "f" | "F":
            return format(value, f".{6 if precision is None else precision}f")
        case "b":
            mantissa, exponent = math.frexp(value)
            return f"{int(mantissa * 2**53)}p{exponent - 53 if value else -1074:+d}"
        case _:
            text = _hexadecimal(value, precision)
            return text.upper() if verb == "X" else text


def _hexadecimal(value: float, precision: int | None) -> str:
    """`0x1.8p+01`; with a precision, so many digits behind the point, rounded to even."""
    mantissa, exponent = math.frexp(value)
    bits, power = int(mantissa * 2**53), exponent - 1 if value else 0
    if precision is not None and precision < 13:
        shift = 4 * (13 - precision)
        kept, rest = divmod(bits, 1 << shift)
        half = 1 << (shift - 1)
        bits = (kept + (rest > half or (rest == half and kept % 2 == 1))) << shift
        if bits >> 53:
            bits, power = bits >> 1, power + 1
    fraction = f"{bits % 2**52:013x}"
    fraction = fraction.rstrip("0") if precision is None else fraction.ljust(precision, "0")[:precision]
    point = "." if fraction else ""
    return f"0x{bits >> 52}{point}{fraction}p{'-' if power < 0 else '+'}{abs(power):02d}"


def _sharpened(text: str, verb: str, flags: Flags) -> str:
    """`%#g`: keep the point and the zeros behind it."""
    head, mark, exponent = _split(text, "pP" if verb in "xX" else "eE")
    digits = (6 if flags.precision is None else flags.precision) if verb in "vgGx" else 0
    # Go counts the `x` of `0x` too.
    digits -= len(head.replace(".", "").lstrip("0"))
    if "." not in head:
        digits -= head == "0"
        head += "."
    return head + "0" * max(0, digits) + mark + exponent


def _split(text: str, marks: str) -> tuple[str, str, str]:
    for mark in marks:
        if mark in text:
            return text.partition(mark)
    return text, "", ""
