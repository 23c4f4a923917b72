"""Go's regular expressions as tests of a text: whether a pattern matches anywhere in it. RE2, compiled once.

A pattern without special characters, as most are, is compared as plain text, which is many times faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import re2

from retrain.errors import ConfigError

_QUIET = re2.Options()
_QUIET.log_errors = False  # it would write to stderr by itself

_SPECIAL = r"\\.+*?()|\[\]{}^$"
_ESCAPED = r"""\\[!-/:-@\[-^`{-~]"""
_LITERAL = re.compile(rf"(?P<start>\^?)(?P<text>(?:[^{_SPECIAL}]|{_ESCAPED})*)(?P<end>\$?)", re.DOTALL)


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Whether a text has a match.

    Raises:
        ConfigError: it is no RE2 pattern.
    """
    try:
        compiled = re2.compile(pattern, _QUIET)
    except re2.error as error:
        raise ConfigError(f"{pattern!r} is no RE2 pattern: {_words(error)}") from error
    match = _LITERAL.fullmatch(pattern)
    if match is None:
        return lambda text: compiled.search(text) is not None
    plain = re.sub(r"\\(.)", r"\1", match["text"], flags=re.DOTALL)
    if match["start"] and match["end"]:
        return lambda text: text == plain
    if match["start"]:
        return lambda text: text.startswith(plain)
    if match["end"]:
        return lambda text: text.endswith(plain)
    return lambda text: plain in text


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
