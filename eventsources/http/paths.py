"""Endpoint paths of webhooks: plain ones, and ones with `{name}` for a part of any text, as gorilla/mux has them."""

from __future__ import annotations

import re

_VARIABLE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")


class BadTemplate(ValueError):
    """The path has braces that are no plain variable."""


class Template:
    """A path that may have variables. A variable stands for one or more characters other than `/`."""

    def __init__(self, text: str) -> None:
        rest = _VARIABLE.sub("", text)
        if "{" in rest or "}" in rest:
            raise BadTemplate(f"endpoint {text!r}: of variables only plain ones like {{name}} are built")
        self.text = text
        self.plain = rest == text
        # Only the literal parts come from the user, and they are escaped; what is left cannot backtrack.
        self._pattern = re.compile("[^/]+".join(re.escape(part) for part in _VARIABLE.split(text)))

    def matches(self, path: str) -> bool:
        """Whether a request's path is meant."""
        return path == self.text if self.plain else self._pattern.fullmatch(path) is not None
