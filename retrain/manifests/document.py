"""A document that a user wrote, where each of its values stands, and what can be said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from retrain.events import JsonValue

Path = Sequence[str | int]
"""Where a value stands in a document: `("spec", "triggers", 0, "template")`. Keys as in the file."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file. Lines and columns count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one value starts and, inside a mapping, where its key does. Lines and columns count from 1."""

    line: int
    column: int
    key: tuple[int, int] | None = None
    children: dict[str, Spot] | list[Spot] | None = None

    def child(self, step: str | int) -> Spot | None:
        """The spot of a member, None if there is no such member."""
        if isinstance(self.children, dict):
            return self.children.get(step) if isinstance(step, str) else None
        if self.children is not None and isinstance(step, int) and 0 <= step < len(self.children):
            return self.children[step]
        return None


@dataclass(frozen=True, slots=True)
class Positions:
    """Where every value of one document stands."""

    file: str
    root: Spot

    def at(self, path: Path) -> Mark:
        """The place to show for a value: a scalar's own, a mapping's or list's key; or its nearest ancestor's."""
        spot = self.nearest(path)
        line, column = spot.key if spot.key and spot.children is not None else (spot.line, spot.column)
        return Mark(self.file, line, column)

    def key_at(self, path: Path) -> Mark:
        """The place of the key that the path ends with, the value's where it has none."""
        spot = self.nearest(path)
        line, column = spot.key or (spot.line, spot.column)
        return Mark(self.file, line, column)

    def nearest(self, path: Path) -> Spot:
        """The spot of the longest beginning of `path` that exists."""
        spot = self.root
        for step in path:
            child = spot.child(step)
            if child is None:
                break
            spot = child
        return spot


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a path of a document, said by a check that knows nothing of files."""

    path: tuple[str | int, ...]
    code: str
    message: str
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with its place: one entry of `lint -o json`. `kind`, `name` and `path` are "" where unknown."""

    file: str
    line: int
    column: int
    kind: str
    name: str
    path: str
    severity: Severity
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity} {self.code} {self.message}"


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file: the `body` as JSON, keys in the order of the file.

    `name` is metadata.name, else metadata.generateName, else "". `line` is where the document starts.
    """

    api_version: str
    kind: str
    name: str
    body: dict[str, JsonValue]
    file: str
    line: int
    positions: Positions

    @property
    def namespace(self) -> str:
        """metadata.namespace, "" where none is written."""
        metadata = self.body.get("metadata")
        namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
        return namespace if isinstance(namespace, str) else ""

    def at(self, path: Path) -> Mark:
        """The place to show for a value, or of its nearest existing ancestor."""
        return self.positions.at(path)

    def finding(self, problem: Problem, *, on_key: bool = False) -> Finding:
        """The problem with its place in this document's file; `on_key` shows the key, not the value."""
        mark = self.positions.key_at(problem.path) if on_key else self.positions.at(problem.path)
        return Finding(
            mark.file,
            mark.line,
            mark.column,
            self.kind,
            self.name,
            dotted(problem.path),
            problem.severity,
            problem.code,
            problem.message,
        )


def dotted(path: Path) -> str:
    """The path as people write it: `spec.triggers[0].template`; a key with other characters is in brackets."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step and all(c.isalnum() or c in "-_" for c in step):
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text
