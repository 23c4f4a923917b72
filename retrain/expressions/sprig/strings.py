"""Sprig's functions for texts: trimming, cutting, wrapping, searching, splitting.

Go counts bytes where it cuts, so that is done here too; a character that is cut in two stays cut.

Source: https://masterminds.github.io/sprig/strings.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from retrain.expressions.template.functions import bounded
from retrain.expressions.template.meter import room, seats, spend
from retrain.expressions.template.printf import sprintf
from retrain.expressions.template.show import quote, show
from retrain.expressions.template.values import CallError, StringMap, Strings, Value, from_bytes, is_nil, to_bytes

SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What `unicode.IsSpace` takes for space."""


# --- cutting --------------------------------------------------------------------------------------------------------


def _cut(text: str, start: int, end: int) -> str:
    if not 0 <= start <= end:
        raise CallError(f"runtime error: slice bounds out of range [{start}:{end}]")
    if text.isascii():
        _within(end, len(text))
        return text[start:end]
    data = to_bytes(text)
    _within(end, len(data))
    return from_bytes(data[start:end])


def _within(end: int, size: int) -> None:
    if end > size:
        raise CallError(f"runtime error: slice bounds out of range [:{end}] with length {size}")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(to_bytes(text))


def _substr(start: int, end: int, text: str) -> str:
    size = _size(text)
    if start < 0:
        return _cut(text, 0, end)
    return _cut(text, start, size if end < 0 or end > size else end)


def _trunc(count: int, text: str) -> str:
    size = _size(text)
    if count < 0 and size + count > 0:
        return _cut(text, size + count, size)
    return _cut(text, 0, count) if 0 <= count < size else text


def _abbrev(width: int, text: str) -> str:
    return text if width < 4 else _abbreviated(text, 0, width)


def _abbrevboth(left: int, right: int, text: str) -> str:
    if right < 4 or (left > 0 and right < 7):
        return text
    return _abbreviated(text, left, right)


def _abbreviated(text: str, offset: int, width: int) -> str:
    size = _size(text)
    if size <= width:
        return text
    offset = min(offset, size)
    if size - offset < width - 3:
        offset = size - (width - 3)
    if offset <= 4:
        return _cut(text, 0, width - 3) + "..."
    if offset + width - 3 < size:
        return "..." + _abbreviated(_cut(text, offset, size), 0, width - 3)
    return "..." + _cut(text, size - (width - 3), size)


# --- wrapping -------------------------------------------------------------------------------------------------------


def _wrap(width: int, text: str) -> str:
    return _wrapped(text, width, "\n", breaks_words=False)


def _wrap_with(width: int, separator: str, text: str) -> str:
    return _wrapped(text, width, separator or "\n", breaks_words=True)


def _wrapped(text: str, width: int, separator: str, *, breaks_words: bool) -> str:
    width = max(width, 1)
    data, mark = to_bytes(text), to_bytes(separator)
    room(len(data) + len(mark) * (len(data) // width + 1))
    out: list[bytes] = []
    at = 0
    while len(data) - at > width:
        if data[at] == 32:
            at += 1
            continue
        space = data.rfind(b" ", at, at + width + 1)
        if space < 0 and not breaks_words:
            space = data.find(b" ", at + width)
        if space >= 0:
            out += (data[at:space], mark)
            at = space + 1
        elif breaks_words:
            out += (data[at : at + width], mark)
            at += width
        else:
            out.append(data[at:])
            at = len(data)
    out.append(data[at:])
    return from_bytes(b"".join(out))


def _indent(count: int, text: str) -> str:
    if count < 0:
        raise CallError("strings: negative Repeat count")
    room(len(text) + count * (text.count("\n") + 1))
    pad = " " * count
    return pad + text.replace("\n", "\n" + pad)


def _nindent(count: int, text: str) -> str:
    return "\n" + _indent(count, text)


def _repeat(count: int, text: str) -> str:
    if count < 0:
        raise CallError("strings: negative Repeat count")
    room(count * len(text))
    return text * count


def _replace(old: str, new: str, text: str) -> str:
    room(len(text) + (len(text) + 1 if not old else text.count(old)) * len(new))
    return text.replace(old, new)


# --- trimming and searching -----------------------------------------------------------------------------------------


def _trim(text: str) -> str:
    return text.strip(SPACE)


def _trim_all(characters: str, text: str) -> str:
    return text.strip(characters) if characters else text


def _trim_suffix(suffix: str, text: str) -> str:
    return text.removesuffix(suffix)


def _trim_prefix(prefix: str, text: str) -> str:
    return text.removeprefix(prefix)


def _nospace(text: str) -> str:
    return "".join(char for char in text if char not in SPACE)


def _contains(part: str, text: str) -> bool:
    return part in text


def _has_prefix(part: str, text: str) -> bool:
    return text.startswith(part)


def _has_suffix(part: str, text: str) -> bool:
    return text.endswith(part)


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def _hello() -> str:
    return "Hello!"


# --- making and splitting -------------------------------------------------------------------------------------------


def _quote(*values: Value) -> str:
    shown = [quote(show(value)) for value in values if not is_nil(value)]
    return bounded(" ".join(shown))


def _squote(*values: Value) -> str:
    shown = [f"'{show(value)}'" for value in values if not is_nil(value)]
    return bounded(" ".join(shown))


def _cat(*values: Value) -> str:
    there = [value for value in values if not is_nil(value)]
    return sprintf(" ".join(["%v"] * len(there)), there)


def strings_of(value: Value) -> Strings:
    """A list as texts, without its nils; anything else is one text."""
    if isinstance(value, Strings):
        return value
    if isinstance(value, list):
        spend(len(value))
        return Strings(show(item) for item in value if not is_nil(item))
    return Strings() if is_nil(value) else Strings([show(value)])


def _join(separator: str, value: Value) -> str:
    parts = strings_of(value)
    room(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


def split_text(text: str, separator: str, limit: int = -1) -> list[str]:
    """As Go's `strings.SplitN`: without a separator into characters; `limit` under 0 is none."""
    if limit == 0:
        return []
    if separator:
        parts = text.split(separator, limit - 1 if limit > 0 else -1)
    elif 0 < limit < len(text):
        parts = [*text[: limit - 1], text[limit - 1 :]]
    else:
        parts = list(text)
    seats(len(parts))
    return parts


def _split(separator: str, text: str) -> StringMap:
    return _splitn(separator, -1, text)


def _splitn(separator: str, limit: int, text: str) -> StringMap:
    return StringMap((f"_{at}", part) for at, part in enumerate(split_text(text, separator, limit)))


def _split_list(separator: str, text: str) -> Strings:
    return Strings(split_text(text, separator))


TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "abbrev": ("int, string", _abbrev),
    "abbrevboth": ("int, int, string", _abbrevboth),
    "cat": ("any...", _cat),
    "contains": ("string, string", _contains),
    "hasPrefix": ("string, string", _has_prefix),
    "hasSuffix": ("string, string", _has_suffix),
    "hello": ("", _hello),
    "indent": ("int, string", _indent),
    "join": ("string, any", _join),
    "nindent": ("int, string", _nindent),
    "nospace": ("string", _nospace),
    "plural": ("string, string, int", _plural),
    "quote": ("any...", _quote),
    "repeat": ("int, string", _repeat),
    "replace": ("string, string, string", _replace),
    "split": ("string, string", _split),
    "splitList": ("string, string", _split_list),
    "splitn": ("string, int, string", _splitn),
    "squote": ("any...", _squote),
    "substr": ("int, int, string", _substr),
    "toString": ("any", show),
    "toStrings": ("any", strings_of),
    "trim": ("string", _trim),
    "trimAll": ("string, string", _trim_all),
    "trimPrefix": ("string, string", _trim_prefix),
    "trimSuffix": ("string, string", _trim_suffix),
    "trimall": ("string, string", _trim_all),
    "trunc": ("int, string", _trunc),
    "wrap": ("int, string", _wrap),
    "wrapWith": ("int, string, string", _wrap_with),
}
