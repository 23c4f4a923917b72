"""How a new value is written into YAML: in the style of the old one, and never readable as another type.

YAML 1.1 (Kubernetes, Helm) and 1.2 (many newer readers) disagree on `no`, `010`, `1e3` and more. A string stands bare
only where every reader takes it for that string; else it is quoted.
"""

from __future__ import annotations

import json
import re
from typing import Literal

from retrain.manifests import scalars

Scalar = str | int | float | bool | None
Style = Literal["plain", "single", "double", "empty"]

_BARE = re.compile(r"(?:--(?=[A-Za-z]))?[A-Za-z0-9_/.](?:[A-Za-z0-9_/.@+=~%:-]*[A-Za-z0-9_/.@+=~%-])?")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_NUMBER_LIKE = re.compile(r"[-+.]*[0-9.][-+0-9._:a-fA-FoOxXtTzZ]*")
_VERSION = re.compile(r"\d+(?:\.\d+){2,}")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15}")
_TOML_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED = re.compile('["\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def write(new: Scalar, old: Scalar, style: Style, language: Literal["yaml", "json", "toml"] = "yaml") -> str:
    """The text for `new` in the place of `old`, whose style it keeps where that is possible.

    A string that spells a number takes the place of a bare number bare: template values are strings, and the field
    was a number. Numbers are finite. JSON stays JSON, and TOML TOML.
    """
    if not isinstance(new, str):
        return _literal(new)
    bare = style in {"plain", "empty"}
    if bare and _same_number(new, old):
        return new
    if language == "yaml" and bare and is_bare(new):
        return new
    if language != "json" and style == "single" and not _ESCAPED.search(new.replace('"', "").replace("\\", "")):
        if language == "yaml":
            return "'" + new.replace("'", "''") + "'"
        if "'" not in new:
            return f"'{new}'"
    return _double(new)


def write_key(name: str, like: str | None, language: Literal["yaml", "json", "toml"] = "yaml") -> str:
    """The text of a new key; `like` is the quote of its neighbours."""
    if language == "json":
        return _double(name)
    if language == "toml":
        return name if _TOML_BARE.fullmatch(name) else _double(name)
    return write(name, "", {"'": "single", '"': "double"}.get(like or "", "plain"))  # pyright: ignore[reportArgumentType]


def is_bare(text: str) -> bool:
    """Whether the text may stand without quotes: a string for YAML 1.1 and 1.2, in block and in flow."""
    if not _BARE.fullmatch(text) or text.lower().lstrip(".") in _WORDS or text.startswith(("---", "...")):
        return False
    if _NUMBER_LIKE.fullmatch(text) and not _VERSION.fullmatch(text):
        return False
    return isinstance(scalars.resolve(text), str)


def _literal(value: float | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value)


def _same_number(new: str, old: Scalar) -> bool:
    if isinstance(old, bool) or not isinstance(old, int | float):
        return False
    return (_INTEGER if isinstance(old, int) else _DECIMAL).fullmatch(new) is not None


def _double(text: str) -> str:
    # \uXXXX and not \xXX: this way it is JSON too.
    return '"' + _ESCAPED.sub(lambda m: _SHORT.get(m[0], f"\\u{ord(m[0]):04x}"), text) + '"'
