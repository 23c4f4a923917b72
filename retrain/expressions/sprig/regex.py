"""Sprig's regular expressions: Go's own syntax, by RE2, in linear time.

Source: https://masterminds.github.io/sprig/strings.html, https://pkg.go.dev/regexp
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import re2

from retrain.expressions.sprig.strings import split_text
from retrain.expressions.template.functions import bounded
from retrain.expressions.template.meter import room, seats, spend
from retrain.expressions.template.show import Parts
from retrain.expressions.template.values import CallError, LimitError, NilStrings, Strings, Value, whole

MAX_PATTERN: Final = 8 * 1024
"""Characters of a pattern; RE2 itself bounds the memory of what it makes of it."""
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
_REFERENCE = re.compile(r"\$(?:(\$)|([0-9A-Za-z_]+)|\{([0-9A-Za-z_]+)\})")


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    return re2.compile(pattern, options)


def _pattern(pattern: str) -> Any:
    """Compile it.

    Raises:
        CallError: it is no expression of RE2's, or too long.
    """
    if len(pattern) > MAX_PATTERN:
        raise LimitError(f"the regular expression has {len(pattern)} characters, {MAX_PATTERN} are allowed")
    spend(16)
    try:
        return _compiled(whole(pattern))
    except re2.error as error:
        raise CallError(f"error parsing regexp: {_message(error)}: `{pattern}`") from None


def _message(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _matches(pattern: Any, text: str) -> Iterator[Any]:
    """All matches that do not overlap; an empty one right behind another does not count, as in Go."""
    room(len(text))
    last = -1
    for found in pattern.finditer(whole(text)):
        if found.start() == found.end() == last:
            continue
        last = found.end()
        yield found


def _must_match(pattern: str, text: str) -> bool:
    return _pattern(pattern).search(whole(text)) is not None


def _match(pattern: str, text: str) -> bool:
    try:
        compiled = _pattern(pattern)
    except CallError:
        return False
    return compiled.search(whole(text)) is not None


def _find(pattern: str, text: str) -> str:
    found = _pattern(pattern).search(whole(text))
    return found[0] if found else ""


def _find_all(pattern: str, text: str, limit: int) -> Strings:
    compiled = _pattern(pattern)
    out = Strings()
    if limit:
        for found in _matches(compiled, text):
            out.append(found[0])
            seats(len(out))
            if len(out) == limit:
                break
    return out or NilStrings()


def _replace(pattern: str, text: str, by: str) -> str:
    pieces = _template(by)
    return _replaced(pattern, text, lambda found: "".join(piece(found) for piece in pieces))


def _replace_literal(pattern: str, text: str, by: str) -> str:
    return _replaced(pattern, text, lambda _: by)


def _replaced(pattern: str, text: str, by: Callable[[Any], str]) -> str:
    compiled = _pattern(pattern)
    text = whole(text)
    parts = Parts()
    at = 0
    for found in _matches(compiled, text):
        parts.add(text[at : found.start()])
        parts.add(by(found))
        at = found.end()
    parts.add(text[at:])
    return bounded(parts.text())


def _template(by: str) -> list[Callable[[Any], str]]:
    """`$1`, `${name}` and `$$` in a replacement."""
    pieces: list[Callable[[Any], str]] = []
    at = 0
    for found in _REFERENCE.finditer(by):
        pieces.append(_literal(by[at : found.start()]))
        pieces.append(_literal("$") if found[1] else _group(found[2] or found[3]))
        at = found.end()
    return [*pieces, _literal(by[at:])]


def _literal(text: str) -> Callable[[Any], str]:
    return lambda _: text


def _group(name: str) -> Callable[[Any], str]:
    def get(found: Any) -> str:
        if name.isdigit():
            number = int(name) if len(name) < 6 else -1
            return found[number] or "" if 0 <= number <= found.re.groups else ""
        return found[name] or "" if name in found.re.groupindex else ""

    return get


def _split(pattern: str, text: str, limit: int) -> Strings:
    compiled = _pattern(pattern)
    if not limit:
        return NilStrings()
    if pattern and not text:
        return Strings([""])
    if not pattern and limit < 0:
        return Strings(split_text(text, ""))
    text = whole(text)
    out = Strings()
    begin = end = 0
    for count, found in enumerate(_matches(compiled, text)):
        if (limit > 0 and len(out) == limit - 1) or count == limit:
            break
        end = found.start()
        if found.end():
            out.append(text[begin:end])
            seats(len(out))
        begin = found.end()
    if end != len(text):
        out.append(text[begin:])
    return out


def _quote_meta(text: str) -> str:
    return bounded(_META.sub(lambda found: f"\\{found[0]}", text))


TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "mustRegexFind": ("string, string", _find),
    "mustRegexFindAll": ("string, string, int", _find_all),
    "mustRegexMatch": ("string, string", _must_match),
    "mustRegexReplaceAll": ("string, string, string", _replace),
    "mustRegexReplaceAllLiteral": ("string, string, string", _replace_literal),
    "mustRegexSplit": ("string, string, int", _split),
    "regexFind": ("string, string", _find),
    "regexFindAll": ("string, string, int", _find_all),
    "regexMatch": ("string, string", _match),
    "regexQuoteMeta": ("string", _quote_meta),
    "regexReplaceAll": ("string, string, string", _replace),
    "regexReplaceAllLiteral": ("string, string, string", _replace_literal),
    "regexSplit": ("string, string, int", _split),
}
