"""expr-lang: functions over texts, as Go's package `strings` has them. Offsets and lengths of `indexOf` are bytes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, cast

import re2

from retrain.expressions.expr.frame import Frame
from retrain.expressions.expr.tokens import ExprError
from retrain.expressions.expr.values import as_int, go_type

SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Go's unicode.IsSpace; Python's own strip() takes a few more."""
MAX_PATTERN = 4096
"""Characters of a pattern for `matches`."""
MAX_PATTERN_MEMORY = 4 * 1024 * 1024
"""Bytes that RE2 may use for one."""


class Pattern(Protocol):
    def search(self, text: bytes, /) -> object: ...


@lru_cache(maxsize=64)  # for patterns that come from the data; those of the text are compiled with it
def pattern(text: str) -> Pattern:
    """A regular expression of RE2, which takes time in proportion to the text."""
    if len(text) > MAX_PATTERN:
        raise ExprError(f"a pattern of more than {MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MAX_PATTERN_MEMORY
    try:
        return cast("Pattern", re2.compile(text.encode(), options))  # as bytes: re2 spares itself the offsets of text
    except (re2.error, UnicodeError) as error:
        raise ExprError(f"error parsing regexp: {_reason(error)}: {text[:80]!r}") from None


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)


def text_of(value: object, name: str) -> str:
    if type(value) is str:
        return value
    raise ExprError(f"{name} takes a text here, not {go_type(value)}")


# --- operators ------------------------------------------------------------------------------------------------------


def _both(left: object, op: str, right: object) -> tuple[str, str] | None:
    """None if one of them is nil, which passes no operator over texts."""
    if left is None or right is None:
        return None
    if type(left) is str and type(right) is str:
        return left, right
    raise ExprError(f"invalid operation: {go_type(left)} {op} {go_type(right)}")


def contains(frame: Frame, left: object, right: object) -> bool:
    pair = _both(left, "contains", right)
    if pair is None:
        return False
    frame.spend(len(pair[0]) >> 6)
    return pair[1] in pair[0]


def starts_with(frame: Frame, left: object, right: object) -> bool:
    frame.touch(right)
    pair = _both(left, "startsWith", right)
    return pair is not None and pair[0].startswith(pair[1])


def ends_with(frame: Frame, left: object, right: object) -> bool:
    frame.touch(right)
    pair = _both(left, "endsWith", right)
    return pair is not None and pair[0].endswith(pair[1])


def matches(frame: Frame, left: object, right: object) -> bool:
    if left is None or right is None:
        return False
    frame.spend(16)
    return matches_pattern(frame, left, pattern(text_of(right, "matches")))


def matches_pattern(frame: Frame, left: object, compiled: Pattern) -> bool:
    if left is None:
        return False
    if type(left) is not str and type(left) is not bytes:
        raise ExprError(f"invalid operation: {go_type(left)} matches string")
    frame.spend(len(left) >> 4)
    data = left if type(left) is bytes else str(left).encode("utf-8", "replace")
    return compiled.search(data) is not None


# --- functions ------------------------------------------------------------------------------------------------------


def trim(frame: Frame, value: object, cutset: object = SPACE) -> str:
    text = text_of(value, "trim")
    frame.text(len(text))
    return text.strip(text_of(cutset, "trim"))


def trim_prefix(frame: Frame, value: object, prefix: object = " ") -> str:
    text = text_of(value, "trimPrefix")
    frame.text(len(text))
    return text.removeprefix(text_of(prefix, "trimPrefix"))


def trim_suffix(frame: Frame, value: object, suffix: object = " ") -> str:
    text = text_of(value, "trimSuffix")
    frame.text(len(text))
    return text.removesuffix(text_of(suffix, "trimSuffix"))


def upper(frame: Frame, value: object) -> str:
    return _mapped(frame, text_of(value, "upper"), str.upper)


def lower(frame: Frame, value: object) -> str:
    return _mapped(frame, text_of(value, "lower"), str.lower)


def _mapped(frame: Frame, text: str, change: Callable[[str], str]) -> str:
    """Go maps one character to one: `ß` stays."""
    frame.text(len(text))
    if text.isascii():
        return change(text)
    frame.spend(len(text))
    return "".join(new if len(new := change(char)) == 1 else char for char in text)


def split(frame: Frame, value: object, separator: object, limit: object = -1) -> list[object]:
    text, by, most = text_of(value, "split"), text_of(separator, "split"), as_int(limit)
    return list[object](_split(frame, text, by, most))


def split_after(frame: Frame, value: object, separator: object, limit: object = -1) -> list[object]:
    text, by, most = text_of(value, "splitAfter"), text_of(separator, "splitAfter"), as_int(limit)
    parts = _split(frame, text, by, most)
    return [part + by if at < len(parts) - 1 else part for at, part in enumerate(parts)]


def _split(frame: Frame, text: str, by: str, most: int) -> list[str]:
    frame.text(len(text))
    if most == 0:
        return []
    count = (text.count(by) + 1) if by else len(text)
    frame.room(min(count, most) if most > 0 else count)
    if by:
        return text.split(by, most - 1 if most > 0 else -1)
    if 0 < most < len(text):
        return [*text[: most - 1], text[most - 1 :]]
    return list(text)


def replace(frame: Frame, value: object, old: object, new: object, limit: object = -1) -> str:
    text, was, now, most = text_of(value, "replace"), text_of(old, "replace"), text_of(new, "replace"), as_int(limit)
    frame.text(len(text))
    times = text.count(was)
    times = min(times, most) if most >= 0 else times
    frame.text(max(0, len(text) + times * (len(now) - len(was))))
    return text.replace(was, now, times)


def repeat(frame: Frame, value: object, count: object) -> str:
    text, times = text_of(value, "repeat"), as_int(count)
    if times < 0:
        raise ExprError(f"invalid argument for repeat (expected positive integer, got {times})")
    frame.text(len(text) * times)
    return text * times


def join(frame: Frame, value: object, glue: object = "") -> str:
    between = text_of(glue, "join")
    if type(value) is not list:
        raise ExprError(f"invalid argument for join (type {go_type(value)})")
    frame.spend(len(value) >> 2)
    texts = [text_of(item, "join") for item in value]
    frame.text(sum(map(len, texts)) + len(between) * max(0, len(texts) - 1))
    return between.join(texts)


def index_of(frame: Frame, value: object, part: object) -> int:
    text = text_of(value, "indexOf")
    frame.text(len(text))
    return _bytes_before(text, text.find(text_of(part, "indexOf")))


def last_index_of(frame: Frame, value: object, part: object) -> int:
    text = text_of(value, "lastIndexOf")
    frame.text(len(text))
    return _bytes_before(text, text.rfind(text_of(part, "lastIndexOf")))


def _bytes_before(text: str, at: int) -> int:
    return at if at < 0 or text.isascii() else len(text[:at].encode("utf-8", "surrogatepass"))


def has_prefix(frame: Frame, value: object, part: object) -> bool:
    frame.touch(part)
    return text_of(value, "hasPrefix").startswith(text_of(part, "hasPrefix"))


def has_suffix(frame: Frame, value: object, part: object) -> bool:
    frame.touch(part)
    return text_of(value, "hasSuffix").endswith(text_of(part, "hasSuffix"))


def to_base64(frame: Frame, value: object) -> str:
    text = text_of(value, "toBase64")
    frame.text(len(text) * 4 // 3)
    return base64.b64encode(text.encode("utf-8", "replace")).decode()


def from_base64(frame: Frame, value: object) -> str:
    text = text_of(value, "fromBase64").replace("\n", "").replace("\r", "")
    frame.text(len(text))
    try:
        return base64.b64decode(text.encode("ascii"), validate=True).decode("utf-8", "replace")
    except (binascii.Error, UnicodeError):
        raise ExprError("fromBase64: illegal base64 data") from None
