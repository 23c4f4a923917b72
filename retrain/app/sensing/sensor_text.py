"""A sensor as its user wrote it, comments included, and what the linter says of each of its lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain.app.projects.catalog import Item, build
from retrain.app.projects.project import Project, check_sensor
from retrain.app.sensing.source_view import finding
from retrain.manifests import Document, Finding, load_text, to_yaml
from retrain.manifests.reading import Unreadable, decode

Json = dict[str, Any]
NAME = "manifest"
"""What a text is called that has no file."""


@dataclass(frozen=True, slots=True)
class Written:
    """A sensor's text. `line`: the one of its file that it begins at. `from_file`: as it stands there; else it was
    written anew from what runs, because the file is another one by now, or gone."""

    text: str
    line: int
    from_file: bool


def written(item: Item) -> Written:
    """The text of a sensor that runs. Reads its file, and of that only this document: a file may hold thousands."""
    own = item.document
    try:
        lines = decode(Path(own.file).read_bytes()).splitlines()
    except (OSError, Unreadable):
        lines = []
    first = _with_comments(lines, own.line)
    text = _document(lines[first - 1 :])
    documents, _ = load_text(text, NAME)
    if len(documents) == 1 and documents[0].body == own.body:
        return Written(text, first, from_file=True)
    return Written(to_yaml(own.body), 1, from_file=False)


def _with_comments(lines: Sequence[str], first: int) -> int:
    """The line at which the comments above a document begin."""
    while 1 < first <= len(lines) and lines[first - 2].startswith("#"):
        first -= 1
    return first


def _document(lines: Sequence[str]) -> str:
    """The first document of these lines."""
    for number, line in enumerate(lines):
        if number and (line == "---" or line.startswith(("--- ", "..."))):
            lines = lines[:number]
            break
    return "\n".join(lines).rstrip() + "\n"


def lint_text(text: str, project: Project) -> list[Finding]:
    """What is wrong with the Sensors in a text, by itself and with the rest of the project. Nothing is kept."""
    documents, found = load_text(text, NAME)
    for document in documents:
        _, wrong = build(document)
        found += wrong
        if document.kind == "Sensor":
            found += check_sensor(document, _beside(project))
    return sorted(dict.fromkeys(found), key=lambda one: (one.line, one.column))


def _beside(project: Project) -> list[Document]:
    rooms = (project.event_sources, project.workflow_templates, project.promotions)
    return [one.document for room in rooms for one in room]


def lines_of(text: str, findings: Iterable[Finding], first: int = 1) -> list[Json]:
    """A text line by line with what was found in each: `{"number", "text", "findings"}`. Pure.

    `first`: the number of its first line in a file; findings count from 1.
    """
    at: Mapping[int, list[Json]] = _by_line(findings)
    lines = text.splitlines() or [""]
    last = len(lines)
    return [
        {
            "number": first + number - 1,
            "text": line,
            "findings": at.get(number, []) + (_after(at, last) if number == last else []),
        }
        for number, line in enumerate(lines, 1)
    ]


def _after(at: Mapping[int, list[Json]], last: int) -> list[Json]:
    """What was found behind the end: where something is missing there."""
    return [one for line, found in at.items() if line > last for one in found]


def _by_line(findings: Iterable[Finding]) -> dict[int, list[Json]]:
    found: dict[int, list[Json]] = {}
    for one in findings:
        found.setdefault(one.line, []).append(finding(one))
    return found
