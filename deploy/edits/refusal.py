"""How an edit says no: with file, line and column."""

from __future__ import annotations

from retrain.errors import Refused


class EditRefused(Refused):
    """The edit cannot be made without touching something else, or its place is not there."""


def line_of(text: str, at: int) -> int:
    """The line of a character, counted from 1."""
    return text.count("\n", 0, at) + 1


def refused(file: str, text: str, at: int, message: str) -> EditRefused:
    """The refusal of something that stands at a character of a file."""
    return EditRefused(f"{file}:{line_of(text, at)}:{at - text.rfind(chr(10), 0, at)}: {message}")
