"""Sprig's functions that change the case of letters: `title`, `snakecase`, `camelcase`, ...

Go maps letter by letter, so no text gets longer: the German sharp s stays what it is in `upper`.

Source: https://masterminds.github.io/sprig/strings.html, and xstrings for the cases of identifiers.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

from retrain.expressions.sprig.strings import SPACE
from retrain.expressions.template.meter import spend
from retrain.expressions.template.values import Value


def _upper(text: str) -> str:
    return text.upper() if text.isascii() else "".join(map(_one_upper, text))


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else "".join(map(_one_lower, text))


def _one_upper(char: str) -> str:
    upper = char.upper()
    return upper if len(upper) == 1 else char


def _one_lower(char: str) -> str:
    lower = char.lower()
    return lower if len(lower) == 1 else lower[0]


def _one_title(char: str) -> str:
    title = char.title()
    return title if len(title) == 1 else char


def _joins(char: str) -> bool:
    """Whether a word goes on with it, for `title`."""
    if char.isascii():
        return char.isalnum() or char == "_"
    return char.isalpha() or char.isdecimal() or char not in SPACE


def _title(text: str) -> str:
    out: list[str] = []
    inside = False
    for char in text:
        out.append(char if inside else _one_title(char))
        inside = _joins(char)
    return "".join(out)


def _untitle(text: str) -> str:
    out: list[str] = []
    inside = False
    for char in text:
        out.append(char if inside else _one_lower(char))
        inside = char not in SPACE
    return "".join(out)


def _initials(text: str) -> str:
    out: list[str] = []
    inside = False
    for char in text:
        if char in SPACE:
            inside = False
        elif not inside:
            out.append(char)
            inside = True
    return "".join(out)


def _swapcase(text: str) -> str:
    out: list[str] = []
    after_space = True
    for char in text:
        if char.isupper() or char.istitle():
            out.append(_one_lower(char))
            after_space = False
        elif char.islower():
            out.append(_one_title(char) if after_space else _one_upper(char))
            after_space = False
        else:
            out.append(char)
            after_space = char in SPACE
    return "".join(out)


# --- identifiers ----------------------------------------------------------------------------------------------------


def _is_connector(char: str) -> bool:
    return char in "-_" or char in SPACE


def _camelcase(text: str) -> str:
    """`http_server` is `HttpServer`; connectors in front stay."""
    start = next((at for at, char in enumerate(text) if not _is_connector(char)), len(text))
    if start >= len(text):
        return text + text[-1:]  # as upstream: the last connector comes twice
    out = [text[:start]]
    first_upper = text[start].isupper()
    current = _one_upper(text[start])
    for char in text[start + 1 :]:
        before, current = current, char
        if _is_connector(current) and _is_connector(before):
            out.append(before)
        elif _is_connector(before):
            first_upper = current.isupper()
            current = _one_upper(current)
        else:
            if first_upper and current.isupper():
                current = _one_lower(current)
            else:
                first_upper = False
            out.append(before)
    out.append(current)
    return "".join(out)


def _kind(char: str) -> str:
    if _is_connector(char):
        return "connector"
    category = unicodedata.category(char)
    if category[0] == "P":
        return "mark"
    if category == "Lu":
        return "upper"
    if category[0] == "L":
        return "lower"
    return "number" if category[0] == "N" else "other"


def _words(text: str) -> list[tuple[str, str]]:
    """The text in pieces of one kind: `upper` for `Word` and `WORD`, `lower`, `number`, `connector`, `mark`, `other`.

    In `HTTPStatus` the second piece begins with the S.
    """
    kinds = [_kind(char) for char in text]
    out: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        end = _mark_end(text, at) if kinds[at] == "mark" else _word_end(kinds, at)
        out.append((kinds[at], text[at:end]))
        at = end
    return out


def _mark_end(text: str, at: int) -> int:
    """Behind a mark, `-` and `_` are marks too."""
    while at < len(text) and unicodedata.category(text[at])[0] == "P":
        at += 1
    return at


def _word_end(kinds: list[str], at: int) -> int:
    kind, end = kinds[at], at + 1
    if kind == "upper" and end < len(kinds) and kinds[end] == "upper":
        end = _run(kinds, end, "upper")
        return end - 1 if end < len(kinds) and kinds[end] == "lower" else end
    return _run(kinds, end, "lower" if kind == "upper" else kind)


def _run(kinds: list[str], at: int, kind: str) -> int:
    while at < len(kinds) and kinds[at] == kind:
        at += 1
    return at


class _Words:
    """Reads the pieces one by one and writes them with a connector between the words."""

    def __init__(self, text: str, connector: str) -> None:
        self._words = _words(text)
        self._at = 0
        self._connector = connector
        self._out: list[str] = []

    def _next(self) -> tuple[str, str]:
        word = self._words[self._at] if self._at < len(self._words) else ("", "")
        self._at += 1
        return word

    def _put(self, word: tuple[str, str]) -> None:
        kind, text = word
        if kind == "upper":
            text = _lower(text)
        elif kind == "connector":
            text = self._connector * len(text)
        self._out.append(text)

    def _between(self, kind: str) -> None:
        if kind not in ("", "connector", "mark"):
            self._out.append(self._connector)

    def _while_joined(self, word: tuple[str, str]) -> tuple[str, str]:
        """Letters and numbers that stay with the number before them."""
        while word[0] in ("lower", "number"):
            self._put(word)
            word = self._next()
        return word

    def run(self) -> str:
        word = self._next()
        while self._at < len(self._words):
            if word[0] != "connector":
                self._put(word)
            before, word = word, self._next()
            word = self._follow(before, word)
        self._put(word)
        return "".join(self._out)

    def _follow(self, before: tuple[str, str], word: tuple[str, str]) -> tuple[str, str]:
        if before[0] == "number":
            word = self._while_joined(word)
            self._between(word[0])
        elif before[0] == "connector":
            self._put(before)
        elif before[0] != "mark":
            word = self._after_word(word)
        return word

    def _after_word(self, word: tuple[str, str]) -> tuple[str, str]:
        if word[0] != "number":
            if word[0] not in ("connector", "mark"):
                self._out.append(self._connector)
            return word
        if self._at >= len(self._words):
            return word
        number, word = word, self._next()
        if word[0] != "lower":
            # `Bld4Floor`: the number belongs to the word before it.
            self._put(number)
            if word[0] not in ("connector", "mark"):
                self._out.append(self._connector)
            return word
        # `HTTP2xx`: letters behind it, so it begins a word of its own.
        self._out.append(self._connector)
        self._put(number)
        word = self._while_joined(word)
        self._between(word[0])
        return word


def _snakecase(text: str) -> str:
    return _Words(text, "_").run()


def _kebabcase(text: str) -> str:
    return _Words(text, "-").run()


def _letter_by_letter(change: Callable[[str], str]) -> Callable[[str], str]:
    """With a price for what is done for each letter."""

    def changed(text: str) -> str:
        spend(len(text) >> 2)
        return change(text)

    return changed


TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "camelcase": ("string", _letter_by_letter(_camelcase)),
    "initials": ("string", _letter_by_letter(_initials)),
    "kebabcase": ("string", _letter_by_letter(_kebabcase)),
    "lower": ("string", _lower),
    "snakecase": ("string", _letter_by_letter(_snakecase)),
    "swapcase": ("string", _letter_by_letter(_swapcase)),
    "title": ("string", _letter_by_letter(_title)),
    "untitle": ("string", _letter_by_letter(_untitle)),
    "upper": ("string", _upper),
}
