"""JSON that is nested more deeply than a reader takes, made readable. Pure.

An API server takes thousands of levels from anybody who may create an object of an open kind. One such object must not
hide all others of a list, nor end a watch.
"""

from __future__ import annotations

import re

DEEPEST = 250
"""Levels that are left: as many as can be written again, too."""
_STEP = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]')
_OPENS, _CLOSES = frozenset(b"{["), frozenset(b"}]")


def cut(text: bytes, deepest: int = DEEPEST) -> bytes:
    """The text with `null` for each list and mapping that stands below so many others."""
    parts: list[bytes] = []
    kept = depth = 0
    for step in _STEP.finditer(text):
        sign = text[step.start()]
        if sign in _OPENS:
            depth += 1
            if depth == deepest + 1:
                parts += [text[kept : step.start()], b"null"]
        elif sign in _CLOSES:
            if depth == deepest + 1:
                kept = step.end()
            depth -= 1
    return b"".join([*parts, text[kept:]])
